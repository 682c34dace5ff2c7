// What the models of all PLLs share: a clock of the input's rate times FeedbackDiv / InputDiv. For simulation only.
//
// Function: takes the period of clk_i between its second and third rising edges, then runs on its own (edges to the picosecond).
//   locked_o rises 8 of its periods later.
module pll_model #(
  parameter int unsigned InputDiv    = 1,
  parameter int unsigned FeedbackDiv = 1,
  parameter int unsigned OutputDiv   = 1,
  parameter int unsigned FewestMhz   = 1,  // of the oscillator
  parameter int unsigned MostMhz     = 1
) (
  input  logic clk_i,
  output logic clk_o,
  output logic locked_o
);
  realtime start, period, next;
  real     oscillator_mhz;

  initial begin
    clk_o    = 1'b0;
    locked_o = 1'b0;
    repeat (2) @(posedge clk_i);
    start = $realtime;
    @(posedge clk_i);
    period         = ($realtime - start) * InputDiv / FeedbackDiv;
    oscillator_mhz = 1e6 / period * OutputDiv;
    if (oscillator_mhz < FewestMhz || oscillator_mhz > MostMhz) begin
      $fatal(1, "the PLL's oscillator would run at %0.1f MHz", oscillator_mhz);
    end
    next = $realtime;
    for (int unsigned edges = 0; 1; edges++) begin
      next     = next + period / 2;
      locked_o = locked_o || edges == 16;
      #(next - $realtime) clk_o = !clk_o;
    end
  end
endmodule
