// Matrix-vector-threshold unit for bipolar activations and bipolar weights (XNOR and popcount).
//
// Function: MH sums over MW inputs, PE channels and SIMD inputs a cycle, then thresholds (or raw sums).
//   Accumulator, unsigned: without HasMask p = popcount(xnor), 0..MW; with HasMask acc2 = sum over the words of
//   (mask ? 2 * popcount : SIMD), 0..2*MW, so that a padded (mask = 0) word adds nothing to the dot product.
//   The dot product is s = 2p - MW, or acc2 - MW.
// Steps: for nf in NF = MH/PE: for sf in SF = MW/SIMD; the input is taken in pass nf = 0 and replayed later (mvtu_control).
// Latency: 3 + ReadStages + SumStages cycles from the step sf = SF-1; SumStages (xnor_popcount) is 1 up to SIMD = 4, 2 up to
//   16, 3 up to 64, 4 up to 256, ... Initiation interval: NF*SF cycles a vector. in_ready_o does not depend on out_ready_i.
// Encoding: bit 1 = +1, bit 0 = -1. in_data_i = {mask if HasMask, SIMD bits}, input sf*SIMD+i in bit i; mask 1 = real.
//   out_data_o: channel nf*PE+pe in bits pe*OutBits and up.
//   WeightFile: NF*SF words, word nf*SF+sf, bit pe*SIMD+i = weight of channel nf*PE+pe and input sf*SIMD+i.
//   In rows (see rom) it is the end of their files' names.
//   ThresholdFile (NumThresholds > 0): NF words of PE groups, group pe lowest first, each {invert, T_{N-1}, ..., T_0} with
//   T ascending, unsigned, AccWidth bits, in the domain of the accumulator (p, or acc2 with HasMask).
module xnor_mvtu #(
  parameter  int unsigned MW             = 8,     // inputs (fan-in K)
  parameter  int unsigned MH             = 8,     // outputs
  parameter  int unsigned SIMD           = 8,     // inputs a cycle; divides MW
  parameter  int unsigned PE             = 8,     // outputs a cycle; divides MH
  parameter  bit          HasMask        = 1'b0,  // in_data_i carries a mask bit (zero padding)
  parameter  int unsigned NumThresholds  = 1,     // thresholds a channel; 0: raw sums s out
  parameter  int unsigned OutBits        = 1,     // bits a channel out
  parameter  int          OutBias        = 0,     // result when no threshold is passed
  parameter  int unsigned AccWidth       = 4,     // accumulator and threshold bits; >= $clog2(MW+1), or $clog2(2*MW+1)
  parameter               WeightFile     = "",    // $readmemh file of the weights
  parameter               ThresholdFile  = "",    // $readmemh file of the thresholds; unused for raw sums
  parameter  int unsigned WeightStyle    = 0,      // where the weights lie (see rom)
  parameter  int unsigned ThresholdStyle = 0,      // where the thresholds lie
  parameter  int unsigned ReadStages     = 1,      // cycles of reading: 1, or 2 with a register behind weights and word
  parameter  int unsigned WeightRow      = 0,      // words a row of the weights (see rom); 0: no rows; needs ReadStages = 2
  parameter  int unsigned ThresholdRow   = 0,      // words a row of the thresholds
  localparam int unsigned InWidth        = SIMD + (HasMask ? 1 : 0),
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
  // As in xnor_popcount: matches it counts in its tree, its levels and its latency.
  localparam int unsigned Counted     = (SIMD >= 4 && 2 ** $clog2(SIMD) == SIMD) ? SIMD - 1 : SIMD;
  localparam bit          HasExtra    = Counted != SIMD;
  localparam int unsigned CountWidth  = $clog2(Counted + 1);
  localparam int unsigned SumStages   = (Counted > 3) ? ($clog2(Counted + 1) - 1) / 2 + 1 : 1;
  localparam int unsigned AddWidth    = HasMask ? $clog2(SIMD + 1) + 1 : CountWidth;  // what a step adds, less its carry
  localparam int unsigned MinAccWidth = HasMask ? $clog2(2 * MW + 1) : $clog2(MW + 1);

  if (SIMD < 1 || PE < 1 || SF * SIMD != MW || NF * PE != MH) begin : gen_check_fold
    $error("xnor_mvtu: SIMD must divide MW and PE must divide MH");
  end
  if (AccWidth < MinAccWidth) begin : gen_check_acc
    $error("xnor_mvtu: AccWidth cannot hold the largest sum");
  end
  if (NumThresholds == 0 && OutBits < $clog2(MW + 1) + 1) begin : gen_check_raw
    $error("xnor_mvtu: OutBits cannot hold the raw sums -MW..MW");
  end

  logic                   en, soon, step, last;
  logic [WeightAddrW-1:0] weight_addr;
  logic [InWidth-1:0]     word;
  logic [PE*SIMD-1:0]     weights;
  logic [PE*AddWidth-1:0] values;
  logic [PE-1:0]          carries;

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
    .Width   (PE * SIMD),
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

  // The mask bit of the step whose count is ready.
  logic mask;
  if (HasMask) begin : gen_mask
    logic [SumStages-1:0] mask_q;
    always_ff @(posedge clk_i) begin
      if (en) begin
        mask_q <= SumStages'({mask_q, word[InWidth-1]});
      end
    end
    assign mask = mask_q[SumStages-1];
  end else begin : gen_no_mask
    assign mask = 1'b1;
    logic unused;
    assign unused = mask;
  end

  for (genvar pe = 0; pe < PE; pe++) begin : gen_pe
    logic [CountWidth-1:0] count;
    logic                  extra;

    xnor_popcount #(
      .Width(SIMD)
    ) u_popcount (
      .clk_i,
      .en_i    (en),
      .act_i   (word[SIMD-1:0]),
      .weight_i(weights[pe*SIMD+:SIMD]),
      .count_o (count),
      .extra_o (extra)
    );

    if (HasMask) begin : gen_mask
      // 2 * (count + extra) = {count, extra} + extra.
      assign values[pe*AddWidth+:AddWidth] = mask ? AddWidth'({count, extra}) : AddWidth'(SIMD);
      assign carries[pe] = mask && extra;
    end else begin : gen_no_mask
      assign values[pe*AddWidth+:AddWidth] = count;
      assign carries[pe] = extra;
    end
  end

  mvtu_results #(
    .PE            (PE),
    .NF            (NF),
    .Width         (AddWidth),
    .Signed        (1'b0),
    .HasCarry      (HasExtra),
    .OneStep       (SF == 1),
    .AccWidth      (AccWidth),
    .NumThresholds (NumThresholds),
    .OutBits       (OutBits),
    .OutBias       (OutBias),
    .RawShift      (HasMask ? 0 : 1),
    .RawOffset     (MW),
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
