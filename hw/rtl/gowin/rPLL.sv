// Gowin's PLL as synthesis sees it: a box without content (Gowin UG286; only the parameters that gowin_pll sets). Place and
// route knows what is in it; sim/harness/board/rPLL.sv takes its place in simulation.
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off UNDRIVEN
// A declaration uses and drives nothing.
(* blackbox *)
module rPLL #(
  parameter FCLKIN    = "100.0",
  parameter DEVICE    = "GW2AR-18C",
  parameter IDIV_SEL  = 0,
  parameter FBDIV_SEL = 0,
  parameter ODIV_SEL  = 8
) (
  input  logic       CLKIN,
  input  logic       CLKFB,
  input  logic       RESET,
  input  logic       RESET_P,
  input  logic [5:0] FBDSEL,
  input  logic [5:0] IDSEL,
  input  logic [5:0] ODSEL,
  input  logic [3:0] PSDA,
  input  logic [3:0] DUTYDA,
  input  logic [3:0] FDLY,
  output logic       CLKOUT,
  output logic       LOCK,
  output logic       CLKOUTP,
  output logic       CLKOUTD,
  output logic       CLKOUTD3
);
endmodule
// verilator lint_on UNUSEDPARAM
// verilator lint_on UNUSEDSIGNAL
// verilator lint_on UNDRIVEN
