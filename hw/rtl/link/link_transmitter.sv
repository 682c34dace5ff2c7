// Puts frames together: header, payload and CRC, escaped and between flags (docs/link.md has the protocol).
//
// Function: with start_i (while ready_o) a frame of the given kind, sequence number and payload length begins; these three
//   must hold still until ready_o again. The payload is fetched byte by byte: payload_i is the byte number index_o;
//   next_o says for one cycle that it has been taken. done_o: one cycle, at the end of the frame.
// Latency: payload_i may lag behind index_o and next_o by up to 8 cycles. A byte takes the line at least 20 cycles, in which
//   byte_ready_i is 0; all that leads to the next byte settles meanwhile, through registers.
module link_transmitter
  import link_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_ni,      // synchronous, active low
  input  logic        start_i,
  output logic        ready_o,
  input  kind_t       kind_i,
  input  logic [7:0]  sequence_i,
  input  logic [15:0] length_i,    // bytes of the payload
  output logic [15:0] index_o,
  output logic        next_o,
  input  logic [7:0]  payload_i,
  output logic        done_o,
  output logic        byte_valid_o,
  input  logic        byte_ready_i,
  output logic [7:0]  byte_o
);
  typedef enum logic [2:0] {StateIdle, StateOpen, StateHeader, StatePayload, StateCheck, StateClose} state_e;

  state_e      state_q, state_d;
  logic [15:0] index_q;
  logic        escaped_q, special_q, special, sent, taken, last, last_q, crc_good, unused;
  logic [7:0]  data, data_q;
  logic [31:0] crc;

  assign unused = &{1'b0, crc_good};

  link_crc u_crc (
    .clk_i,
    .clear_i(state_q == StateOpen || !rst_ni),
    .valid_i(taken && state_q != StateCheck),
    .data_i (data_q),
    .crc_o  (crc),
    .good_o (crc_good)
  );

  always_comb begin
    unique case (state_q)
      StateHeader: begin
        unique case (index_q[1:0])
          2'd0:    data = kind_i;
          2'd1:    data = sequence_i;
          2'd2:    data = length_i[7:0];
          default: data = length_i[15:8];
        endcase
      end
      StatePayload: data = payload_i;
      StateCheck:   data = ~crc[8*index_q[1:0]+:8];
      default:      data = Flag;
    endcase
  end

  // A frame's own flags go as they are; a flag or an escape within it goes as two bytes.
  assign special = special_q && state_q != StateOpen && state_q != StateClose;
  assign byte_o  = escaped_q ? data_q ^ Toggle : (special ? Escape : data_q);
  assign sent    = byte_valid_o && byte_ready_i;
  assign taken   = sent && (!special || escaped_q) && state_q != StateOpen && state_q != StateClose;

  assign byte_valid_o = state_q != StateIdle;
  assign ready_o      = state_q == StateIdle;
  assign index_o      = index_q;
  assign next_o       = taken && state_q == StatePayload;
  assign done_o       = sent && state_q == StateClose;

  always_comb begin
    unique case (state_q)
      StatePayload: last = index_q == length_i - 16'd1;
      default:      last = index_q[1:0] == 2'd3;
    endcase
    state_d = state_q;
    unique case (state_q)
      StateIdle:    if (start_i) state_d = StateOpen;
      StateOpen:    if (sent) state_d = StateHeader;
      StateHeader:  if (taken && last_q) state_d = (length_i == '0) ? StateCheck : StatePayload;
      StatePayload: if (taken && last_q) state_d = StateCheck;
      StateCheck:   if (taken && last_q) state_d = StateClose;
      default:      if (sent) state_d = StateIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    data_q    <= data;
    special_q <= data_q == Flag || data_q == Escape;
    last_q    <= last;
    if (!rst_ni) begin
      state_q   <= StateIdle;
      escaped_q <= 1'b0;
      index_q   <= '0;
    end else begin
      state_q <= state_d;
      if (sent) begin
        escaped_q <= special && !escaped_q;
      end
      if (taken) begin
        index_q <= last_q ? '0 : index_q + 16'd1;
      end
    end
  end
endmodule
