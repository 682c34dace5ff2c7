// The host's end of an accelerator on a board: images come in over a serial line, answers go out (docs/link.md).
//
// Function: gives the accelerator whole images whose checksum is right, sends its answers with their sequence numbers and time
//   stamps, answers requests (identity, counters, reset), reports and counts every damaged frame. Counters wrap.
// A reset request resets the accelerator (accelerator_rst_no), both buffers and the counters, then is answered.
// Of several things to send, faults come first, then answers to requests, then results. A fault that comes while another
//   waits to be sent takes its place; both are counted. A request that comes while another waits is an overrun.
// Latency and initiation interval: those of the line; the accelerator's input is fed 1 beat a cycle.
module host_link
  import link_pkg::*;
#(
  parameter int unsigned ClocksPerBit  = 100,      // clock rate / baud rate, >= 8
  parameter int unsigned TimeoutCycles = 1 << 20,  // silence that ends half a frame
  parameter int unsigned Slots         = 2,        // images in flight at most, a power of two >= 2
  parameter int unsigned InWidth       = 8,        // bits a beat into the accelerator
  parameter int unsigned InBeats       = 1,        // beats an image
  parameter int unsigned OutWidth      = 8,        // bits a beat out of it
  parameter int unsigned OutBeats      = 1,        // beats an answer
  parameter int unsigned IdentityBytes = 1,
  parameter logic [8*IdentityBytes-1:0] Identity = '0  // answer to an identity request, first byte in the low bits
) (
  input  logic                clk_i,
  input  logic                rst_ni,              // synchronous, active low
  input  logic                uart_rx_i,
  output logic                uart_tx_o,
  output logic                accelerator_rst_no,  // synchronous, active low
  output logic                image_valid_o,
  input  logic                image_ready_i,
  output logic [InWidth-1:0]  image_data_o,
  input  logic                answer_valid_i,
  output logic                answer_ready_o,
  input  logic [OutWidth-1:0] answer_data_i,
  input  logic                answer_last_i,
  output logic                busy_o,              // images are in flight
  output logic                fault_o              // one cycle: a frame was damaged
);
  localparam int unsigned BeatsPerByte  = (InWidth >= 8) ? 1 : 8 / InWidth;
  localparam int unsigned ImageBytes    = (InWidth >= 8) ? InBeats * ((InWidth + 7) / 8)
                                                         : (InBeats + BeatsPerByte - 1) / BeatsPerByte;
  localparam int unsigned ResultBytes   = OutBeats * ((OutWidth + 7) / 8) + 8;
  localparam int unsigned CounterBytes  = 4 + 2 * Faults;
  localparam int unsigned IdentityIndex = (IdentityBytes > 1) ? $clog2(IdentityBytes) : 1;
  localparam int unsigned CounterIndex  = $clog2(CounterBytes);

  if (IdentityBytes < 1 || IdentityBytes > 255 || ResultBytes > 65535) begin : gen_check_size
    $error("host_link: IdentityBytes must be 1 to 255, the bytes of an answer at most 65535");
  end

  // --- line ---
  logic       rx_valid, rx_error, tx_valid, tx_ready;
  logic [7:0] rx_data, tx_data;

  uart_rx #(
    .ClocksPerBit(ClocksPerBit)
  ) u_uart_rx (
    .clk_i,
    .rst_ni,
    .rx_i   (uart_rx_i),
    .valid_o(rx_valid),
    .data_o (rx_data),
    .error_o(rx_error)
  );

  uart_tx #(
    .ClocksPerBit(ClocksPerBit)
  ) u_uart_tx (
    .clk_i,
    .rst_ni,
    .valid_i(tx_valid),
    .ready_o(tx_ready),
    .data_i (tx_data),
    .tx_o   (uart_tx_o)
  );

  // --- frames in ---
  logic       restart_nq;  // low as long as the reset, and for one cycle where one is requested
  logic       rewind, payload_valid, request, image, full;
  logic [7:0] payload, sequence_in;
  kind_t      kind_in;
  fault_t     fault;

  link_receiver #(
    .ImageBytes   (ImageBytes),
    .TimeoutCycles(TimeoutCycles)
  ) u_receiver (
    .clk_i,
    .rst_ni         (restart_nq),
    .byte_valid_i   (rx_valid),
    .byte_i         (rx_data),
    .byte_error_i   (rx_error),
    .full_i         (full),
    .rewind_o       (rewind),
    .payload_valid_o(payload_valid),
    .payload_o      (payload),
    .request_o      (request),
    .image_o        (image),
    .fault_o        (fault),
    .kind_o         (kind_in),
    .sequence_o     (sequence_in)
  );

  assign accelerator_rst_no = restart_nq;

  // --- buffers ---
  logic       image_first, answer, answer_next, answer_done;
  logic [7:0] answer_sequence, answer_byte;

  image_buffer #(
    .Width(InWidth),
    .Beats(InBeats),
    .Slots(Slots)
  ) u_images (
    .clk_i,
    .rst_ni      (restart_nq),
    .byte_valid_i(payload_valid),
    .byte_i      (payload),
    .rewind_i    (rewind),
    .commit_i    (image),
    .out_valid_o (image_valid_o),
    .out_ready_i (image_ready_i),
    .out_data_o  (image_data_o),
    .out_first_o (image_first)
  );

  result_buffer #(
    .Width(OutWidth),
    .Beats(OutBeats),
    .Slots(Slots)
  ) u_results (
    .clk_i,
    .rst_ni    (restart_nq),
    .image_i   (image),
    .sequence_i(sequence_in),
    .begin_i   (image_valid_o && image_ready_i && image_first),
    .in_valid_i(answer_valid_i),
    .in_ready_o(answer_ready_o),
    .in_data_i (answer_data_i),
    .in_last_i (answer_last_i),
    .busy_o    (busy_o),
    .full_o    (full),
    .answer_o  (answer),
    .sequence_o(answer_sequence),
    .byte_o    (answer_byte),
    .next_i    (answer_next),
    .done_i    (answer_done)
  );

  // --- what is to be said ---
  typedef enum logic [1:0] {SourceFault, SourceIdentity, SourceCounters, SourceAnswer} source_e;

  logic        tx_start, tx_idle, tx_done, tx_next, request_waits_q, fault_waits_q, say_fault, say_request;
  logic        is_identity, is_counters, restart;
  source_e     source_q;
  fault_t      fault_now, fault_q;
  kind_t       request_q, tx_kind_q;
  logic [7:0]  request_sequence_q, fault_sequence_q, tx_sequence_q, tx_payload_q;
  logic [15:0] tx_length_q, tx_index, index_q;
  logic [7:0]  identity_q, counter_q;
  logic        unused;

  assign unused      = &{1'b0, index_q};
  assign fault_now   = (request && request_waits_q) ? FaultOverrun : fault;
  assign fault_o     = fault_now != FaultNone;
  assign tx_start    = tx_idle && (fault_waits_q || request_waits_q || answer);
  assign say_fault   = tx_idle && fault_waits_q;
  assign say_request = tx_idle && !fault_waits_q && request_waits_q;
  assign is_identity = request_q == KindIdentity;
  assign is_counters = request_q == KindCounters;
  // Nothing else is being sent while the buffers are reset, so no answer is cut off.
  assign restart     = say_request && request_q == KindReset;
  assign answer_next = tx_next && source_q == SourceAnswer;
  assign answer_done = tx_done && source_q == SourceAnswer;

  always_ff @(posedge clk_i) begin
    restart_nq <= rst_ni && !restart;
    if (!rst_ni) begin
      request_waits_q <= 1'b0;
      fault_waits_q   <= 1'b0;
    end else begin
      request_waits_q <= (request_waits_q && !say_request) || request;
      fault_waits_q   <= (fault_waits_q && !say_fault) || fault_now != FaultNone;
    end
    if (request && !request_waits_q) begin
      request_q          <= kind_in;
      request_sequence_q <= sequence_in;
    end
    if (fault_now != FaultNone) begin
      fault_q          <= fault_now;
      fault_sequence_q <= sequence_in;
    end
  end

  logic [2:0] code_q;  // of the fault that is being sent

  always_ff @(posedge clk_i) begin
    if (say_fault) begin
      source_q      <= SourceFault;
      code_q        <= fault_q;
      tx_kind_q     <= Reply | KindError;
      tx_sequence_q <= fault_sequence_q;
      tx_length_q   <= 16'd1;
    end else if (say_request) begin
      source_q      <= is_identity ? SourceIdentity : SourceCounters;
      tx_kind_q     <= Reply | request_q;
      tx_sequence_q <= request_sequence_q;
      tx_length_q   <= is_identity ? 16'(IdentityBytes) : (is_counters ? 16'(CounterBytes) : '0);
    end else if (tx_start) begin
      source_q      <= SourceAnswer;
      tx_kind_q     <= Reply | KindImage;
      tx_sequence_q <= answer_sequence;
      tx_length_q   <= 16'(ResultBytes);
    end
  end

  link_transmitter u_transmitter (
    .clk_i,
    .rst_ni,
    .start_i     (tx_start),
    .ready_o     (tx_idle),
    .kind_i      (tx_kind_q),
    .sequence_i  (tx_sequence_q),
    .length_i    (tx_length_q),
    .index_o     (tx_index),
    .next_o      (tx_next),
    .payload_i   (tx_payload_q),
    .done_o      (tx_done),
    .byte_valid_o(tx_valid),
    .byte_ready_i(tx_ready),
    .byte_o      (tx_data)
  );

  // --- counters, and the payload of what is being sent ---
  logic [31:0]              answers_q;
  logic [15:0]              faults_q [Faults];
  logic [8*CounterBytes-1:0] counters;

  always_ff @(posedge clk_i) begin
    if (!restart_nq) begin
      answers_q <= '0;
    end else if (answer_done) begin
      answers_q <= answers_q + 32'd1;
    end
  end

  assign counters[31:0] = answers_q;
  for (genvar i = 0; i < Faults; i++) begin : gen_faults
    assign counters[32+16*i+:16] = faults_q[i];
    always_ff @(posedge clk_i) begin
      if (!restart_nq) begin
        faults_q[i] <= '0;
      end else if (fault_now == fault_t'(i + 1)) begin
        faults_q[i] <= faults_q[i] + 16'd1;
      end
    end
  end

  // There is time: the transmitter asks for a byte when the one before goes out.

  always_ff @(posedge clk_i) begin
    index_q    <= tx_index;
    identity_q <= Identity[8*index_q[IdentityIndex-1:0]+:8];
    counter_q  <= counters[8*index_q[CounterIndex-1:0]+:8];
    unique case (source_q)
      SourceFault:    tx_payload_q <= 8'(code_q);
      SourceIdentity: tx_payload_q <= identity_q;
      SourceCounters: tx_payload_q <= counter_q;
      default:        tx_payload_q <= answer_byte;
    endcase
  end
endmodule
