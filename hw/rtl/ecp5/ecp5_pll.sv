// Clock of an ECP5: a PLL with one output that is fed back (EHXPLLL; Lattice FPGA-TN-02200, sysCLOCK PLL).
//
// Function: clk_o = clk_i * FeedbackDiv / InputDiv; the oscillator runs at clk_o * OutputDiv. hw/board_top/pll.py chooses the
//   three and knows the limits. locked_o: asynchronous, 1 while clk_o is stable.
module ecp5_pll #(
  parameter int unsigned InputDiv    = 1,  // 1..128
  parameter int unsigned FeedbackDiv = 4,  // 1..80
  parameter int unsigned OutputDiv   = 6   // 1..128
) (
  input  logic clk_i,
  output logic clk_o,
  output logic locked_o
);
  logic [5:0] others;  // outputs without a use here

  // Charge pump and loop filter, as ecppll of Project Trellis sets them.
  (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *) (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
  EHXPLLL #(
    .PLLRST_ENA      ("DISABLED"),
    .INTFB_WAKE      ("DISABLED"),
    .STDBY_ENABLE    ("DISABLED"),
    .DPHASE_SOURCE   ("DISABLED"),
    .OUTDIVIDER_MUXA ("DIVA"),
    .OUTDIVIDER_MUXB ("DIVB"),
    .OUTDIVIDER_MUXC ("DIVC"),
    .OUTDIVIDER_MUXD ("DIVD"),
    .CLKI_DIV        (InputDiv),
    .CLKFB_DIV       (FeedbackDiv),
    .CLKOP_DIV       (OutputDiv),
    .CLKOP_ENABLE    ("ENABLED"),
    .CLKOP_CPHASE    ((OutputDiv + 1) / 2 - 1),
    .CLKOP_FPHASE    (0),
    .FEEDBK_PATH     ("CLKOP")
  ) u_pll (
    .CLKI        (clk_i),
    .CLKFB       (clk_o),
    .CLKOP       (clk_o),
    .CLKOS       (others[0]),
    .CLKOS2      (others[1]),
    .CLKOS3      (others[2]),
    .CLKINTFB    (others[3]),
    .REFCLK      (others[4]),
    .INTLOCK     (others[5]),
    .LOCK        (locked_o),
    .RST         (1'b0),
    .STDBY       (1'b0),
    .PHASESEL0   (1'b0),
    .PHASESEL1   (1'b0),
    .PHASEDIR    (1'b1),
    .PHASESTEP   (1'b1),
    .PHASELOADREG(1'b1),
    .PLLWAKESYNC (1'b0),
    .ENCLKOP     (1'b0),
    .ENCLKOS     (1'b0),
    .ENCLKOS2    (1'b0),
    .ENCLKOS3    (1'b0)
  );

  logic unused;
  assign unused = &{1'b0, others};
endmodule
