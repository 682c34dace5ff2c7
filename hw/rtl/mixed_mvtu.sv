// Matrix-vector-threshold unit for integer activations or integer weights.
//
// Function: MH signed sums over MW inputs, PE channels and SIMD inputs a cycle, then thresholds (or raw sums).
//   No multiplier where a factor is bipolar: the other factor is added or subtracted.
// Steps: for nf in NF = MH/PE: for sf in SF = MW/SIMD; the input is taken in pass nf = 0 and replayed later (mvtu_control).
// Latency: 4 cycles from the step sf = SF-1. Initiation interval: NF*SF cycles a vector.
// Encoding: activations ActBits bits each: bipolar (ActBipolar, ActBits = 1: bit 1 = +1, bit 0 = -1), two's complement
//   (ActSigned) or unsigned. Weights: bipolar where WeightBits = 1, else two's complement.
//   in_data_i = {mask if HasMask, SIMD activations}, input sf*SIMD+i in bits i*ActBits and up; mask 1 = real, 0 = a
//   padded word that adds 0 (bipolar activations only; integers are padded with the integer 0).
//   out_data_o: channel nf*PE+pe in bits pe*OutBits and up; raw sums are two's complement.
//   WeightFile: NF*SF words, word nf*SF+sf, element pe*SIMD+i = weight of channel nf*PE+pe and input sf*SIMD+i.
//   ThresholdFile (NumThresholds > 0): NF words of PE groups, group pe lowest first, each {invert, T_{N-1}, ..., T_0} with
//   T ascending, two's complement, AccWidth bits.
// AccWidth must hold every channel's final sum and every threshold; sums on the way may wrap, which does no harm.
module mixed_mvtu #(
  parameter  int unsigned MW            = 8,     // inputs (fan-in K)
  parameter  int unsigned MH            = 8,     // outputs
  parameter  int unsigned SIMD          = 8,     // inputs a cycle; divides MW
  parameter  int unsigned PE            = 8,     // outputs a cycle; divides MH
  parameter  int unsigned ActBits       = 8,     // bits an activation
  parameter  bit          ActSigned     = 1'b0,  // activations are two's complement
  parameter  bit          ActBipolar    = 1'b0,  // activations are bipolar; needs ActBits = 1, ActSigned = 0
  parameter  int unsigned WeightBits    = 1,     // bits a weight; 1 = bipolar
  parameter  bit          HasMask       = 1'b0,  // in_data_i carries a mask bit; needs ActBipolar
  parameter  int unsigned NumThresholds = 1,     // thresholds a channel; 0: raw sums out
  parameter  int unsigned OutBits       = 1,     // bits a channel out
  parameter  int          OutBias       = 0,     // result when no threshold is passed
  parameter  int unsigned AccWidth      = 16,    // accumulator and threshold bits, two's complement
  parameter               WeightFile    = "",    // $readmemh file of the weights
  parameter               ThresholdFile = "",    // $readmemh file of the thresholds; unused for raw sums
  localparam int unsigned InWidth       = SIMD * ActBits + (HasMask ? 1 : 0),
  localparam int unsigned OutWidth      = PE * OutBits
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
  localparam int unsigned FoldAddrW   = (NF > 1) ? $clog2(NF) : 1;
  localparam int unsigned ThrWidth    = 1 + NumThresholds * AccWidth;
  // Every product, and the sum of SIMD of them, fits without overflow. A bipolar factor may negate: one bit more.
  localparam bit          WeightBipolar = WeightBits == 1;
  localparam int unsigned ProductWidth  = ActBipolar ? WeightBits + 1
                                        : WeightBipolar ? ActBits + 1 : ActBits + WeightBits;
  localparam int unsigned FullSumWidth  = ProductWidth + $clog2(SIMD + 1);
  localparam int unsigned SumWidth      = (FullSumWidth < AccWidth) ? FullSumWidth : AccWidth;

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

  logic                         weight_en, product_en, acc_en, acc_first, fold_en, out_en;
  logic [WeightAddrW-1:0]       weight_addr;
  logic [FoldAddrW-1:0]         fold_addr;
  logic [InWidth-1:0]           word;
  logic [PE*SIMD*WeightBits-1:0] weights;

  mvtu_control #(
    .SF     (SF),
    .NF     (NF),
    .InWidth(InWidth)
  ) u_control (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_ready_o,
    .in_data_i,
    .out_valid_o,
    .out_ready_i,
    .weight_en_o  (weight_en),
    .weight_addr_o(weight_addr),
    .word_o       (word),
    .product_en_o (product_en),
    .acc_en_o     (acc_en),
    .acc_first_o  (acc_first),
    .fold_en_o    (fold_en),
    .fold_addr_o  (fold_addr),
    .out_en_o     (out_en)
  );

  rom #(
    .Width  (PE * SIMD * WeightBits),
    .Depth  (NF * SF),
    .MemFile(WeightFile)
  ) u_weights (
    .clk_i,
    .en_i  (weight_en),
    .addr_i(weight_addr),
    .data_o(weights)
  );

  logic [PE*ThrWidth-1:0] thresholds;
  if (NumThresholds > 0) begin : gen_thresholds
    rom #(
      .Width  (PE * ThrWidth),
      .Depth  (NF),
      .MemFile(ThresholdFile)
    ) u_thresholds (
      .clk_i,
      .en_i  (fold_en),
      .addr_i(fold_addr),
      .data_o(thresholds)
    );
  end else begin : gen_no_thresholds
    assign thresholds = '0;
    logic unused;
    assign unused = ^{fold_en, fold_addr, thresholds};
  end

  for (genvar pe = 0; pe < PE; pe++) begin : gen_pe
    logic [SIMD*WeightBits-1:0] lane_weights;
    logic signed [SumWidth-1:0] sum_d, sum_q;
    logic signed [AccWidth-1:0] acc_q;
    logic [OutBits-1:0]         value_d, value_q;

    assign lane_weights = weights[pe*SIMD*WeightBits+:SIMD*WeightBits];

    if (ActBipolar && WeightBipolar) begin : gen_xnor
      localparam int unsigned CountWidth = $clog2(SIMD + 1);
      logic [CountWidth-1:0] count;
      xnor_popcount #(
        .Width(SIMD)
      ) u_popcount (
        .act_i   (word[SIMD-1:0]),
        .weight_i(lane_weights),
        .count_o (count)
      );
      always_comb begin
        sum_d = SumWidth'({count, 1'b0}) - SumWidth'(SIMD);
        if (HasMask && !word[InWidth-1]) begin
          sum_d = '0;
        end
      end
    end else if (ActBipolar) begin : gen_act_bipolar
      // -w = ~w + 1: the ones are counted apart, so that no lane needs an adder of its own.
      always_comb begin
        sum_d = SumWidth'($countones(~word[SIMD-1:0]));
        for (int unsigned i = 0; i < SIMD; i++) begin
          sum_d = sum_d + SumWidth'($signed(lane_weights[i*WeightBits+:WeightBits] ^ {WeightBits{~word[i]}}));
        end
        if (HasMask && !word[InWidth-1]) begin
          sum_d = '0;
        end
      end
    end else if (WeightBipolar) begin : gen_weight_bipolar
      always_comb begin
        sum_d = SumWidth'($countones(~lane_weights));
        for (int unsigned i = 0; i < SIMD; i++) begin
          // The sign bit of an unsigned activation is 0.
          sum_d = sum_d + SumWidth'($signed({ActSigned & word[i*ActBits+ActBits-1], word[i*ActBits+:ActBits]}
                                            ^ {(ActBits + 1){~lane_weights[i]}}));
        end
      end
    end else if (ActBits == 1 && !ActSigned) begin : gen_act_bit
      always_comb begin
        sum_d = '0;
        for (int unsigned i = 0; i < SIMD; i++) begin
          sum_d = sum_d + SumWidth'($signed(lane_weights[i*WeightBits+:WeightBits] & {WeightBits{word[i]}}));
        end
      end
    end else begin : gen_product
      always_comb begin
        sum_d = '0;
        for (int unsigned i = 0; i < SIMD; i++) begin
          sum_d = sum_d + SumWidth'(
            ProductWidth'($signed({ActSigned & word[i*ActBits+ActBits-1], word[i*ActBits+:ActBits]}))
            * ProductWidth'($signed(lane_weights[i*WeightBits+:WeightBits])));
        end
      end
    end

    if (NumThresholds > 0) begin : gen_quantize
      threshold_unit #(
        .AccWidth     (AccWidth),
        .Signed       (1'b1),
        .NumThresholds(NumThresholds),
        .OutBits      (OutBits),
        .OutBias      (OutBias)
      ) u_threshold (
        .acc_i  (acc_q),
        .word_i (thresholds[pe*ThrWidth+:ThrWidth]),
        .value_o(value_d)
      );
    end else begin : gen_raw
      assign value_d = OutBits'(acc_q);
    end

    always_ff @(posedge clk_i) begin
      if (product_en) begin
        sum_q <= sum_d;
      end
      if (acc_en) begin
        acc_q <= acc_first ? AccWidth'(sum_q) : acc_q + AccWidth'(sum_q);
      end
      if (out_en) begin
        value_q <= value_d;
      end
    end

    assign out_data_o[pe*OutBits+:OutBits] = value_q;
  end
endmodule
