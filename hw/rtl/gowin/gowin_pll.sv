// Clock of a Gowin GW2A: a PLL with internal feedback (rPLL; Gowin UG286, Clock Resources).
//
// Function: clk_o = clk_i * FeedbackDiv / InputDiv; the oscillator runs at clk_o * OutputDiv. hw/board_top/pll.py chooses the
//   three and knows the limits. locked_o: asynchronous, 1 while clk_o is stable.
module gowin_pll #(
  parameter              InputMhz    = "27",            // clk_i, as the primitive wants it: a text
  parameter              Device      = "GW2AR-18C",
  parameter int unsigned InputDiv    = 1,               // 1..64
  parameter int unsigned FeedbackDiv = 1,               // 1..64
  parameter int unsigned OutputDiv   = 8                // 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128
) (
  input  logic clk_i,
  output logic clk_o,
  output logic locked_o
);
  logic [2:0] others;  // outputs without a use here

  rPLL #(
    .FCLKIN   (InputMhz),
    .DEVICE   (Device),
    .IDIV_SEL (InputDiv - 1),
    .FBDIV_SEL(FeedbackDiv - 1),
    .ODIV_SEL (OutputDiv)
  ) u_pll (
    .CLKIN   (clk_i),
    .CLKOUT  (clk_o),
    .LOCK    (locked_o),
    .CLKOUTP (others[0]),
    .CLKOUTD (others[1]),
    .CLKOUTD3(others[2]),
    .RESET   (1'b0),
    .RESET_P (1'b0),
    .CLKFB   (1'b0),
    .FBDSEL  ('0),
    .IDSEL   ('0),
    .ODSEL   ('0),
    .PSDA    ('0),
    .DUTYDA  ('0),
    .FDLY    ('0)
  );

  logic unused;
  assign unused = &{1'b0, others};
endmodule
