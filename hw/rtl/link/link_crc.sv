// CRC-32 of a sequence of bytes (IEEE 802.3: polynomial 04C11DB7, reflected, all ones before and inverted after).
//
// Function: takes a bit a cycle; a byte on a serial line lasts at least 80 cycles, and this form is a few dozen LUTs.
// Latency: 8 cycles from valid_i to the new crc_o; valid_i must not come again before. clear_i starts anew.
// Encoding: crc_o is the register before the final inversion, so that a message followed by its own inverted CRC, low byte
//   first, leaves the constant good_o looks for.
module link_crc (
  input  logic        clk_i,
  input  logic        clear_i,  // synchronous; also the reset
  input  logic        valid_i,  // one cycle: data_i is the next byte
  input  logic [7:0]  data_i,
  output logic [31:0] crc_o,
  output logic        good_o    // the bytes so far end in their own CRC
);
  localparam logic [31:0] Polynomial = 32'hEDB88320;  // reflected
  localparam logic [31:0] Residue    = 32'hDEBB20E3;

  logic [31:0] crc_q;
  logic [7:0]  byte_q;
  logic [3:0]  left_q;

  assign crc_o  = crc_q;
  assign good_o = crc_q == Residue;

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      crc_q  <= '1;
      left_q <= '0;
    end else if (valid_i) begin
      byte_q <= data_i;
      left_q <= 4'd8;
    end else if (left_q != '0) begin
      crc_q  <= {1'b0, crc_q[31:1]} ^ ((crc_q[0] ^ byte_q[0]) ? Polynomial : '0);
      byte_q <= {1'b0, byte_q[7:1]};
      left_q <= left_q - 4'd1;
    end
  end
endmodule
