// Models of Gowin cells for which Yosys has none: block RAM and multipliers. For simulation and proof, not synthesis.
// Written from Gowin's UG285 (BSRAM and SSRAM user guide) and UG287 (DSP user guide). Only what Yosys maps to is modelled;
// elaboration refuses the rest. The block RAMs hold 18 kbit.
// verilator lint_off DECLFILENAME
// verilator lint_off WIDTH
// verilator lint_off UNUSED
// verilator lint_off UNDRIVEN

// Block RAM with one port. Words of 9, 18 or 36 bits.
// Latency: 1. In words of more than one lane the lowest address bits are byte enables.
module SPX9 (
  input CLK, CE, OCE, RESET, WRE,
  input [13:0] AD,
  input [2:0] BLKSEL,
  input [35:0] DI,
  output [35:0] DO
);
  parameter READ_MODE = 1'b0;
  parameter WRITE_MODE = 2'b00;
  parameter BIT_WIDTH = 36;
  parameter BLK_SEL = 3'b000;
  parameter RESET_MODE = "SYNC";
  parameter [287:0]
    INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0, INIT_RAM_06 = 0,
    INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0,
    INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0,
    INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0,
    INIT_RAM_1C = 0, INIT_RAM_1D = 0, INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
    INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0,
    INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0,
    INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0, INIT_RAM_37 = 0,
    INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0,
    INIT_RAM_3F = 0;

  generate
    if (READ_MODE != 0) begin : gen_refused
      $error("SPX9: an output register has no model");
    end
  endgenerate

  localparam [64*288-1:0] Rows = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37,
    INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25,
    INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13,
    INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
    INIT_RAM_00
  };
  wire [71:0] got;
  block_ram #(
    .Lanes(2048), .Init(Rows), .ModeA(WRITE_MODE), .ResetAsync(RESET_MODE == "ASYNC" ? 1 : 0),
    .ReadWidthA(BIT_WIDTH), .WriteWidthA(BIT_WIDTH)
  ) u_ram (
    .clk_a_i(CLK), .en_a_i(CE && BLKSEL == BLK_SEL), .rst_a_i(RESET),
    .we_a_i({8{WRE}} & (BIT_WIDTH < 18 ? 8'd1 : BIT_WIDTH < 36 ? {6'd0, AD[1:0]} : {4'd0, AD[3:0]})),
    .addr_a_i({2'b00, AD}), .data_a_i(DI), .data_a_o(got),
    .clk_b_i(1'b0), .en_b_i(1'b0), .rst_b_i(1'b0), .we_b_i(8'd0), .addr_b_i(16'd0), .data_b_i(72'd0), .data_b_o()
  );
  assign DO = got;
endmodule

// Block RAM that A writes and B reads. Words of 9, 18 or 36 bits.
// Latency: 1. In words of more than one lane the lowest address bits are byte enables.
module SDPX9B (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB,
  input [13:0] ADA, ADB,
  input [2:0] BLKSELA, BLKSELB,
  input [35:0] DI,
  output [35:0] DO
);
  parameter READ_MODE = 1'b0;
  parameter BIT_WIDTH_0 = 36;
  parameter BIT_WIDTH_1 = 36;
  parameter BLK_SEL_0 = 3'b000;
  parameter BLK_SEL_1 = 3'b000;
  parameter RESET_MODE = "SYNC";
  parameter [287:0]
    INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0, INIT_RAM_06 = 0,
    INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0,
    INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0,
    INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0,
    INIT_RAM_1C = 0, INIT_RAM_1D = 0, INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
    INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0,
    INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0,
    INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0, INIT_RAM_37 = 0,
    INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0,
    INIT_RAM_3F = 0;

  generate
    if (READ_MODE != 0) begin : gen_refused
      $error("SDPX9B: an output register has no model");
    end
  endgenerate

  localparam [64*288-1:0] Rows = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37,
    INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25,
    INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13,
    INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
    INIT_RAM_00
  };
  wire [71:0] got;
  block_ram #(
    .Lanes(2048), .Init(Rows), .ResetAsync(RESET_MODE == "ASYNC" ? 1 : 0),
    .WriteWidthA(BIT_WIDTH_0),
    .ReadWidthB(BIT_WIDTH_1)
  ) u_ram (
    .clk_a_i(CLKA), .en_a_i(CEA && BLKSELA == BLK_SEL_0), .rst_a_i(RESETA),
    .we_a_i((BIT_WIDTH_0 < 18 ? 8'd1 : BIT_WIDTH_0 < 36 ? {6'd0, ADA[1:0]} : {4'd0, ADA[3:0]})),
    .addr_a_i({2'b00, ADA}), .data_a_i(DI), .data_a_o(),
    .clk_b_i(CLKB), .en_b_i(CEB && BLKSELB == BLK_SEL_1), .rst_b_i(RESETB), .we_b_i(8'd0),
    .addr_b_i({2'b00, ADB}), .data_b_i(72'd0), .data_b_o(got)
  );
  assign DO = got;
endmodule

// Block RAM with two ports. Words of 9, 18 or 36 bits (no 36).
// Latency: 1. In words of more than one lane the lowest address bits are byte enables.
module DPX9B (
  input CLKA, CEA, CLKB, CEB, OCEA, OCEB, RESETA, RESETB, WREA, WREB,
  input [13:0] ADA, ADB,
  input [2:0] BLKSELA, BLKSELB,
  input [17:0] DIA, DIB,
  output [17:0] DOA, DOB
);
  parameter READ_MODE0 = 1'b0;
  parameter READ_MODE1 = 1'b0;
  parameter WRITE_MODE0 = 2'b00;
  parameter WRITE_MODE1 = 2'b00;
  parameter BIT_WIDTH_0 = 18;
  parameter BIT_WIDTH_1 = 18;
  parameter BLK_SEL_0 = 3'b000;
  parameter BLK_SEL_1 = 3'b000;
  parameter RESET_MODE = "SYNC";
  parameter [287:0]
    INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0, INIT_RAM_06 = 0,
    INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0,
    INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0,
    INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0,
    INIT_RAM_1C = 0, INIT_RAM_1D = 0, INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0,
    INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0,
    INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0,
    INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0, INIT_RAM_37 = 0,
    INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0,
    INIT_RAM_3F = 0;

  generate
    if (READ_MODE0 != 0 || READ_MODE1 != 0) begin : gen_refused
      $error("DPX9B: an output register has no model");
    end
  endgenerate

  localparam [64*288-1:0] Rows = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37,
    INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25,
    INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13,
    INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
    INIT_RAM_00
  };
  wire [71:0] got_a, got_b;
  block_ram #(
    .Lanes(2048), .Init(Rows), .ModeA(WRITE_MODE0), .ModeB(WRITE_MODE1), .ResetAsync(RESET_MODE == "ASYNC" ? 1 : 0),
    .ReadWidthA(BIT_WIDTH_0),
    .WriteWidthA(BIT_WIDTH_0),
    .ReadWidthB(BIT_WIDTH_1),
    .WriteWidthB(BIT_WIDTH_1)
  ) u_ram (
    .clk_a_i(CLKA), .en_a_i(CEA && BLKSELA == BLK_SEL_0), .rst_a_i(RESETA),
    .we_a_i({8{WREA}} & (BIT_WIDTH_0 < 18 ? 8'd1 : BIT_WIDTH_0 < 36 ? {6'd0, ADA[1:0]} : {4'd0, ADA[3:0]})),
    .addr_a_i({2'b00, ADA}), .data_a_i(DIA), .data_a_o(got_a),
    .clk_b_i(CLKB), .en_b_i(CEB && BLKSELB == BLK_SEL_1), .rst_b_i(RESETB),
    .we_b_i({8{WREB}} & (BIT_WIDTH_1 < 18 ? 8'd1 : BIT_WIDTH_1 < 36 ? {6'd0, ADB[1:0]} : {4'd0, ADB[3:0]})),
    .addr_b_i({2'b00, ADB}), .data_b_i(DIB), .data_b_o(got_b)
  );
  assign DOA = got_a;
  assign DOB = got_b;
endmodule

// Product of two 9-bit numbers, each signed or unsigned. Combinational: no register of the cell is modelled.
module MULT9X9 (
  input [8:0] A, SIA, B, SIB,
  input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
  output [17:0] DOUT,
  output [8:0] SOA, SOB
);
  parameter AREG = 1'b0;
  parameter BREG = 1'b0;
  parameter OUT_REG = 1'b0;
  parameter PIPE_REG = 1'b0;

  generate
    if (AREG != 0 || BREG != 0 || OUT_REG != 0 || PIPE_REG != 0) begin : gen_refused
      $error("MULT9X9: registers have no model");
    end
  endgenerate

  // The sign, or 0, above each factor makes one signed product of all four cases.
  wire signed [9:0] wide_a = {ASIGN && A[8], A};
  wire signed [9:0] wide_b = {BSIGN && B[8], B};
  wire signed [19:0] product = wide_a * wide_b;
  assign DOUT = product[17:0];
endmodule

// Product of two 18-bit numbers, each signed or unsigned. Combinational: no register of the cell is modelled.
module MULT18X18 (
  input [17:0] A, SIA, B, SIB,
  input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
  output [35:0] DOUT,
  output [17:0] SOA, SOB
);
  parameter AREG = 1'b0;
  parameter BREG = 1'b0;
  parameter OUT_REG = 1'b0;
  parameter PIPE_REG = 1'b0;

  generate
    if (AREG != 0 || BREG != 0 || OUT_REG != 0 || PIPE_REG != 0) begin : gen_refused
      $error("MULT18X18: registers have no model");
    end
  endgenerate

  // The sign, or 0, above each factor makes one signed product of all four cases.
  wire signed [18:0] wide_a = {ASIGN && A[17], A};
  wire signed [18:0] wide_b = {BSIGN && B[17], B};
  wire signed [37:0] product = wide_a * wide_b;
  assign DOUT = product[35:0];
endmodule
