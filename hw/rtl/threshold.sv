// Thresholds on a stream of integers.
//
// Function: each of the PE elements of a word becomes OutBias + number of its channel's thresholds passed (threshold_unit).
//   A pixel is NF words; channel nf*PE+pe is element pe of word nf.
// Latency: 2. Initiation interval: 1 word a cycle.
// Encoding: elements InBits bits, two's complement if Signed, extended to AccWidth bits for the comparison.
//   ThresholdFile: NF words of PE groups, group pe lowest first, each {invert, T_{N-1}, ..., T_0}, T ascending, AccWidth bits,
//   signed like the elements. Choose AccWidth > InBits where a threshold must lie above every input ("never").
module threshold #(
  parameter  int unsigned PE            = 1,       // elements a word
  parameter  int unsigned NF            = 1,       // words a pixel
  parameter  int unsigned InBits        = 8,       // bits an input element
  parameter  bit          Signed        = 1'b0,    // input elements and thresholds are two's complement
  parameter  int unsigned N             = 1,       // thresholds a channel
  parameter  int unsigned OutBits       = 1,       // bits an output element
  parameter  int          OutBias       = 0,       // result when no threshold is passed
  parameter  int unsigned AccWidth      = InBits,  // bits a threshold, >= InBits
  parameter               ThresholdFile = ""       // $readmemh file of the thresholds
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,       // synchronous, active low
  input  logic                  in_valid_i,
  output logic                  in_ready_o,
  input  logic [PE*InBits-1:0]  in_data_i,
  output logic                  out_valid_o,
  input  logic                  out_ready_i,
  output logic [PE*OutBits-1:0] out_data_o
);
  localparam int unsigned ThrWidth  = 1 + N * AccWidth;

  if (PE < 1 || NF < 1 || InBits < 1 || N < 1) begin : gen_check_size
    $error("threshold: PE, NF, InBits and N must be at least 1");
  end
  if (AccWidth < InBits) begin : gen_check_acc
    $error("threshold: AccWidth must be at least InBits");
  end

  logic                   en, valid1_q, out_valid_q;
  logic [PE*InBits-1:0]   word;
  logic [PE*ThrWidth-1:0] thresholds;

  assign en          = out_ready_i || !out_valid_q;
  assign in_ready_o  = en;
  assign out_valid_o = out_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid1_q    <= 1'b0;
      out_valid_q <= 1'b0;
    end else if (en) begin
      valid1_q    <= in_valid_i;
      out_valid_q <= valid1_q;
    end
  end

  channel_rom #(
    .WordWidth(PE * InBits),
    .Width    (PE * ThrWidth),
    .NF       (NF),
    .MemFile  (ThresholdFile)
  ) u_thresholds (
    .clk_i,
    .rst_ni,
    .step_i(en && in_valid_i),
    .word_i(in_data_i),
    .word_o(word),
    .data_o(thresholds)
  );

  for (genvar pe = 0; pe < PE; pe++) begin : gen_pe
    logic [AccWidth-1:0] acc;
    logic [OutBits-1:0]  value_d, value_q;

    if (Signed) begin : gen_signed
      assign acc = AccWidth'($signed(word[pe*InBits+:InBits]));
    end else begin : gen_unsigned
      assign acc = AccWidth'(word[pe*InBits+:InBits]);
    end

    threshold_unit #(
      .AccWidth     (AccWidth),
      .Signed       (Signed),
      .NumThresholds(N),
      .OutBits      (OutBits),
      .OutBias      (OutBias)
    ) u_threshold (
      .acc_i  (acc),
      .word_i (thresholds[pe*ThrWidth+:ThrWidth]),
      .value_o(value_d)
    );

    always_ff @(posedge clk_i) begin
      if (en && valid1_q) begin
        value_q <= value_d;
      end
    end

    assign out_data_o[pe*OutBits+:OutBits] = value_q;
  end
endmodule
