// Sums over the taps of a window, or over a whole map.
//
// Function: takes Taps * WordsPerPixel words (tap outer, channel fold inner, as the window kernel sends them, or as a map of
//   Taps pixels comes) and gives WordsPerPixel words of sums, each in the step of the last tap.
// Latency: 1 from the steps of the last tap. Initiation interval: Taps * WordsPerPixel cycles a window.
// Encoding: elements ElemBits bits, sums SumBits bits, both two's complement if Signed, else unsigned. Sums are modulo
//   2^SumBits.
module sum_pool #(
  parameter int unsigned Elems         = 1,     // elements a word
  parameter int unsigned ElemBits      = 8,     // bits an element
  parameter bit          Signed        = 1'b1,  // elements and sums are two's complement
  parameter int unsigned Taps          = 4,     // words a window and channel fold
  parameter int unsigned WordsPerPixel = 1,     // channel folds (C / Elems)
  parameter int unsigned SumBits       = 10     // bits a sum
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,       // synchronous, active low
  input  logic                      in_valid_i,
  output logic                      in_ready_o,
  input  logic [Elems*ElemBits-1:0] in_data_i,
  output logic                      out_valid_o,
  input  logic                      out_ready_i,
  output logic [Elems*SumBits-1:0]  out_data_o
);
  localparam int unsigned FoldAddrW = (WordsPerPixel > 1) ? $clog2(WordsPerPixel) : 1;
  localparam int unsigned ManyWords = 16;  // what one row of LUT RAM holds

  if (Elems < 1 || ElemBits < 1 || Taps < 1 || WordsPerPixel < 1) begin : gen_check_size
    $error("sum_pool: Elems, ElemBits, Taps and WordsPerPixel must be at least 1");
  end
  if (SumBits < ElemBits) begin : gen_check_sum
    $error("sum_pool: SumBits must be at least ElemBits");
  end

  logic                     fire, tap_first, tap_last;
  logic [FoldAddrW-1:0]     fold, fold_next;
  logic [Elems*SumBits-1:0] old, sum, out_data_q;

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

  assign out_data_o = out_data_q;

  always_ff @(posedge clk_i) begin
    if (fire && tap_last) begin
      out_data_q <= sum;
    end
  end

  // The sum so far. Of several words a pixel, that of the next one is read while this one's is written, so that the memory
  // may be a block RAM; of many, that of the one after it, because a block RAM is slow.
  if (WordsPerPixel > 1) begin : gen_memory
    logic [Elems*SumBits-1:0] mem_q [WordsPerPixel];
    logic [Elems*SumBits-1:0] old_q;
    logic [FoldAddrW-1:0]     read_addr;
    always_ff @(posedge clk_i) begin
      if (fire) begin
        mem_q[fold] <= sum;
        old_q         <= mem_q[read_addr];
      end
    end
    if (WordsPerPixel > ManyWords) begin : gen_ahead
      logic [Elems*SumBits-1:0] ahead_q;
      always_ff @(posedge clk_i) begin
        if (fire) begin
          ahead_q <= old_q;
        end
      end
      assign old       = ahead_q;
      assign read_addr = (fold_next == FoldAddrW'(WordsPerPixel - 1)) ? '0 : fold_next + FoldAddrW'(1);
    end else begin : gen_next
      assign old       = old_q;
      assign read_addr = fold_next;
    end
  end else begin : gen_register
    logic [Elems*SumBits-1:0] sum_q;
    logic                     unused;
    assign unused = ^{fold, fold_next};
    assign old    = sum_q;
    always_ff @(posedge clk_i) begin
      if (fire) begin
        sum_q <= sum;
      end
    end
  end

  for (genvar e = 0; e < Elems; e++) begin : gen_elem
    logic [ElemBits-1:0] element;
    logic [SumBits-1:0]  value;
    assign element = in_data_i[e*ElemBits+:ElemBits];
    if (Signed) begin : gen_signed
      assign value = SumBits'($signed(element));
    end else begin : gen_unsigned
      assign value = SumBits'(element);
    end
    assign sum[e*SumBits+:SumBits] = (tap_first ? '0 : old[e*SumBits+:SumBits]) + value;
  end
endmodule
