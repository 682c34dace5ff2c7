// Models of Xilinx cells: block RAMs of the 7 series, of which Yosys has black boxes only, and carry chains. Not for synthesis.
// Written from Xilinx' UG473 (7 series memory resources). Only what Yosys maps to is modelled; elaboration refuses the rest.
// verilator lint_off DECLFILENAME
// verilator lint_off WIDTH
// verilator lint_off UNUSED
// verilator lint_off UNDRIVEN

// Block RAM of 18 kbit, each byte with a ninth bit. TDP: two ports of up to 18 bits. SDP: A reads and B writes, up to 36.
// Latency: 1. Reset needs the enable.
module RAMB18E1 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DIADI, DIBDI,
  input [1:0] DIPADIP, DIPBDIP, WEA,
  input [3:0] WEBWE,
  output [15:0] DOADO, DOBDO,
  output [1:0] DOPADOP, DOPBDOP
);
  parameter integer DOA_REG = 0;
  parameter integer DOB_REG = 0;
  parameter INIT_A = 0;
  parameter INIT_B = 0;
  parameter INIT_FILE = "NONE";
  parameter RAM_MODE = "TDP";
  parameter RDADDR_COLLISION_HWCONFIG = "DELAYED_WRITE";
  parameter integer READ_WIDTH_A = 0;
  parameter integer READ_WIDTH_B = 0;
  parameter integer WRITE_WIDTH_A = 0;
  parameter integer WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";
  parameter SRVAL_A = 0;
  parameter SRVAL_B = 0;
  parameter SIM_COLLISION_CHECK = "ALL";
  parameter SIM_DEVICE = "VIRTEX6";
  parameter RSTREG_PRIORITY_A = "RSTREG";
  parameter RSTREG_PRIORITY_B = "RSTREG";
  parameter IS_CLKARDCLK_INVERTED = 1'b0;
  parameter IS_CLKBWRCLK_INVERTED = 1'b0;
  parameter IS_ENARDEN_INVERTED = 1'b0;
  parameter IS_ENBWREN_INVERTED = 1'b0;
  parameter IS_RSTRAMARSTRAM_INVERTED = 1'b0;
  parameter IS_RSTRAMB_INVERTED = 1'b0;
  parameter IS_RSTREGARSTREG_INVERTED = 1'b0;
  parameter IS_RSTREGB_INVERTED = 1'b0;
  parameter [255:0]
    INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0, INIT_08 = 0,
    INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0,
    INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0, INIT_18 = 0, INIT_19 = 0, INIT_1A = 0,
    INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0,
    INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0,
    INIT_2D = 0, INIT_2E = 0, INIT_2F = 0, INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0,
    INIT_36 = 0, INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0,
    INIT_3F = 0;
  parameter [255:0]
    INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0;

  generate
    if (DOA_REG != 0 || DOB_REG != 0 || IS_CLKARDCLK_INVERTED != 0 || IS_CLKBWRCLK_INVERTED != 0 || IS_ENARDEN_INVERTED != 0
        || IS_ENBWREN_INVERTED != 0 || IS_RSTRAMARSTRAM_INVERTED != 0 || IS_RSTRAMB_INVERTED != 0)
    begin : gen_refused
      $error("RAMB18E1: this setting has no model");
    end
  endgenerate

  localparam [64*256-1:0] Bytes = {
    INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33,
    INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26,
    INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19,
    INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C,
    INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
  };
  localparam [8*256-1:0] Ninths = {
    INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
  };
  function [2048*9-1:0] contents(input [64*256-1:0] bytes, input [8*256-1:0] ninths);
    integer i;
    for (i = 0; i < 2048; i = i + 1) contents[9*i+:9] = {ninths[i], bytes[8*i+:8]};
  endfunction
  // A value of 16 bits and 2 ninth bits as lanes.
  function [71:0] lanes(input [1:0] ninths, input [15:0] bytes);
    integer i;
    begin
      lanes = 72'd0;
      for (i = 0; i < 2; i = i + 1) lanes[9*i+:9] = {ninths[i], bytes[8*i+:8]};
    end
  endfunction

  localparam Sdp = RAM_MODE == "SDP";
  // Simple dual port: the wide word takes the pins of both ports, the low half those of A.
  localparam WideIn = Sdp && WRITE_WIDTH_B == 36;
  localparam WideOut = Sdp && READ_WIDTH_A == 36;
  wire [71:0] in_a = lanes(DIPADIP, DIADI);
  wire [71:0] in_b = lanes(DIPBDIP, DIBDI);
  wire [71:0] out_a, out_b;
  block_ram #(
    .Lanes(2048), .Init(contents(Bytes, Ninths)), .ResetGated(1),
    .ReadWidthA(READ_WIDTH_A), .WriteWidthA(WRITE_WIDTH_A), .ReadWidthB(READ_WIDTH_B), .WriteWidthB(WRITE_WIDTH_B),
    .ModeA(WRITE_MODE_A == "WRITE_FIRST" ? 1 : WRITE_MODE_A == "READ_FIRST" ? 2 : 0),
    .ModeB(WRITE_MODE_B == "WRITE_FIRST" ? 1 : WRITE_MODE_B == "READ_FIRST" ? 2 : 0),
    .ReadsOldA(WRITE_MODE_A == "READ_FIRST"), .ReadsOldB(WRITE_MODE_B == "READ_FIRST"),
    .StartA(lanes(INIT_A >> 16, INIT_A)), .StartB(lanes(INIT_B >> 16, INIT_B)),
    .ResetValueA(WideOut ? lanes(SRVAL_A >> 16, SRVAL_A) | lanes(SRVAL_B >> 16, SRVAL_B) << 18
                         : lanes(SRVAL_A >> 16, SRVAL_A)),
    .ResetValueB(lanes(SRVAL_B >> 16, SRVAL_B))
  ) u_ram (
    .clk_a_i(CLKARDCLK), .en_a_i(ENARDEN), .rst_a_i(RSTRAMARSTRAM), .addr_a_i(ADDRARDADDR),
    .we_a_i(Sdp ? 8'd0 : {6'd0, WEA}), .data_a_i(in_a), .data_a_o(out_a),
    .clk_b_i(CLKBWRCLK), .en_b_i(ENBWREN), .rst_b_i(RSTRAMB), .addr_b_i(ADDRBWRADDR),
    .we_b_i(WEBWE), .data_b_i(WideIn ? in_a | in_b << 18 : in_b), .data_b_o(out_b)
  );
  genvar g;
  generate
    for (g = 0; g < 2; g = g + 1) begin : gen_pins
      assign {DOPADOP[g], DOADO[8*g+:8]} = out_a[9*g+:9];
      assign {DOPBDOP[g], DOBDO[8*g+:8]} = WideOut ? out_a[9*(g+2)+:9] : out_b[9*g+:9];
    end
  endgenerate
endmodule

// Block RAM of 36 kbit, each byte with a ninth bit. TDP: two ports of up to 36 bits. SDP: A reads and B writes, up to 72.
// Latency: 1. Reset needs the enable.
module RAMB36E1 (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [15:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DIADI, DIBDI,
  input [3:0] DIPADIP, DIPBDIP, WEA,
  input [7:0] WEBWE,
  input CASCADEINA, CASCADEINB, INJECTDBITERR, INJECTSBITERR,
  output CASCADEOUTA, CASCADEOUTB, SBITERR, DBITERR,
  output [7:0] ECCPARITY,
  output [8:0] RDADDRECC,
  output [31:0] DOADO, DOBDO,
  output [3:0] DOPADOP, DOPBDOP
);
  parameter integer DOA_REG = 0;
  parameter integer DOB_REG = 0;
  parameter INIT_A = 0;
  parameter INIT_B = 0;
  parameter INIT_FILE = "NONE";
  parameter RAM_MODE = "TDP";
  parameter RDADDR_COLLISION_HWCONFIG = "DELAYED_WRITE";
  parameter integer READ_WIDTH_A = 0;
  parameter integer READ_WIDTH_B = 0;
  parameter integer WRITE_WIDTH_A = 0;
  parameter integer WRITE_WIDTH_B = 0;
  parameter WRITE_MODE_A = "WRITE_FIRST";
  parameter WRITE_MODE_B = "WRITE_FIRST";
  parameter SRVAL_A = 0;
  parameter SRVAL_B = 0;
  parameter SIM_COLLISION_CHECK = "ALL";
  parameter SIM_DEVICE = "VIRTEX6";
  parameter RSTREG_PRIORITY_A = "RSTREG";
  parameter RSTREG_PRIORITY_B = "RSTREG";
  parameter RAM_EXTENSION_A = "NONE";
  parameter RAM_EXTENSION_B = "NONE";
  parameter EN_ECC_READ = "FALSE";
  parameter EN_ECC_WRITE = "FALSE";
  parameter IS_CLKARDCLK_INVERTED = 1'b0;
  parameter IS_CLKBWRCLK_INVERTED = 1'b0;
  parameter IS_ENARDEN_INVERTED = 1'b0;
  parameter IS_ENBWREN_INVERTED = 1'b0;
  parameter IS_RSTRAMARSTRAM_INVERTED = 1'b0;
  parameter IS_RSTRAMB_INVERTED = 1'b0;
  parameter IS_RSTREGARSTREG_INVERTED = 1'b0;
  parameter IS_RSTREGB_INVERTED = 1'b0;
  parameter [255:0]
    INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0, INIT_08 = 0,
    INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0, INIT_10 = 0, INIT_11 = 0,
    INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0, INIT_18 = 0, INIT_19 = 0, INIT_1A = 0,
    INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0, INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0,
    INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0, INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0,
    INIT_2D = 0, INIT_2E = 0, INIT_2F = 0, INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0,
    INIT_36 = 0, INIT_37 = 0, INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0,
    INIT_3F = 0, INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0,
    INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0, INIT_4E = 0, INIT_4F = 0, INIT_50 = 0,
    INIT_51 = 0, INIT_52 = 0, INIT_53 = 0, INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0, INIT_58 = 0, INIT_59 = 0,
    INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0, INIT_60 = 0, INIT_61 = 0, INIT_62 = 0,
    INIT_63 = 0, INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0, INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0,
    INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0, INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0, INIT_74 = 0,
    INIT_75 = 0, INIT_76 = 0, INIT_77 = 0, INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0,
    INIT_7E = 0, INIT_7F = 0;
  parameter [255:0]
    INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0,
    INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0, INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0;

  generate
    if (DOA_REG != 0 || DOB_REG != 0 || IS_CLKARDCLK_INVERTED != 0 || IS_CLKBWRCLK_INVERTED != 0 || IS_ENARDEN_INVERTED != 0
        || IS_ENBWREN_INVERTED != 0 || IS_RSTRAMARSTRAM_INVERTED != 0 || IS_RSTRAMB_INVERTED != 0
        || RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE")
    begin : gen_refused
      $error("RAMB36E1: this setting has no model");
    end
  endgenerate

  localparam [128*256-1:0] Bytes = {
    INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76, INIT_75, INIT_74, INIT_73,
    INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C, INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66,
    INIT_65, INIT_64, INIT_63, INIT_62, INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59,
    INIT_58, INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E, INIT_4D, INIT_4C,
    INIT_4B, INIT_4A, INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F,
    INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32,
    INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25,
    INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
    INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B,
    INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
  };
  localparam [16*256-1:0] Ninths = {
    INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06, INITP_05, INITP_04,
    INITP_03, INITP_02, INITP_01, INITP_00
  };
  function [4096*9-1:0] contents(input [128*256-1:0] bytes, input [16*256-1:0] ninths);
    integer i;
    for (i = 0; i < 4096; i = i + 1) contents[9*i+:9] = {ninths[i], bytes[8*i+:8]};
  endfunction
  // A value of 32 bits and 4 ninth bits as lanes.
  function [71:0] lanes(input [3:0] ninths, input [31:0] bytes);
    integer i;
    begin
      lanes = 72'd0;
      for (i = 0; i < 4; i = i + 1) lanes[9*i+:9] = {ninths[i], bytes[8*i+:8]};
    end
  endfunction

  localparam Sdp = RAM_MODE == "SDP";
  // Simple dual port: the wide word takes the pins of both ports, the low half those of A.
  localparam WideIn = Sdp && WRITE_WIDTH_B == 72;
  localparam WideOut = Sdp && READ_WIDTH_A == 72;
  wire [71:0] in_a = lanes(DIPADIP, DIADI);
  wire [71:0] in_b = lanes(DIPBDIP, DIBDI);
  wire [71:0] out_a, out_b;
  block_ram #(
    .Lanes(4096), .Init(contents(Bytes, Ninths)), .ResetGated(1),
    .ReadWidthA(READ_WIDTH_A), .WriteWidthA(WRITE_WIDTH_A), .ReadWidthB(READ_WIDTH_B), .WriteWidthB(WRITE_WIDTH_B),
    .ModeA(WRITE_MODE_A == "WRITE_FIRST" ? 1 : WRITE_MODE_A == "READ_FIRST" ? 2 : 0),
    .ModeB(WRITE_MODE_B == "WRITE_FIRST" ? 1 : WRITE_MODE_B == "READ_FIRST" ? 2 : 0),
    .ReadsOldA(WRITE_MODE_A == "READ_FIRST"), .ReadsOldB(WRITE_MODE_B == "READ_FIRST"),
    .StartA(lanes(INIT_A >> 32, INIT_A)), .StartB(lanes(INIT_B >> 32, INIT_B)),
    .ResetValueA(WideOut ? lanes(SRVAL_A >> 32, SRVAL_A) | lanes(SRVAL_B >> 32, SRVAL_B) << 36
                         : lanes(SRVAL_A >> 32, SRVAL_A)),
    .ResetValueB(lanes(SRVAL_B >> 32, SRVAL_B))
  ) u_ram (
    .clk_a_i(CLKARDCLK), .en_a_i(ENARDEN), .rst_a_i(RSTRAMARSTRAM), .addr_a_i(ADDRARDADDR[14:0]),
    .we_a_i(Sdp ? 8'd0 : {4'd0, WEA}), .data_a_i(in_a), .data_a_o(out_a),
    .clk_b_i(CLKBWRCLK), .en_b_i(ENBWREN), .rst_b_i(RSTRAMB), .addr_b_i(ADDRBWRADDR[14:0]),
    .we_b_i(WEBWE), .data_b_i(WideIn ? in_a | in_b << 36 : in_b), .data_b_o(out_b)
  );
  genvar g;
  generate
    for (g = 0; g < 4; g = g + 1) begin : gen_pins
      assign {DOPADOP[g], DOADO[8*g+:8]} = out_a[9*g+:9];
      assign {DOPBDOP[g], DOBDO[8*g+:8]} = WideOut ? out_a[9*(g+4)+:9] : out_b[9*g+:9];
    end
  endgenerate
endmodule

// Four bits of carry chain. Combinational. As one process: Verilator takes Yosys' model, whose carry vector reads itself, for a
// loop.
module CARRY4 (
  output reg [3:0] CO, O,
  input CI, CYINIT,
  input [3:0] DI, S
);
  reg carry;
  integer i;
  always @* begin
    carry = CI | CYINIT;
    for (i = 0; i < 4; i = i + 1) begin
      O[i] = S[i] ^ carry;
      carry = S[i] ? carry : DI[i];
      CO[i] = carry;
    end
  end
endmodule

// Eight bits of carry chain (UltraScale), or two chains of four with DUAL_CY4. Combinational.
module CARRY8 (
  output reg [7:0] CO, O,
  input CI, CI_TOP,
  input [7:0] DI, S
);
  parameter CARRY_TYPE = "SINGLE_CY8";
  reg carry;
  integer i;
  always @* begin
    carry = CI;
    for (i = 0; i < 8; i = i + 1) begin
      if (i == 4 && CARRY_TYPE == "DUAL_CY4") carry = CI_TOP;
      O[i] = S[i] ^ carry;
      carry = S[i] ? carry : DI[i];
      CO[i] = carry;
    end
  end
endmodule
