// Line on a stream of integers: what many thresholds at equal distances come to.
//
// Function: an element x of channel c becomes t >>> Shift, t = factor[c] * x + offset[c], clipped to Minimum..Maximum. With
//   Even, t >>> Shift loses its lowest bit where t is a multiple of 2^Shift (ties go to even numbers). A pixel is NF words;
//   channel nf*PE+pe is element pe of word nf.
// Latency: 5 (word and line read, operands, product, sum, result), 6 where x or factor has more than 18 bits, signs included.
// Initiation interval: 1 word a cycle.
// Encoding: elements InBits bits, two's complement if Signed; results OutBits bits, two's complement if Minimum < 0.
//   LineFile: NF words of PE groups, group pe lowest first, each {offset, factor}, both two's complement.
//   The multiplier is a plain `*`: DSP blocks where the family has them, else adders.
module requantize #(
  parameter  int unsigned PE         = 1,     // elements a word
  parameter  int unsigned NF         = 1,     // words a pixel
  parameter  int unsigned InBits     = 8,     // bits an input element
  parameter  bit          Signed     = 1'b1,  // input elements are two's complement
  parameter  int unsigned FactorBits = 8,     // bits a factor
  parameter  int unsigned OffsetBits = 8,     // bits an offset
  parameter  int unsigned AccWidth   = 16,    // bits that hold t for every x, > Shift (+ 1 if Even)
  parameter  int unsigned Shift      = 4,     // position of the result's bit 0 in t
  parameter  bit          Even       = 1'b0,  // ties to even results
  parameter  bit          UnitFactor = 1'b0,  // all factors are 1: no multiplier
  parameter  int unsigned OutBits    = 8,     // bits an output element
  parameter  int          Minimum    = -128,  // smallest result
  parameter  int          Maximum    = 127,   // largest result
  parameter               LineFile   = "",    // $readmemh file of the lines
  parameter  int unsigned LineStyle  = 0      // where the lines lie (see rom)
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
  localparam int unsigned LineWidth = FactorBits + OffsetBits;
  localparam int unsigned XBits     = InBits + (Signed ? 0 : 1);  // with a sign
  localparam int unsigned Stages    = (!UnitFactor && (XBits > 18 || FactorBits > 18)) ? 2 : 1;  // of the multiplier
  localparam int unsigned Latency   = 4 + Stages;

  if (PE < 1 || NF < 1 || InBits < 1 || FactorBits < 1 || OffsetBits < 1) begin : gen_check_size
    $error("requantize: PE, NF, InBits, FactorBits and OffsetBits must be at least 1");
  end
  if (AccWidth <= Shift + (Even ? 1 : 0) || AccWidth < OffsetBits) begin : gen_check_acc
    $error("requantize: AccWidth must be more than Shift, by 2 if Even, and at least OffsetBits");
  end
  if (Even && Shift < 1) begin : gen_check_even
    $error("requantize: Even must have a Shift of at least 1");
  end

  logic                    en;
  logic [Latency-1:0]      valid_q;
  logic [PE*InBits-1:0]    word;
  logic [PE*LineWidth-1:0] lines;

  assign en          = out_ready_i || !valid_q[Latency-1];
  assign in_ready_o  = en;
  assign out_valid_o = valid_q[Latency-1];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
    end else if (en) begin
      valid_q <= {valid_q[Latency-2:0], in_valid_i};
    end
  end

  channel_rom #(
    .WordWidth(PE * InBits),
    .Width    (PE * LineWidth),
    .NF       (NF),
    .MemFile  (LineFile),
    .Style    (LineStyle)
  ) u_lines (
    .clk_i,
    .rst_ni,
    .step_i(en && in_valid_i),
    .word_i(in_data_i),
    .word_o(word),
    .data_o(lines)
  );

  for (genvar pe = 0; pe < PE; pe++) begin : gen_pe
    logic [XBits-1:0]          x_d, x_q;
    logic [FactorBits-1:0]     factor_q;
    logic [OffsetBits-1:0]     offset_q;
    logic [OffsetBits*Stages-1:0] offsets_q;  // beside the product, the youngest lowest
    logic [AccWidth-1:0]       product, sum_q;
    logic [AccWidth-Shift-1:0] value;
    logic [OutBits-1:0]        result_d, result_q;

    if (Signed) begin : gen_signed
      assign x_d = word[pe*InBits+:InBits];
    end else begin : gen_unsigned
      assign x_d = {1'b0, word[pe*InBits+:InBits]};
    end

    if (UnitFactor) begin : gen_unit_factor
      logic [AccWidth-1:0] product_q;
      always_ff @(posedge clk_i) begin
        if (en) begin
          product_q <= AccWidth'($signed(x_q));
        end
      end
      assign product = product_q;
      logic unused;
      assign unused = ^factor_q;
    end else begin : gen_product
      multiplier #(
        .ABits  (XBits),
        .BBits  (FactorBits),
        .OutBits(AccWidth)
      ) u_multiplier (
        .clk_i,
        .en_i     (en),
        .a_i      (x_q),
        .b_i      (factor_q),
        .product_o(product)
      );
    end

    always_ff @(posedge clk_i) begin
      if (en) begin
        x_q                  <= x_d;
        {offset_q, factor_q} <= lines[pe*LineWidth+:LineWidth];
        offsets_q            <= (OffsetBits * Stages)'({offsets_q, offset_q});
        sum_q                <= product + AccWidth'($signed(offsets_q[OffsetBits*(Stages-1)+:OffsetBits]));
        result_q             <= result_d;
      end
    end

    if (Even) begin : gen_even
      assign value = {sum_q[AccWidth-1:Shift+1], sum_q[Shift] && sum_q[Shift-1:0] != '0};
    end else begin : gen_floor
      assign value = sum_q[AccWidth-1:Shift];
      if (Shift > 0) begin : gen_unused
        logic unused;
        assign unused = ^sum_q[Shift-1:0];
      end
    end

    saturate #(
      .InBits (AccWidth - Shift),
      .OutBits(OutBits),
      .Minimum(Minimum),
      .Maximum(Maximum)
    ) u_saturate (
      .value_i(value),
      .value_o(result_d)
    );

    assign out_data_o[pe*OutBits+:OutBits] = result_q;
  end
endmodule
