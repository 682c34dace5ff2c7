// Thresholds of one channel, shared by every kernel that quantizes.
//
// Function: value_o = OutBias + number of thresholds passed (acc_i >= T_i); with invert, OutBias + NumThresholds - that
// number (a falling function). OutBits bits, two's complement where OutBias is negative.
// One bit: NumThresholds = 1, OutBits = 1, OutBias = 0 gives (acc_i >= T_0) ^ invert.
// Latency: combinational.
// Encoding: word_i = {invert, T_{NumThresholds-1}, ..., T_0}, T ascending, each AccWidth bits, signed like acc_i.
// "Never" is a threshold above every reachable acc_i (AccWidth must hold it), "always" one at or below the least.
module threshold_unit #(
  parameter  int unsigned AccWidth      = 8,     // bits of the accumulator and of a threshold
  parameter  bit          Signed        = 1'b0,  // accumulator and thresholds are two's complement
  parameter  int unsigned NumThresholds = 1,     // >= 1
  parameter  int unsigned OutBits       = 1,     // bits of the result
  parameter  int          OutBias       = 0,     // result when no threshold is passed
  localparam int unsigned WordWidth     = 1 + NumThresholds * AccWidth
) (
  input  logic [AccWidth-1:0]  acc_i,
  input  logic [WordWidth-1:0] word_i,
  output logic [OutBits-1:0]   value_o
);
  if (NumThresholds < 1) begin : gen_check_count
    $error("threshold_unit: NumThresholds must be at least 1");
  end
  if (OutBits < 31 && NumThresholds >= 2 ** OutBits) begin : gen_check_bits
    $error("threshold_unit: OutBits cannot hold NumThresholds + 1 different results");
  end

  logic                     invert;
  logic [NumThresholds-1:0] passed;

  assign invert = word_i[WordWidth-1];

  for (genvar i = 0; i < NumThresholds; i++) begin : gen_threshold
    if (Signed) begin : gen_signed
      assign passed[i] = $signed(acc_i) >= $signed(word_i[i*AccWidth+:AccWidth]);
    end else begin : gen_unsigned
      assign passed[i] = acc_i >= word_i[i*AccWidth+:AccWidth];
    end
  end

  // Flipping every bit turns the count into NumThresholds - count.
  assign value_o = OutBits'($countones(passed ^ {NumThresholds{invert}}) + OutBias);
endmodule
