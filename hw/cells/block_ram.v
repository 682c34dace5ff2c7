// Two-port block RAM: the core of the families' models (ecp5.v, gowin.v, xilinx.v). For simulation and proof, not synthesis.
//
// Function: Lanes words of 9 bits. A port reads and writes 1, 2 or 4 bits of a lane, or 9, 18, 36 or 72 bits, lanes side by side.
//   Addresses count bits, eight to a lane (words below 9 bits do not reach the ninth); those inside a word are ignored.
// Latency: 1. A port that writes shows no change (Mode 0), the new word (1) or the old word (2). Not enabled, it holds.
// Reset: the output register becomes ResetValue, only when enabled if ResetGated, at once if ResetAsync.
// Collision: what a port reads while the other writes it is undefined, unless the writing port is one that is documented to
//   give the old word (ReadsOld). Undefined bits read inverted, so that nothing can come to rely on them.
// The two clocks are one net, or one of them is tied off.
// verilator lint_off DECLFILENAME
// verilator lint_off WIDTH
// verilator lint_off MULTIDRIVEN
// verilator lint_off UNUSED
module block_ram #(
  parameter integer      Lanes            = 2048,
  parameter [Lanes*9-1:0] Init            = 0,    // lane 0 in the low bits
  parameter integer      ReadWidthA       = 9,
  parameter integer      WriteWidthA      = 9,
  parameter integer      ModeA            = 0,
  parameter integer      ReadsOldA        = 0,
  parameter [71:0]       ResetValueA      = 0,
  parameter [71:0]       StartA           = 0,    // output register at power-up
  parameter integer      ReadWidthB       = 9,
  parameter integer      WriteWidthB      = 9,
  parameter integer      ModeB            = 0,
  parameter integer      ReadsOldB        = 0,
  parameter [71:0]       ResetValueB      = 0,
  parameter [71:0]       StartB           = 0,
  parameter integer      ResetGated       = 0,
  parameter integer      ResetAsync       = 0,
  parameter integer      ResetBlocksWrite = 0
) (
  input         clk_a_i,
  input         en_a_i,
  input         rst_a_i,
  input  [7:0]  we_a_i,    // one bit a lane of the written word, its lowest lane in bit 0
  input  [15:0] addr_a_i,
  input  [71:0] data_a_i,
  output [71:0] data_a_o,
  input         clk_b_i,
  input         en_b_i,
  input         rst_b_i,
  input  [7:0]  we_b_i,
  input  [15:0] addr_b_i,
  input  [71:0] data_b_i,
  output [71:0] data_b_o
);
  localparam integer ReadA  = ReadWidthA < 9 ? 1 : ReadWidthA / 9;  // lanes
  localparam integer ReadB  = ReadWidthB < 9 ? 1 : ReadWidthB / 9;
  localparam integer WriteA = WriteWidthA < 9 ? 1 : WriteWidthA / 9;
  localparam integer WriteB = WriteWidthB < 9 ? 1 : WriteWidthB / 9;

  reg [8:0] mem [0:Lanes-1];
  integer i, j;
  initial for (i = 0; i < Lanes; i = i + 1) mem[i] = Init[9*i+:9];

  wire [12:0] read_a  = (addr_a_i >> 3) & (Lanes - ReadA);
  wire [12:0] read_b  = (addr_b_i >> 3) & (Lanes - ReadB);
  wire [12:0] write_a = (addr_a_i >> 3) & (Lanes - WriteA);
  wire [12:0] write_b = (addr_b_i >> 3) & (Lanes - WriteB);

  // Bits written, lane by lane, and what is written there.
  wire [71:0] bits_a, bits_b, new_a, new_b;
  block_ram_write #(.Width(WriteWidthA)) u_write_a (
    .en_i(en_a_i && !(ResetBlocksWrite != 0 && rst_a_i)), .we_i(we_a_i), .addr_i(addr_a_i), .data_i(data_a_i),
    .bits_o(bits_a), .data_o(new_a));
  block_ram_write #(.Width(WriteWidthB)) u_write_b (
    .en_i(en_b_i && !(ResetBlocksWrite != 0 && rst_b_i)), .we_i(we_b_i), .addr_i(addr_b_i), .data_i(data_b_i),
    .bits_o(bits_b), .data_o(new_b));

  always @(posedge clk_a_i)
    for (i = 0; i < WriteA; i = i + 1)
      for (j = 0; j < 9; j = j + 1)
        if (bits_a[9*i+j]) mem[write_a+i][j] <= new_a[9*i+j];
  always @(posedge clk_b_i)
    for (i = 0; i < WriteB; i = i + 1)
      for (j = 0; j < 9; j = j + 1)
        if (bits_b[9*i+j]) mem[write_b+i][j] <= new_b[9*i+j];

  // What each port reads, lane by lane.
  wire [71:0] got_a, got_b;
  genvar g;
  generate
    for (g = 0; g < 8; g = g + 1) begin : gen_lane
      if (g < ReadA) begin : gen_a
        block_ram_read #(.Own(WriteA), .Other(WriteB), .Mode(ModeA), .OtherReadsOld(ReadsOldB)) u_read (
          .lane_i(read_a + g), .old_i(mem[read_a+g]), .own_i(write_a), .own_bits_i(bits_a), .own_data_i(new_a),
          .other_i(write_b), .other_bits_i(bits_b), .data_o(got_a[9*g+:9]));
      end else begin : gen_no_a
        assign got_a[9*g+:9] = 9'd0;
      end
      if (g < ReadB) begin : gen_b
        block_ram_read #(.Own(WriteB), .Other(WriteA), .Mode(ModeB), .OtherReadsOld(ReadsOldA)) u_read (
          .lane_i(read_b + g), .old_i(mem[read_b+g]), .own_i(write_b), .own_bits_i(bits_b), .own_data_i(new_b),
          .other_i(write_a), .other_bits_i(bits_a), .data_o(got_b[9*g+:9]));
      end else begin : gen_no_b
        assign got_b[9*g+:9] = 9'd0;
      end
    end
  endgenerate

  block_ram_output #(.Width(ReadWidthA), .ResetValue(ResetValueA), .Start(StartA), .ResetAsync(ResetAsync)) u_output_a (
    .clk_i(clk_a_i), .en_i(en_a_i && !(ModeA == 0 && |bits_a)), .rst_i(rst_a_i && (en_a_i || ResetGated == 0)),
    .addr_i(addr_a_i), .data_i(got_a), .data_o(data_a_o));
  block_ram_output #(.Width(ReadWidthB), .ResetValue(ResetValueB), .Start(StartB), .ResetAsync(ResetAsync)) u_output_b (
    .clk_i(clk_b_i), .en_i(en_b_i && !(ModeB == 0 && |bits_b)), .rst_i(rst_b_i && (en_b_i || ResetGated == 0)),
    .addr_i(addr_b_i), .data_i(got_b), .data_o(data_b_o));
endmodule

// The bits of up to eight lanes that a write of Width bits changes, and their values. Combinational.
module block_ram_write #(
  parameter integer Width = 9
) (
  input             en_i,
  input      [7:0]  we_i,
  input      [15:0] addr_i,
  input      [71:0] data_i,
  output reg [71:0] bits_o,
  output     [71:0] data_o
);
  wire [2:0] shift = Width < 9 ? addr_i[2:0] & ~(Width - 1) : 3'd0;
  integer i;
  always @* begin
    bits_o = 72'd0;
    if (Width < 9) bits_o[8:0] = {9{en_i && we_i[0]}} & (((1 << Width) - 1) << shift);
    else for (i = 0; i < Width / 9; i = i + 1) bits_o[9*i+:9] = {9{en_i && we_i[i]}};
  end
  assign data_o = Width < 9 ? {63'd0, data_i[8:0] << shift} : data_i;
endmodule

// What one lane reads as, given the writes of both ports in this cycle. Combinational.
module block_ram_read #(
  parameter integer Own           = 1,  // lanes that the own port writes
  parameter integer Other         = 1,  // lanes that the other port writes
  parameter integer Mode          = 0,
  parameter integer OtherReadsOld = 0
) (
  input      [12:0] lane_i,
  input      [8:0]  old_i,
  input      [12:0] own_i,              // first lane that the own port writes
  input      [71:0] own_bits_i,
  input      [71:0] own_data_i,
  input      [12:0] other_i,
  input      [71:0] other_bits_i,
  output reg [8:0]  data_o
);
  integer i;
  always @* begin
    data_o = old_i;
    for (i = 0; i < Own; i = i + 1)
      if (Mode == 1 && lane_i == own_i + i)
        data_o = (data_o & ~own_bits_i[9*i+:9]) | (own_data_i[9*i+:9] & own_bits_i[9*i+:9]);
    for (i = 0; i < Other; i = i + 1)
      if (OtherReadsOld == 0 && lane_i == other_i + i)
        data_o = data_o ^ other_bits_i[9*i+:9];
  end
endmodule

// Output register of a port that reads Width bits. Latency: 1.
module block_ram_output #(
  parameter integer Width      = 9,
  parameter [71:0]  ResetValue = 0,
  parameter [71:0]  Start      = 0,
  parameter integer ResetAsync = 0
) (
  input             clk_i,
  input             en_i,
  input             rst_i,
  input      [15:0] addr_i,
  input      [71:0] data_i,
  output reg [71:0] data_o
);
  wire [2:0] shift = Width < 9 ? addr_i[2:0] & ~(Width - 1) : 3'd0;
  initial data_o = Start;
  wire [71:0] word = Width < 9 ? (data_i[7:0] >> shift) & ((1 << Width) - 1) : data_i;
  generate
    if (ResetAsync != 0) begin : gen_async
      always @(posedge clk_i or posedge rst_i)
        if (rst_i) data_o <= ResetValue;
        else if (en_i) data_o <= word;
    end else begin : gen_sync
      always @(posedge clk_i)
        if (rst_i) data_o <= ResetValue;
        else if (en_i) data_o <= word;
    end
  endgenerate
endmodule
