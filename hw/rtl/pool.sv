// Pooling over the taps of a window: largest value of every channel, or smallest where its MinMask bit is set.
//
// Function: takes Taps * WordsPerPixel words (tap outer, channel fold inner, as the window kernel sends them) and gives
//   WordsPerPixel words, each in the step of the last tap. Taps whose mask is 0 are ignored; if all taps of a window are,
//   the result is the least value (the greatest for a min channel).
// Latency: 1 from the steps of the last tap. Initiation interval: Taps * WordsPerPixel cycles a window.
// Encoding: elements ElemBits bits, two's complement if Signed. in_data_i = {mask if HasMask, Elems elements}; mask 1 = real.
//   On bipolar bits (ElemBits = 1, unsigned) max is OR and min is AND.
module pool #(
  parameter  int unsigned Elems         = 1,     // elements a word
  parameter  int unsigned ElemBits      = 1,     // bits an element
  parameter  bit          Signed        = 1'b0,  // elements are two's complement
  parameter  int unsigned Taps          = 4,     // words a window and channel fold (KernelH * KernelW)
  parameter  int unsigned WordsPerPixel = 1,     // channel folds (C / Elems)
  parameter  bit          HasMask       = 1'b0,  // in_data_i carries a mask bit
  parameter  logic [WordsPerPixel*Elems-1:0] MinMask = '0,  // bit cf*Elems+e: min instead of max for that channel
  localparam int unsigned DataWidth     = Elems * ElemBits,
  localparam int unsigned InWidth       = DataWidth + (HasMask ? 1 : 0)
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,       // synchronous, active low
  input  logic                 in_valid_i,
  output logic                 in_ready_o,
  input  logic [InWidth-1:0]   in_data_i,
  output logic                 out_valid_o,
  input  logic                 out_ready_i,
  output logic [DataWidth-1:0] out_data_o
);
  localparam int unsigned FoldAddrW = (WordsPerPixel > 1) ? $clog2(WordsPerPixel) : 1;
  localparam logic [ElemBits-1:0] Least = Signed ? ElemBits'(1) << (ElemBits - 1) : '0;  // of all elements

  if (Elems < 1 || ElemBits < 1 || Taps < 1 || WordsPerPixel < 1) begin : gen_check_size
    $error("pool: Elems, ElemBits, Taps and WordsPerPixel must be at least 1");
  end

  logic                 fire, tap_first, tap_last, real_tap;
  logic                 unused;
  logic [FoldAddrW-1:0] fold, fold_next;
  logic [Elems-1:0]     use_min;
  logic [DataWidth-1:0] data, best, result, out_data_q;

  window_steps #(
    .Taps         (Taps),
    .WordsPerPixel(WordsPerPixel)
  ) u_steps (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_ready_o,
    .out_valid_o,
    .out_ready_i,
    .step_o     (fire),
    .tap_first_o(tap_first),
    .tap_last_o (tap_last),
    .fold_o     (fold),
    .fold_next_o(fold_next)
  );

  assign unused     = ^{fold, fold_next};  // one tap of one word needs neither
  assign out_data_o = out_data_q;
  assign data       = in_data_i[DataWidth-1:0];

  if (HasMask) begin : gen_mask
    assign real_tap = in_data_i[InWidth-1];
  end else begin : gen_no_mask
    assign real_tap = 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (fire && tap_last) begin
      out_data_q <= result;
    end
  end

  // Best element so far of each channel.
  if (Taps > 1) begin : gen_best
    logic [DataWidth-1:0] best_q [WordsPerPixel];
    always_ff @(posedge clk_i) begin
      if (fire) begin
        best_q[fold] <= result;
      end
    end
    assign best = best_q[fold];
  end else begin : gen_no_best
    assign best = '0;
  end

  if (WordsPerPixel > 1) begin : gen_min_word
    assign use_min = MinMask[fold*Elems+:Elems];
  end else begin : gen_min
    assign use_min = MinMask;
  end

  if (ElemBits == 1 && !Signed) begin : gen_bits
    // Max is OR, min is AND. What a window starts from, the neutral element, is use_min itself.
    logic [Elems-1:0] old_bits;
    assign old_bits = tap_first ? use_min : best;
    assign result   = real_tap ? (old_bits & data) | ((old_bits | data) & ~use_min) : old_bits;
  end else begin : gen_integers
    for (genvar e = 0; e < Elems; e++) begin : gen_elem
      logic [ElemBits-1:0] old_value, new_value, neutral;
      logic                beats, take;

      assign neutral   = use_min[e] ? ~Least : Least;  // of max or min: what a window of padding alone gives
      assign old_value = best[e*ElemBits+:ElemBits];
      assign new_value = data[e*ElemBits+:ElemBits];
      if (Taps == 1) begin : gen_single
        assign beats = 1'b0;  // there is nothing to compare with
      end else if (Signed) begin : gen_signed
        assign beats = use_min[e] ? $signed(new_value) < $signed(old_value) : $signed(old_value) < $signed(new_value);
      end else begin : gen_unsigned
        assign beats = use_min[e] ? new_value < old_value : old_value < new_value;
      end
      // A window's first tap is taken without comparing, so that the neutral element stays out of the comparison.
      assign take = real_tap && (tap_first || beats);
      assign result[e*ElemBits+:ElemBits] = take ? new_value : tap_first ? neutral : old_value;
    end
  end
endmodule
