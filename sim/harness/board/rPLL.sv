// Simulation model of Gowin's PLL, for hw/rtl/gowin/gowin_pll.sv: internal feedback, one output. For simulation only.
//
// Function: measures the period of CLKIN and makes CLKOUT = CLKIN * (FBDIV_SEL + 1) / (IDIV_SEL + 1); LOCK rises some periods
//   later. Dividers that let the oscillator leave 500..1250 MHz end the simulation.
module rPLL #(
  parameter FCLKIN = "", parameter DEVICE = "",
  parameter int unsigned IDIV_SEL = 0, parameter int unsigned FBDIV_SEL = 0, parameter int unsigned ODIV_SEL = 8
) (
  input  logic CLKIN, CLKFB, RESET, RESET_P,
  input  logic [5:0] FBDSEL, IDSEL, ODSEL,
  input  logic [3:0] PSDA, DUTYDA, FDLY,
  output logic CLKOUT, LOCK, CLKOUTP, CLKOUTD, CLKOUTD3
);
  pll_model #(
    .InputDiv(IDIV_SEL + 1), .FeedbackDiv(FBDIV_SEL + 1), .OutputDiv(ODIV_SEL), .FewestMhz(500), .MostMhz(1250)
  ) u_model (
    .clk_i(CLKIN), .clk_o(CLKOUT), .locked_o(LOCK)
  );
  assign {CLKOUTP, CLKOUTD, CLKOUTD3} = '0;
endmodule
