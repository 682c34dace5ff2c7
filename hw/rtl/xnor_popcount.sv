// Number of matching bits of two Width-bit words.
//
// Function: count_o = popcount(~(act_i ^ weight_i)); the dot product of the bipolar vectors is 2 * count_o - Width.
// Latency: combinational. Encoding: bit 1 = +1, bit 0 = -1; the count is unsigned.
// A plain count is what synthesizers map best on LUT4 (no hand-made compressor tree beats it there).
module xnor_popcount #(
  parameter  int unsigned Width      = 64,  // bits compared
  localparam int unsigned CountWidth = $clog2(Width + 1)
) (
  input  logic [Width-1:0]      act_i,
  input  logic [Width-1:0]      weight_i,
  output logic [CountWidth-1:0] count_o
);
  if (Width < 1) begin : gen_check_width
    $error("xnor_popcount: Width must be at least 1");
  end

  logic [Width-1:0] match;

  assign match   = ~(act_i ^ weight_i);
  assign count_o = CountWidth'($countones(match));
endmodule
