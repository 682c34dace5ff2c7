// Matrix-vector-threshold unit for bipolar activations and bipolar weights (XNOR and popcount).
//
// Function: MH sums over MW inputs, PE channels and SIMD inputs a cycle, then thresholds (or raw sums).
//   Accumulator, unsigned: without HasMask p = popcount(xnor), 0..MW; with HasMask acc2 = sum over the words of
//   (mask ? 2 * popcount : SIMD), 0..2*MW, so that a padded (mask = 0) word adds nothing to the dot product.
//   The dot product is s = 2p - MW, or acc2 - MW.
// Steps: for nf in NF = MH/PE: for sf in SF = MW/SIMD; the input is taken in pass nf = 0 and replayed later (mvtu_control).
// Latency: 4 cycles from the step sf = SF-1. Initiation interval: NF*SF cycles a vector.
// Encoding: bit 1 = +1, bit 0 = -1. in_data_i = {mask if HasMask, SIMD bits}, input sf*SIMD+i in bit i; mask 1 = real.
//   out_data_o: channel nf*PE+pe in bits pe*OutBits and up.
//   WeightFile: NF*SF words, word nf*SF+sf, bit pe*SIMD+i = weight of channel nf*PE+pe and input sf*SIMD+i.
//   ThresholdFile (NumThresholds > 0): NF words of PE groups, group pe lowest first, each {invert, T_{N-1}, ..., T_0} with
//   T ascending, unsigned, AccWidth bits, in the domain of the accumulator (p, or acc2 with HasMask).
module xnor_mvtu #(
  parameter  int unsigned MW            = 8,     // inputs (fan-in K)
  parameter  int unsigned MH            = 8,     // outputs
  parameter  int unsigned SIMD          = 8,     // inputs a cycle; divides MW
  parameter  int unsigned PE            = 8,     // outputs a cycle; divides MH
  parameter  bit          HasMask       = 1'b0,  // in_data_i carries a mask bit (zero padding)
  parameter  int unsigned NumThresholds = 1,     // thresholds a channel; 0: raw sums s out
  parameter  int unsigned OutBits       = 1,     // bits a channel out
  parameter  int          OutBias       = 0,     // result when no threshold is passed
  parameter  int unsigned AccWidth      = 4,     // accumulator and threshold bits; >= $clog2(MW+1), or $clog2(2*MW+1)
  parameter               WeightFile    = "",    // $readmemh file of the weights
  parameter               ThresholdFile = "",    // $readmemh file of the thresholds; unused for raw sums
  localparam int unsigned InWidth       = SIMD + (HasMask ? 1 : 0),
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
  localparam int unsigned CountWidth  = $clog2(SIMD + 1);
  localparam int unsigned AddWidth    = HasMask ? CountWidth + 1 : CountWidth;  // what a step adds: 0..SIMD or 0..2*SIMD
  localparam int unsigned MinAccWidth = HasMask ? $clog2(2 * MW + 1) : $clog2(MW + 1);
  localparam int unsigned ThrWidth    = 1 + NumThresholds * AccWidth;

  if (SIMD < 1 || PE < 1 || SF * SIMD != MW || NF * PE != MH) begin : gen_check_fold
    $error("xnor_mvtu: SIMD must divide MW and PE must divide MH");
  end
  if (AccWidth < MinAccWidth) begin : gen_check_acc
    $error("xnor_mvtu: AccWidth cannot hold the largest sum");
  end
  if (NumThresholds == 0 && OutBits < $clog2(MW + 1) + 1) begin : gen_check_raw
    $error("xnor_mvtu: OutBits cannot hold the raw sums -MW..MW");
  end

  logic                   weight_en, product_en, acc_en, acc_first, fold_en, out_en;
  logic [WeightAddrW-1:0] weight_addr;
  logic [FoldAddrW-1:0]   fold_addr;
  logic [InWidth-1:0]     word;
  logic [PE*SIMD-1:0]     weights;

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
    .Width  (PE * SIMD),
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
    logic [CountWidth-1:0] count;
    logic [AddWidth-1:0]   add_d, add_q;
    logic [AccWidth-1:0]   acc_q;
    logic [OutBits-1:0]    value_d, value_q;

    xnor_popcount #(
      .Width(SIMD)
    ) u_popcount (
      .act_i   (word[SIMD-1:0]),
      .weight_i(weights[pe*SIMD+:SIMD]),
      .count_o (count)
    );

    if (HasMask) begin : gen_mask
      assign add_d = word[InWidth-1] ? {count, 1'b0} : AddWidth'(SIMD);
    end else begin : gen_no_mask
      assign add_d = count;
    end

    if (NumThresholds > 0) begin : gen_quantize
      threshold_unit #(
        .AccWidth     (AccWidth),
        .Signed       (1'b0),
        .NumThresholds(NumThresholds),
        .OutBits      (OutBits),
        .OutBias      (OutBias)
      ) u_threshold (
        .acc_i  (acc_q),
        .word_i (thresholds[pe*ThrWidth+:ThrWidth]),
        .value_o(value_d)
      );
    end else if (HasMask) begin : gen_raw_mask
      assign value_d = OutBits'(acc_q) - OutBits'(MW);
    end else begin : gen_raw
      assign value_d = OutBits'({acc_q, 1'b0}) - OutBits'(MW);
    end

    always_ff @(posedge clk_i) begin
      if (product_en) begin
        add_q <= add_d;
      end
      if (acc_en) begin
        acc_q <= acc_first ? AccWidth'(add_q) : acc_q + AccWidth'(add_q);
      end
      if (out_en) begin
        value_q <= value_d;
      end
    end

    assign out_data_o[pe*OutBits+:OutBits] = value_q;
  end
endmodule
