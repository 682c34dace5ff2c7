// Steps of a kernel that takes a window's words and gives a result in the steps of its last tap.
//
// Function: counts the words taken, tap outer, channel fold inner, and holds the handshake of one register of results.
// Latency: out_valid_o follows the step of a last tap by 1. Initiation interval: 1 word a cycle.
module window_steps #(
  parameter  int unsigned Taps          = 4,  // words a window and channel fold
  parameter  int unsigned WordsPerPixel = 1,  // channel folds
  localparam int unsigned FoldAddrW     = (WordsPerPixel > 1) ? $clog2(WordsPerPixel) : 1
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,       // synchronous, active low
  input  logic                 in_valid_i,
  output logic                 in_ready_o,
  output logic                 out_valid_o,
  input  logic                 out_ready_i,
  output logic                 step_o,       // a word is taken
  output logic                 tap_first_o,  // of the first tap
  output logic                 tap_last_o,   // of the last
  output logic [FoldAddrW-1:0] fold_o,       // its channel fold
  output logic [FoldAddrW-1:0] fold_next_o   // that of the next word
);
  localparam int unsigned TapWidth = (Taps > 1) ? $clog2(Taps) : 1;

  logic                en, fold_last, out_valid_q;
  logic [TapWidth-1:0] tap_q;

  assign en          = out_ready_i || !out_valid_q;
  assign in_ready_o  = en;
  assign out_valid_o = out_valid_q;
  assign step_o      = en && in_valid_i;
  assign tap_first_o = tap_q == '0;
  assign tap_last_o  = tap_q == TapWidth'(Taps - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      tap_q <= '0;
    end else if (step_o && fold_last) begin
      tap_q <= tap_last_o ? '0 : tap_q + TapWidth'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q <= 1'b0;
    end else if (en) begin
      out_valid_q <= in_valid_i && tap_last_o;
    end
  end

  if (WordsPerPixel > 1) begin : gen_fold
    logic [FoldAddrW-1:0] fold_q;
    assign fold_last   = fold_q == FoldAddrW'(WordsPerPixel - 1);
    assign fold_o      = fold_q;
    assign fold_next_o = fold_last ? '0 : fold_q + FoldAddrW'(1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fold_q <= '0;
      end else if (step_o) begin
        fold_q <= fold_next_o;
      end
    end
  end else begin : gen_no_fold
    assign fold_last   = 1'b1;
    assign fold_o      = '0;
    assign fold_next_o = '0;
  end
endmodule
