// Simulation model of the ECP5's PLL, for hw/rtl/ecp5/ecp5_pll.sv: one output, fed back. For simulation only.
//
// Function: measures the period of CLKI and makes CLKOP = CLKI * CLKFB_DIV / CLKI_DIV; LOCK rises some periods later. Dividers
//   that let the oscillator leave 400..800 MHz end the simulation.
module EHXPLLL #(
  parameter PLLRST_ENA = "", parameter INTFB_WAKE = "", parameter STDBY_ENABLE = "", parameter DPHASE_SOURCE = "",
  parameter OUTDIVIDER_MUXA = "", parameter OUTDIVIDER_MUXB = "", parameter OUTDIVIDER_MUXC = "",
  parameter OUTDIVIDER_MUXD = "", parameter CLKOP_ENABLE = "", parameter FEEDBK_PATH = "",
  parameter int unsigned CLKI_DIV = 1, parameter int unsigned CLKFB_DIV = 1, parameter int unsigned CLKOP_DIV = 8,
  parameter int unsigned CLKOP_CPHASE = 0, parameter int unsigned CLKOP_FPHASE = 0
) (
  input  logic CLKI, CLKFB, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY, PLLWAKESYNC, RST,
  input  logic ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3,
  output logic CLKOP, CLKOS, CLKOS2, CLKOS3, LOCK, INTLOCK, REFCLK, CLKINTFB
);
  if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED") begin : gen_check_path
    $error("EHXPLLL: this model feeds CLKOP back");
  end

  pll_model #(
    .InputDiv(CLKI_DIV), .FeedbackDiv(CLKFB_DIV), .OutputDiv(CLKOP_DIV), .FewestMhz(400), .MostMhz(800)
  ) u_model (
    .clk_i(CLKI), .clk_o(CLKOP), .locked_o(LOCK)
  );
  assign {CLKOS, CLKOS2, CLKOS3, INTLOCK, REFCLK, CLKINTFB} = '0;
endmodule
