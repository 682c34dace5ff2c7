// Output side of a matrix-vector-threshold unit: accumulators, thresholds, and the buffer that holds the pipeline.
//
// Function: for each of PE channels, the sum of a vector's steps (value_i + carry_i), then thresholds, or the raw sum
//   2^RawShift * sum - RawOffset. The sums come in the order of the NF channel folds.
// Latency: 2 cycles from the last step to out_valid_o (accumulate, compare). Initiation interval: 1 step a cycle.
// Encoding: value_i: channel pe in bits pe*Width and up, two's complement if Signed; out_data_o: likewise, OutBits each.
//   ThresholdFile (NumThresholds > 0): NF words of PE groups, group pe lowest first, as in threshold_unit.
module mvtu_results #(
  parameter int unsigned PE             = 1,      // channels
  parameter int unsigned NF             = 1,      // channel folds
  parameter int unsigned Width          = 8,      // bits of a step's value
  parameter bit          Signed         = 1'b0,   // values, sums and thresholds are two's complement
  parameter bit          HasCarry       = 1'b0,   // carry_i is in use
  parameter bit          OneStep        = 1'b0,   // a vector has a single step a fold
  parameter int unsigned AccWidth       = 16,     // accumulator and threshold bits
  parameter int unsigned NumThresholds  = 1,      // thresholds a channel; 0: raw sums out
  parameter int unsigned OutBits        = 1,      // bits a channel out
  parameter int          OutBias        = 0,      // result when no threshold is passed
  parameter int unsigned RawShift       = 0,      // raw sums: doublings
  parameter int unsigned RawOffset      = 0,      // raw sums: subtracted after them
  parameter              ThresholdFile  = "",     // $readmemh file of the thresholds; unused for raw sums
  parameter int unsigned ThresholdStyle = 0,      // where they lie (see rom)
  parameter int unsigned ThresholdRow   = 0       // words a row of their memory (see rom), 0: no rows
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,       // synchronous, active low
  output logic                  en_o,         // the pipeline moves
  input  logic                  soon_i,       // the step of the stage before ends a sum
  input  logic                  step_i,       // there is a step
  input  logic                  last_i,       // it ends a sum
  input  logic [PE*Width-1:0]   value_i,
  input  logic [PE-1:0]         carry_i,
  output logic                  out_valid_o,
  input  logic                  out_ready_i,
  output logic [PE*OutBits-1:0] out_data_o
);
  localparam int unsigned ThrWidth = 1 + NumThresholds * AccWidth;

  logic                   en, summed_q, result_q;
  logic [PE*AccWidth-1:0] sums;
  logic [PE*OutBits-1:0]  values_d, values_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      summed_q <= 1'b0;
      result_q <= 1'b0;
    end else if (en) begin
      summed_q <= last_i;
      result_q <= summed_q;
    end
  end

  if (NumThresholds > 0) begin : gen_thresholds
    logic [PE*ThrWidth-1:0] words;
    if (NF > 1) begin : gen_folds
      localparam int unsigned FoldAddrW = $clog2(NF);
      logic [FoldAddrW-1:0] fold_q;
      always_ff @(posedge clk_i) begin
        if (!rst_ni) begin
          fold_q <= '0;
        end else if (en && soon_i) begin
          fold_q <= (fold_q == FoldAddrW'(NF - 1)) ? '0 : fold_q + FoldAddrW'(1);
        end
      end
      rom #(
        .Width   (PE * ThrWidth),
        .Depth   (NF),
        .MemFile (ThresholdFile),
        .Style   (ThresholdStyle),
        .Stages  (2),
        .RowWords(ThresholdRow)
      ) u_thresholds (
        .clk_i,
        .en_i  (en),
        .addr_i(fold_q),
        .data_o(words)
      );
    end else begin : gen_one_fold
      rom #(
        .Width  (PE * ThrWidth),
        .Depth  (1),
        .MemFile(ThresholdFile)
      ) u_thresholds (
        .clk_i,
        .en_i  (en),
        .addr_i(1'b0),
        .data_o(words)
      );
      logic unused;
      assign unused = soon_i;
    end
    for (genvar pe = 0; pe < PE; pe++) begin : gen_channel
      threshold_unit #(
        .AccWidth     (AccWidth),
        .Signed       (Signed),
        .NumThresholds(NumThresholds),
        .OutBits      (OutBits),
        .OutBias      (OutBias)
      ) u_threshold (
        .acc_i  (sums[pe*AccWidth+:AccWidth]),
        .word_i (words[pe*ThrWidth+:ThrWidth]),
        .value_o(values_d[pe*OutBits+:OutBits])
      );
    end
  end else begin : gen_raw
    for (genvar pe = 0; pe < PE; pe++) begin : gen_channel
      if (Signed) begin : gen_signed
        assign values_d[pe*OutBits+:OutBits] =
            (OutBits'($signed(sums[pe*AccWidth+:AccWidth])) << RawShift) - OutBits'(RawOffset);
      end else begin : gen_unsigned
        assign values_d[pe*OutBits+:OutBits] = (OutBits'(sums[pe*AccWidth+:AccWidth]) << RawShift) - OutBits'(RawOffset);
      end
    end
    logic unused;
    assign unused = soon_i;
  end

  for (genvar pe = 0; pe < PE; pe++) begin : gen_accumulator
    mvtu_accumulator #(
      .Width   (Width),
      .AccWidth(AccWidth),
      .Signed  (Signed),
      .HasCarry(HasCarry),
      .OneStep (OneStep)
    ) u_accumulator (
      .clk_i,
      .rst_ni,
      .en_i   (en),
      .valid_i(step_i),
      .last_i,
      .value_i(value_i[pe*Width+:Width]),
      .carry_i(carry_i[pe]),
      .sum_o  (sums[pe*AccWidth+:AccWidth])
    );
  end

  always_ff @(posedge clk_i) begin
    if (en) begin
      values_q <= values_d;
    end
  end

  skid_buffer #(
    .Width(PE * OutBits)
  ) u_skid (
    .clk_i,
    .rst_ni,
    .en_o       (en),
    .in_valid_i (result_q),
    .in_data_i  (values_q),
    .out_valid_o,
    .out_ready_i,
    .out_data_o
  );

  assign en_o = en;
endmodule
