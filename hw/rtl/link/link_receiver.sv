// Takes frames apart: from the bytes of a serial line to requests, images and faults (docs/link.md has the protocol).
//
// Function: undoes the escapes, checks kind, length and CRC, and says at the closing flag what came of the frame: exactly one
//   of request_o, image_o and fault_o (not FaultNone), for one cycle, with kind_o and sequence_o. The bytes of an image leave
//   by payload_o while it comes in; image_o says that they are good, rewind_o that what came before is void.
// A flag is never part of a frame, so whatever was lost, doubled or damaged, the frame after the next flag is taken rightly.
// Latency: 1 from the byte to payload_o and to the outcome. byte_valid_i comes at most every tenth cycle.
module link_receiver
  import link_pkg::*;
#(
  parameter int unsigned ImageBytes    = 1,        // of an image, 1..65535
  parameter int unsigned TimeoutCycles = 1 << 20   // silence that ends half a frame
) (
  input  logic       clk_i,
  input  logic       rst_ni,           // synchronous, active low
  input  logic       byte_valid_i,
  input  logic [7:0] byte_i,
  input  logic       byte_error_i,     // a byte without a stop bit
  input  logic       full_i,           // no room for an image that begins now
  output logic       rewind_o,         // one cycle: a frame begins
  output logic       payload_valid_o,  // one cycle: payload_o is the next byte of an image
  output logic [7:0] payload_o,
  output logic       request_o,
  output logic       image_o,
  output fault_t     fault_o,
  output kind_t      kind_o,
  output logic [7:0] sequence_o
);
  localparam int unsigned MostBytes    = HeaderBytes + ImageBytes + CheckBytes;
  localparam int unsigned FewestBytes  = HeaderBytes + CheckBytes;
  localparam int unsigned CountWidth   = $clog2(MostBytes + 2);  // holds one more than the most
  localparam int unsigned SilenceWidth = $clog2(TimeoutCycles + 1);

  if (ImageBytes < 1 || ImageBytes > 65535) begin : gen_check_size
    $error("link_receiver: ImageBytes must be 1 to 65535");
  end
  if (TimeoutCycles < 1) begin : gen_check_timeout
    $error("link_receiver: TimeoutCycles must be at least 1");
  end

  logic                    hunting_q;  // no flag seen yet
  logic                    escape_q;   // the byte before was an escape
  logic                    broken_q;   // a stop bit was missing since the last flag
  logic                    full_q;     // there was no room when the frame began
  logic                    length_good_q;
  logic [CountWidth-1:0]   count_q;    // bytes of the frame, escapes undone; stops at one more than the most
  logic [SilenceWidth-1:0] silence_q;
  kind_t                   kind_q;
  logic [7:0]              sequence_q, data;
  logic                    is_flag, is_escape, data_valid, is_image, known, begun, over, silent, crc_good;
  logic [15:0]             length;     // that the kind calls for
  logic [CountWidth-1:0]   total;      // bytes of a frame of this kind
  fault_t                  fault;
  logic [31:0]             crc;
  logic                    unused;

  assign unused = &{1'b0, crc};
  assign is_flag    = byte_valid_i && byte_i == Flag;
  assign is_escape  = byte_valid_i && byte_i == Escape;
  assign data_valid = byte_valid_i && !is_flag && !is_escape && !hunting_q;
  assign data       = escape_q ? byte_i ^ Toggle : byte_i;
  assign is_image   = kind_q == KindImage;
  assign known      = is_image || kind_q == KindIdentity || kind_q == KindCounters || kind_q == KindReset;
  assign length     = is_image ? 16'(ImageBytes) : '0;
  assign total      = is_image ? CountWidth'(MostBytes) : CountWidth'(FewestBytes);
  assign begun      = count_q != '0 || escape_q || broken_q;
  assign over       = is_flag && !hunting_q && begun;
  assign silent     = silence_q == SilenceWidth'(TimeoutCycles) && begun && !hunting_q;

  link_crc u_crc (
    .clk_i,
    .clear_i(!rst_ni || is_flag),
    .valid_i(data_valid),
    .data_i (data),
    .crc_o  (crc),
    .good_o (crc_good)
  );

  always_comb begin
    if (broken_q) begin
      fault = FaultFraming;
    end else if (count_q < CountWidth'(FewestBytes) || (known && count_q != total)) begin
      fault = FaultLength;
    end else if (!crc_good || escape_q) begin
      fault = FaultChecksum;
    end else if (!known) begin
      fault = FaultKind;
    end else if (!length_good_q) begin
      fault = FaultLength;
    end else if (is_image && full_q) begin
      fault = FaultOverrun;
    end else begin
      fault = FaultNone;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      hunting_q <= 1'b1;
      escape_q  <= 1'b0;
      broken_q  <= 1'b0;
      count_q   <= '0;
      silence_q <= '0;
    end else begin
      if (byte_valid_i || byte_error_i) begin
        silence_q <= '0;
      end else if (silence_q != SilenceWidth'(TimeoutCycles)) begin
        silence_q <= silence_q + SilenceWidth'(1);
      end
      if (is_flag || silent) begin
        hunting_q <= silent;
        escape_q  <= 1'b0;
        broken_q  <= 1'b0;
        count_q   <= '0;
      end else begin
        if (byte_error_i && !hunting_q) begin
          broken_q <= 1'b1;
        end
        if (is_escape) begin
          escape_q <= 1'b1;
        end else if (byte_valid_i) begin
          escape_q <= 1'b0;
        end
        if (data_valid && count_q != CountWidth'(MostBytes + 1)) begin
          count_q <= count_q + CountWidth'(1);
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (data_valid) begin
      if (count_q == '0) begin
        kind_q <= data;
        full_q <= full_i;
      end
      if (count_q == CountWidth'(1)) begin
        sequence_q <= data;
      end
      if (count_q == CountWidth'(2)) begin
        length_good_q <= data == length[7:0];
      end
      if (count_q == CountWidth'(3)) begin
        length_good_q <= length_good_q && data == length[15:8];
      end
    end
  end

  // Outputs.
  logic       rewind_q, payload_valid_q, request_q, image_q;
  logic [7:0] payload_q;
  fault_t     fault_q;

  always_ff @(posedge clk_i) begin
    payload_q <= data;
    if (!rst_ni) begin
      rewind_q        <= 1'b0;
      payload_valid_q <= 1'b0;
      request_q       <= 1'b0;
      image_q         <= 1'b0;
      fault_q         <= FaultNone;
    end else begin
      rewind_q        <= data_valid && count_q == '0;
      payload_valid_q <= data_valid && is_image && !full_q && count_q >= CountWidth'(HeaderBytes)
                         && count_q < CountWidth'(HeaderBytes + ImageBytes);
      request_q       <= over && fault == FaultNone && !is_image;
      image_q         <= over && fault == FaultNone && is_image;
      fault_q         <= silent ? FaultTimeout : (over ? fault : FaultNone);
    end
  end

  assign rewind_o        = rewind_q;
  assign payload_valid_o = payload_valid_q;
  assign payload_o       = payload_q;
  assign request_o       = request_q;
  assign image_o         = image_q;
  assign fault_o         = fault_q;
  assign kind_o          = kind_q;
  assign sequence_o      = sequence_q;
endmodule
