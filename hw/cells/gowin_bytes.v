// Models of Gowin's block RAMs without ninth bits, of which Yosys has black boxes only. For simulation and proof.
// Written from Gowin's UG285 (BSRAM and SSRAM user guide). Only what Yosys maps to is modelled;
// elaboration refuses the rest. They hold 16 kbit.
// verilator lint_off DECLFILENAME
// verilator lint_off WIDTH
// verilator lint_off UNUSED
// verilator lint_off UNDRIVEN

// Block RAM with one port. Words of 1, 2, 4, 8, 16 or 32 bits.
// Latency: 1. In words of more than one lane the lowest address bits are byte enables.
module SP (
  input CLK, CE, OCE, RESET, WRE,
  input [13:0] AD,
  input [2:0] BLKSEL,
  input [31:0] DI,
  output [31:0] DO
);
  parameter READ_MODE = 1'b0;
  parameter WRITE_MODE = 2'b00;
  parameter BIT_WIDTH = 32;
  parameter BLK_SEL = 3'b000;
  parameter RESET_MODE = "SYNC";
  parameter [255:0]
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
      $error("SP: an output register has no model");
    end
  endgenerate

  localparam [64*256-1:0] Rows = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37,
    INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25,
    INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13,
    INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
    INIT_RAM_00
  };
  function [2048*9-1:0] contents(input [64*256-1:0] bytes);
    integer i;
    for (i = 0; i < 2048; i = i + 1) contents[9*i+:9] = {1'b0, bytes[8*i+:8]};
  endfunction
  // Bytes to lanes of nine bits, where a word has whole bytes.
  function [71:0] lanes(input [31:0] bytes, input integer width);
    lanes = width < 8 ? bytes : {36'd0, 1'b0, bytes[31:24], 1'b0, bytes[23:16], 1'b0, bytes[15:8], 1'b0, bytes[7:0]};
  endfunction
  function [31:0] bytes(input [71:0] lanes);
    bytes = {lanes[34:27], lanes[25:18], lanes[16:9], lanes[7:0]};
  endfunction
  wire [71:0] got;
  block_ram #(
    .Lanes(2048), .Init(contents(Rows)), .ModeA(WRITE_MODE), .ResetAsync(RESET_MODE == "ASYNC" ? 1 : 0),
    .ReadWidthA(BIT_WIDTH < 8 ? BIT_WIDTH : BIT_WIDTH / 8 * 9), .WriteWidthA(BIT_WIDTH < 8 ? BIT_WIDTH : BIT_WIDTH / 8 * 9)
  ) u_ram (
    .clk_a_i(CLK), .en_a_i(CE && BLKSEL == BLK_SEL), .rst_a_i(RESET),
    .we_a_i({8{WRE}} & (BIT_WIDTH < 16 ? 8'd1 : BIT_WIDTH < 32 ? {6'd0, AD[1:0]} : {4'd0, AD[3:0]})),
    .addr_a_i({2'b00, AD}), .data_a_i(lanes(DI, BIT_WIDTH)), .data_a_o(got),
    .clk_b_i(1'b0), .en_b_i(1'b0), .rst_b_i(1'b0), .we_b_i(8'd0), .addr_b_i(16'd0), .data_b_i(72'd0), .data_b_o()
  );
  assign DO = bytes(got);
endmodule

// Block RAM that A writes and B reads. Words of 1, 2, 4, 8, 16 or 32 bits.
// Latency: 1. In words of more than one lane the lowest address bits are byte enables.
module SDPB (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB,
  input [13:0] ADA, ADB,
  input [2:0] BLKSELA, BLKSELB,
  input [31:0] DI,
  output [31:0] DO
);
  parameter READ_MODE = 1'b0;
  parameter BIT_WIDTH_0 = 32;
  parameter BIT_WIDTH_1 = 32;
  parameter BLK_SEL_0 = 3'b000;
  parameter BLK_SEL_1 = 3'b000;
  parameter RESET_MODE = "SYNC";
  parameter [255:0]
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
      $error("SDPB: an output register has no model");
    end
  endgenerate

  localparam [64*256-1:0] Rows = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37,
    INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25,
    INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13,
    INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
    INIT_RAM_00
  };
  function [2048*9-1:0] contents(input [64*256-1:0] bytes);
    integer i;
    for (i = 0; i < 2048; i = i + 1) contents[9*i+:9] = {1'b0, bytes[8*i+:8]};
  endfunction
  // Bytes to lanes of nine bits, where a word has whole bytes.
  function [71:0] lanes(input [31:0] bytes, input integer width);
    lanes = width < 8 ? bytes : {36'd0, 1'b0, bytes[31:24], 1'b0, bytes[23:16], 1'b0, bytes[15:8], 1'b0, bytes[7:0]};
  endfunction
  function [31:0] bytes(input [71:0] lanes);
    bytes = {lanes[34:27], lanes[25:18], lanes[16:9], lanes[7:0]};
  endfunction
  wire [71:0] got;
  block_ram #(
    .Lanes(2048), .Init(contents(Rows)), .ResetAsync(RESET_MODE == "ASYNC" ? 1 : 0),
    .WriteWidthA(BIT_WIDTH_0 < 8 ? BIT_WIDTH_0 : BIT_WIDTH_0 / 8 * 9),
    .ReadWidthB(BIT_WIDTH_1 < 8 ? BIT_WIDTH_1 : BIT_WIDTH_1 / 8 * 9)
  ) u_ram (
    .clk_a_i(CLKA), .en_a_i(CEA && BLKSELA == BLK_SEL_0), .rst_a_i(RESETA),
    .we_a_i((BIT_WIDTH_0 < 16 ? 8'd1 : BIT_WIDTH_0 < 32 ? {6'd0, ADA[1:0]} : {4'd0, ADA[3:0]})),
    .addr_a_i({2'b00, ADA}), .data_a_i(lanes(DI, BIT_WIDTH_0)), .data_a_o(),
    .clk_b_i(CLKB), .en_b_i(CEB && BLKSELB == BLK_SEL_1), .rst_b_i(RESETB), .we_b_i(8'd0),
    .addr_b_i({2'b00, ADB}), .data_b_i(72'd0), .data_b_o(got)
  );
  assign DO = bytes(got);
endmodule

// Block RAM with two ports. Words of 1, 2, 4, 8, 16 or 32 bits (no 32).
// Latency: 1. In words of more than one lane the lowest address bits are byte enables.
module DPB (
  input CLKA, CEA, CLKB, CEB, OCEA, OCEB, RESETA, RESETB, WREA, WREB,
  input [13:0] ADA, ADB,
  input [2:0] BLKSELA, BLKSELB,
  input [15:0] DIA, DIB,
  output [15:0] DOA, DOB
);
  parameter READ_MODE0 = 1'b0;
  parameter READ_MODE1 = 1'b0;
  parameter WRITE_MODE0 = 2'b00;
  parameter WRITE_MODE1 = 2'b00;
  parameter BIT_WIDTH_0 = 16;
  parameter BIT_WIDTH_1 = 16;
  parameter BLK_SEL_0 = 3'b000;
  parameter BLK_SEL_1 = 3'b000;
  parameter RESET_MODE = "SYNC";
  parameter [255:0]
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
      $error("DPB: an output register has no model");
    end
  endgenerate

  localparam [64*256-1:0] Rows = {
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, INIT_RAM_37,
    INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, INIT_RAM_2F, INIT_RAM_2E,
    INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, INIT_RAM_27, INIT_RAM_26, INIT_RAM_25,
    INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C,
    INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13,
    INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A,
    INIT_RAM_09, INIT_RAM_08, INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01,
    INIT_RAM_00
  };
  function [2048*9-1:0] contents(input [64*256-1:0] bytes);
    integer i;
    for (i = 0; i < 2048; i = i + 1) contents[9*i+:9] = {1'b0, bytes[8*i+:8]};
  endfunction
  // Bytes to lanes of nine bits, where a word has whole bytes.
  function [71:0] lanes(input [31:0] bytes, input integer width);
    lanes = width < 8 ? bytes : {36'd0, 1'b0, bytes[31:24], 1'b0, bytes[23:16], 1'b0, bytes[15:8], 1'b0, bytes[7:0]};
  endfunction
  function [31:0] bytes(input [71:0] lanes);
    bytes = {lanes[34:27], lanes[25:18], lanes[16:9], lanes[7:0]};
  endfunction
  wire [71:0] got_a, got_b;
  block_ram #(
    .Lanes(2048), .Init(contents(Rows)), .ModeA(WRITE_MODE0), .ModeB(WRITE_MODE1), .ResetAsync(RESET_MODE == "ASYNC" ? 1 : 0),
    .ReadWidthA(BIT_WIDTH_0 < 8 ? BIT_WIDTH_0 : BIT_WIDTH_0 / 8 * 9),
    .WriteWidthA(BIT_WIDTH_0 < 8 ? BIT_WIDTH_0 : BIT_WIDTH_0 / 8 * 9),
    .ReadWidthB(BIT_WIDTH_1 < 8 ? BIT_WIDTH_1 : BIT_WIDTH_1 / 8 * 9),
    .WriteWidthB(BIT_WIDTH_1 < 8 ? BIT_WIDTH_1 : BIT_WIDTH_1 / 8 * 9)
  ) u_ram (
    .clk_a_i(CLKA), .en_a_i(CEA && BLKSELA == BLK_SEL_0), .rst_a_i(RESETA),
    .we_a_i({8{WREA}} & (BIT_WIDTH_0 < 16 ? 8'd1 : BIT_WIDTH_0 < 32 ? {6'd0, ADA[1:0]} : {4'd0, ADA[3:0]})),
    .addr_a_i({2'b00, ADA}), .data_a_i(lanes(DIA, BIT_WIDTH_0)), .data_a_o(got_a),
    .clk_b_i(CLKB), .en_b_i(CEB && BLKSELB == BLK_SEL_1), .rst_b_i(RESETB),
    .we_b_i({8{WREB}} & (BIT_WIDTH_1 < 16 ? 8'd1 : BIT_WIDTH_1 < 32 ? {6'd0, ADB[1:0]} : {4'd0, ADB[3:0]})),
    .addr_b_i({2'b00, ADB}), .data_b_i(lanes(DIB, BIT_WIDTH_1)), .data_b_o(got_b)
  );
  assign DOA = bytes(got_a);
  assign DOB = bytes(got_b);
endmodule
