// Matrix-vector-threshold unit for integer activations or integer weights.
//
// Function: MH signed sums over MW inputs, PE channels and SIMD inputs a cycle, then thresholds (or raw sums).
//   No multiplier where a factor is bipolar: the other factor is added or subtracted.
// Steps: for nf in NF = MH/PE: for sf in SF = MW/SIMD; the input is taken in pass nf = 0 and replayed later (mvtu_control).
// Latency: 3 + ReadStages + SumStages cycles from the step sf = SF-1. SumStages is 1 for the products (2 where both factors
//   are wide: the first is a register behind the memories already) and ceil($clog2(SIMD) / 2) for their sum in adder_tree, or
//   that of xnor_popcount where both factors are bipolar.
// Initiation interval: NF*SF cycles a vector. in_ready_o does not depend on out_ready_i.
// Encoding: activations ActBits bits each: bipolar (ActBipolar, ActBits = 1: bit 1 = +1, bit 0 = -1), two's complement
//   (ActSigned) or unsigned. Weights: bipolar where WeightBits = 1, else two's complement.
//   in_data_i = {mask if HasMask, SIMD activations}, input sf*SIMD+i in bits i*ActBits and up; mask 1 = real, 0 = a
//   padded word that adds 0 (bipolar activations only; integers are padded with the integer 0).
//   out_data_o: channel nf*PE+pe in bits pe*OutBits and up; raw sums are two's complement.
//   WeightFile: NF*SF words, word nf*SF+sf, element pe*SIMD+i = weight of channel nf*PE+pe and input sf*SIMD+i.
//   In rows (see rom) it is the end of their files' names.
//   ThresholdFile (NumThresholds > 0): NF words of PE groups, group pe lowest first, each {invert, T_{N-1}, ..., T_0} with
//   T ascending, two's complement, AccWidth bits.
// AccWidth must hold every channel's final sum and every threshold; sums on the way may wrap, which does no harm.
module mixed_mvtu #(
  parameter  int unsigned MW             = 8,     // inputs (fan-in K)
  parameter  int unsigned MH             = 8,     // outputs
  parameter  int unsigned SIMD           = 8,     // inputs a cycle; divides MW
  parameter  int unsigned PE             = 8,     // outputs a cycle; divides MH
  parameter  int unsigned ActBits        = 8,     // bits an activation
  parameter  bit          ActSigned      = 1'b0,  // activations are two's complement
  parameter  bit          ActBipolar     = 1'b0,  // activations are bipolar; needs ActBits = 1, ActSigned = 0
  parameter  int unsigned WeightBits     = 1,     // bits a weight; 1 = bipolar
  parameter  bit          HasMask        = 1'b0,  // in_data_i carries a mask bit; needs ActBipolar
  parameter  int unsigned NumThresholds  = 1,     // thresholds a channel; 0: raw sums out
  parameter  int unsigned OutBits        = 1,     // bits a channel out
  parameter  int          OutBias        = 0,     // result when no threshold is passed
  parameter  int unsigned AccWidth       = 16,    // accumulator and threshold bits, two's complement
  parameter               WeightFile     = "",    // $readmemh file of the weights
  parameter               ThresholdFile  = "",    // $readmemh file of the thresholds; unused for raw sums
  parameter  int unsigned WeightStyle    = 0,      // where the weights lie (see rom)
  parameter  int unsigned ThresholdStyle = 0,      // where the thresholds lie
  parameter  int unsigned ReadStages     = 1,      // cycles of reading: 1, or 2 with a register behind weights and word
  parameter  int unsigned WeightRow      = 0,      // words a row of the weights (see rom); 0: no rows; needs ReadStages = 2
  parameter  int unsigned ThresholdRow   = 0,      // words a row of the thresholds
  localparam int unsigned InWidth        = SIMD * ActBits + (HasMask ? 1 : 0),
  localparam int unsigned OutWidth       = PE * OutBits
) (
  input  logic                clk_i,
  input  logic                rst_ni,       // synchronous, active low
  input  logic                in_valid_i,
  output logic                in_ready_o,
  input  logic [InWidth-1:0]  in_data_i,
  output logic                out_valid_o,
  input  logic                out_ready_i,
  output logic [OutWidth-1:0] out_data_o
);
  localparam int unsigned SF          = MW / SIMD;
  localparam int unsigned NF          = MH / PE;
  localparam int unsigned WeightAddrW = (SF * NF > 1) ? $clog2(SF * NF) : 1;
  // As in mixed_dot (and xnor_popcount): the width of a product and of the sum without overflow, and the latency.
  localparam bit          WeightBipolar = WeightBits == 1;
  localparam bit          Xnor          = ActBipolar && WeightBipolar;
  localparam bit          ActBit        = ActBits == 1 && !ActSigned;
  localparam bit          Wide          = !ActBipolar && !WeightBipolar && !ActBit;
  localparam int unsigned ProductWidth  = WeightBipolar ? ActBits + 1 : ActBit ? WeightBits : ActBits + WeightBits;
  localparam int unsigned FullSumWidth  = Xnor ? $clog2(SIMD + 1) + 1 : ProductWidth + $clog2(SIMD);
  localparam int unsigned SumWidth      = (FullSumWidth < AccWidth) ? FullSumWidth : AccWidth;
  localparam bit          HasExtra      = SIMD >= 4 && 2 ** $clog2(SIMD) == SIMD;
  localparam int unsigned Counted       = HasExtra ? SIMD - 1 : SIMD;
  localparam int unsigned CountStages   = (Counted > 3) ? ($clog2(Counted + 1) - 1) / 2 + 1 : 1;
  localparam int unsigned SumStages     = Xnor ? CountStages : (Wide ? 2 : 1) + ($clog2(SIMD) + 1) / 2;

  if (SIMD < 1 || PE < 1 || SF * SIMD != MW || NF * PE != MH) begin : gen_check_fold
    $error("mixed_mvtu: SIMD must divide MW and PE must divide MH");
  end
  if (ActBits < 1 || WeightBits < 1 || AccWidth < 1) begin : gen_check_bits
    $error("mixed_mvtu: ActBits, WeightBits and AccWidth must be at least 1");
  end
  if (ActBipolar && (ActBits != 1 || ActSigned)) begin : gen_check_bipolar
    $error("mixed_mvtu: ActBipolar needs ActBits = 1 and ActSigned = 0");
  end
  if (HasMask && !ActBipolar) begin : gen_check_mask
    $error("mixed_mvtu: HasMask needs ActBipolar; integers are padded with the integer 0");
  end
  if (NumThresholds == 0 && OutBits < 2) begin : gen_check_raw
    $error("mixed_mvtu: raw sums need OutBits of at least 2");
  end

  logic                          en, soon, step, last;
  logic [WeightAddrW-1:0]        weight_addr;
  logic [InWidth-1:0]            word;
  logic [PE*SIMD*WeightBits-1:0] weights;
  logic [PE*SumWidth-1:0]        values;
  logic [PE-1:0]                 carries;

  mvtu_control #(
    .SF        (SF),
    .NF        (NF),
    .InWidth   (InWidth),
    .ReadStages(ReadStages),
    .SumStages (SumStages)
  ) u_control (
    .clk_i,
    .rst_ni,
    .en_i         (en),
    .in_valid_i,
    .in_ready_o,
    .in_data_i,
    .weight_addr_o(weight_addr),
    .word_o       (word),
    .soon_o       (soon),
    .step_o       (step),
    .last_o       (last)
  );

  rom #(
    .Width   (PE * SIMD * WeightBits),
    .Depth   (NF * SF),
    .MemFile (WeightFile),
    .Style   (WeightStyle),
    .Stages  (ReadStages),
    .RowWords(WeightRow)
  ) u_weights (
    .clk_i,
    .en_i  (en),
    .addr_i(weight_addr),
    .data_o(weights)
  );

  logic mask;
  if (HasMask) begin : gen_mask
    assign mask = word[InWidth-1];
  end else begin : gen_no_mask
    assign mask = 1'b1;
  end

  for (genvar pe = 0; pe < PE; pe++) begin : gen_pe
    mixed_dot #(
      .SIMD      (SIMD),
      .ActBits   (ActBits),
      .ActSigned (ActSigned),
      .ActBipolar(ActBipolar),
      .WeightBits(WeightBits),
      .SumWidth  (SumWidth)
    ) u_dot (
      .clk_i,
      .en_i    (en),
      .mask_i  (mask),
      .act_i   (word[SIMD*ActBits-1:0]),
      .weight_i(weights[pe*SIMD*WeightBits+:SIMD*WeightBits]),
      .sum_o   (values[pe*SumWidth+:SumWidth]),
      .carry_o (carries[pe])
    );
  end

  mvtu_results #(
    .PE            (PE),
    .NF            (NF),
    .Width         (SumWidth),
    .Signed        (1'b1),
    .HasCarry      (Xnor ? HasExtra : ActBipolar || WeightBipolar),
    .OneStep       (SF == 1),
    .AccWidth      (AccWidth),
    .NumThresholds (NumThresholds),
    .OutBits       (OutBits),
    .OutBias       (OutBias),
    .ThresholdFile (ThresholdFile),
    .ThresholdStyle(ThresholdStyle),
    .ThresholdRow  (ThresholdRow)
  ) u_results (
    .clk_i,
    .rst_ni,
    .en_o   (en),
    .soon_i (soon),
    .step_i (step),
    .last_i (last),
    .value_i(values),
    .carry_i(carries),
    .out_valid_o,
    .out_ready_i,
    .out_data_o
  );
endmodule
