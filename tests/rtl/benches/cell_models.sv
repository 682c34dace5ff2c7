// Block RAM and multiplier models against vectors worked out by hand from the vendors' documentation. Prints a line for each
// check that fails, and the number of checks at the end.
module cell_models;
  logic clk = 0;
  int   checks = 0;
  int   failures = 0;

  task automatic check(input string what, input logic [71:0] got, input logic [71:0] expected);
    checks++;
    if (got !== expected) begin
      failures++;
      $display("FAIL %s: got %h, expected %h", what, got, expected);
    end
  endtask
  task automatic tick;
    #1 clk = 1;
    #1 clk = 0;
  endtask

  // ECP5, FPGA-TN-02204: 512 x 36 is the wide read of port B; INITVAL rows hold 16 words of 18 bits, 20 apart.
  logic [13:0] rom_addr;
  wire  [17:0] rom_low, rom_high;
  DP16KD #(
    .DATA_WIDTH_A(36), .DATA_WIDTH_B(36),
    .INITVAL_00(320'h2AAAA15555), .INITVAL_01(320'h00001_3FFFF_00000_00000)
  ) ecp5_rom (
    .CLKA(1'b0), .CEA(1'b0), .WEA(1'b0), .RSTA(1'b0), .CLKB(clk), .CEB(1'b1), .WEB(1'b0), .RSTB(1'b0), .OCEB(1'b1),
    .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),
    .ADB5(rom_addr[5]), .ADB6(rom_addr[6]), .ADB7(rom_addr[7]), .ADB8(rom_addr[8]), .ADB9(rom_addr[9]),
    .ADB10(rom_addr[10]), .ADB11(rom_addr[11]), .ADB12(rom_addr[12]), .ADB13(rom_addr[13]),
    .DOA0(rom_low[0]), .DOA1(rom_low[1]), .DOA16(rom_low[16]), .DOA17(rom_low[17]),
    .DOB0(rom_high[0]), .DOB1(rom_high[1]), .DOB16(rom_high[16]), .DOB17(rom_high[17])
  );

  // ECP5: A writes 18 bits with byte enables in its lowest two address bits, B reads 9; one instance a write mode.
  logic        cea, wea, rsta, ceb;
  logic [17:0] dia;
  logic [1:0]  be;
  logic [2:0]  word_a, lane_b;
  wire  [17:0] doa [3];
  wire  [8:0]  dob [3];
  for (genvar m = 0; m < 3; m++) begin : gen_mode
    DP16KD #(
      .DATA_WIDTH_A(18), .DATA_WIDTH_B(9), .WRITEMODE_A(m == 0 ? "NORMAL" : m == 1 ? "WRITETHROUGH" : "READBEFOREWRITE")
    ) ram (
      .CLKA(clk), .CEA(cea), .WEA(wea), .RSTA(rsta), .OCEA(1'b1), .CLKB(clk), .CEB(ceb), .WEB(1'b0), .RSTB(1'b0),
      .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0), .OCEB(1'b1),
      .ADA0(be[0]), .ADA1(be[1]), .ADA4(word_a[0]), .ADA5(word_a[1]), .ADA6(word_a[2]),
      .ADB3(lane_b[0]), .ADB4(lane_b[1]), .ADB5(lane_b[2]),
      .DIA0(dia[0]), .DIA1(dia[1]), .DIA2(dia[2]), .DIA3(dia[3]), .DIA4(dia[4]), .DIA5(dia[5]), .DIA6(dia[6]),
      .DIA7(dia[7]), .DIA8(dia[8]), .DIA9(dia[9]), .DIA10(dia[10]), .DIA11(dia[11]), .DIA12(dia[12]), .DIA13(dia[13]),
      .DIA14(dia[14]), .DIA15(dia[15]), .DIA16(dia[16]), .DIA17(dia[17]),
      .DOA0(doa[m][0]), .DOA1(doa[m][1]), .DOA2(doa[m][2]), .DOA3(doa[m][3]), .DOA4(doa[m][4]), .DOA5(doa[m][5]),
      .DOA6(doa[m][6]), .DOA7(doa[m][7]), .DOA8(doa[m][8]), .DOA9(doa[m][9]), .DOA10(doa[m][10]), .DOA11(doa[m][11]),
      .DOA12(doa[m][12]), .DOA13(doa[m][13]), .DOA14(doa[m][14]), .DOA15(doa[m][15]), .DOA16(doa[m][16]),
      .DOA17(doa[m][17]),
      .DOB0(dob[m][0]), .DOB1(dob[m][1]), .DOB2(dob[m][2]), .DOB3(dob[m][3]), .DOB4(dob[m][4]), .DOB5(dob[m][5]),
      .DOB6(dob[m][6]), .DOB7(dob[m][7]), .DOB8(dob[m][8])
    );
  end

  task automatic ecp5;
    rom_addr = 14'd0 << 5;
    tick();
    check("rom word 0, low", {rom_low[17:16], rom_low[1:0]}, 4'b0101);    // 15555
    check("rom word 0, high", {rom_high[17:16], rom_high[1:0]}, 4'b1010); // 2AAAA
    rom_addr = 14'd9 << 5;                                               // words 18 and 19 of 18 bits: row 1, places 2 and 3
    tick();
    check("rom word 9, low", {rom_low[17:16], rom_low[1:0]}, 4'b1111);
    check("rom word 9, high", {rom_high[17:16], rom_high[1:0]}, 4'b0001);

    {cea, wea, rsta, ceb, be, word_a, lane_b, dia} = '0;
    {cea, wea, be, word_a, dia} = {1'b1, 1'b1, 2'b11, 3'd2, 18'h2A5C3};
    tick();
    check("normal: a write shows nothing", doa[0], 18'h0);
    check("write through", doa[1], 18'h2A5C3);
    check("read before write", doa[2], 18'h0);
    {be, dia} = {2'b10, 18'h15555};  // the upper nine bits only: 0AA << 9 | 1C3
    tick();
    check("normal holds", doa[0], 18'h0);
    check("write through, one byte", doa[1], 18'h155C3);
    check("read before write, the word before", doa[2], 18'h2A5C3);
    {wea, ceb, lane_b} = {1'b0, 1'b1, 3'd5};  // lane 5 is the upper half of word 2
    tick();
    check("read, normal", doa[0], 18'h155C3);
    check("nine bits of eighteen", dob[0], 9'h0AA);
    {wea, be, dia} = {1'b1, 2'b11, 18'h3FE00};
    tick();
    check("collision: not the old word", dob[0] == 9'h0AA, 1'b0);
    check("collision: nor the new one", dob[0] == 9'h1FF, 1'b0);
    {wea, rsta} = 2'b01;
    tick();
    check("reset clears the output", doa[0], 18'h0);
    rsta = 0;
    tick();
    check("and no contents", doa[0], 18'h3FE00);
  endtask

  // Gowin, UG285: A writes words of bits, B reads words of bytes and the other way round.
  logic        gcea, gceb;
  logic [13:0] gada, gadb;
  logic [31:0] gdi;
  wire  [31:0] bit_out, wide_out;
  SDPB #(.BIT_WIDTH_0(1), .BIT_WIDTH_1(16), .INIT_RAM_00(256'h8040_2010)) gowin_bits (
    .CLKA(clk), .CEA(gcea), .CLKB(clk), .CEB(gceb), .OCE(1'b1), .RESETA(1'b0), .RESETB(1'b0), .ADA(gada), .ADB(gadb),
    .BLKSELA(3'b000), .BLKSELB(3'b000), .DI(gdi), .DO(bit_out)
  );
  wire [35:0] nine_out;
  SDPX9B #(.BIT_WIDTH_0(36), .BIT_WIDTH_1(9)) gowin_nine (
    .CLKA(clk), .CEA(gcea), .CLKB(clk), .CEB(gceb), .OCE(1'b1), .RESETA(1'b0), .RESETB(1'b0), .ADA(gada), .ADB(gadb),
    .BLKSELA(3'b000), .BLKSELB(3'b000), .DI({4'h9, gdi}), .DO(nine_out)
  );
  SP #(.BIT_WIDTH(32), .WRITE_MODE(2'b01), .INIT_RAM_00(256'h01234567_89ABCDEF)) gowin_single (
    .CLK(clk), .CE(gceb), .OCE(1'b1), .RESET(1'b0), .WRE(1'b0), .AD(gadb), .BLKSEL(3'b000), .DI(32'd0), .DO(wide_out)
  );
  wire [17:0] mult9;
  MULT9X9 gowin_mult (
    .A(9'h1FD), .B(9'h005), .SIA(9'd0), .SIB(9'd0), .ASIGN(1'b1), .BSIGN(1'b0), .ASEL(1'b0), .BSEL(1'b0), .CE(1'b0),
    .CLK(1'b0), .RESET(1'b0), .DOUT(mult9)
  );

  task automatic gowin;
    {gcea, gceb, gada, gadb, gdi} = {1'b0, 1'b1, 14'd0, 14'd16, 32'd0};
    tick();
    check("bytes 2 and 3 as one word", bit_out[15:0], 16'h8040);
    {gcea, gada, gdi} = {1'b1, 14'd27, 32'd1};  // bit 3 of byte 3
    gceb = 0;
    tick();
    {gcea, gceb} = 2'b01;
    tick();
    check("a bit written into a byte", bit_out[15:0], 16'h8840);
    {gcea, gada, gdi} = {1'b1, 14'h026, 32'h2345_6789};  // word 1 of 36 bits, enables 0110: lanes 5 and 6 of 4..7
    gceb = 0;
    tick();
    {gcea, gceb, gadb} = {1'b0, 1'b1, 14'd5 << 3};
    tick();
    check("lane 5", nine_out[8:0], 9'h0B3);  // bits 17..9 of 9_2345_6789
    gadb = 14'd4 << 3;
    tick();
    check("lane 4 was not enabled", nine_out[8:0], 9'h000);
    gadb = 14'd1 << 5;
    tick();
    check("32-bit word 1", wide_out, 32'h01234567);
    check("-3 * 5", mult9, 18'h3FFF1);
  endtask

  // Xilinx, UG473: simple dual port; the wide word spans the pins of both ports, a ninth bit for each byte from INITP.
  logic        xen, xwen;
  logic [3:0]  xwe;
  logic [13:0] xra, xwa;
  logic [31:0] xdi;
  wire  [15:0] xdoa, xdob;
  wire  [1:0]  xdopa, xdopb;
  RAMB18E1 #(
    .RAM_MODE("SDP"), .READ_WIDTH_A(36), .WRITE_WIDTH_B(36), .WRITE_MODE_A("READ_FIRST"), .WRITE_MODE_B("READ_FIRST"),
    .INIT_00(256'h1122_3344_5566_7788), .INITP_00(256'h9A), .SRVAL_A(18'h1BEEF), .SRVAL_B(18'h2CAFE)
  ) xilinx_half (
    .CLKARDCLK(clk), .CLKBWRCLK(clk), .ENARDEN(xen), .ENBWREN(xwen), .REGCEAREGCE(1'b0), .REGCEB(1'b0),
    .RSTRAMARSTRAM(xrst), .RSTRAMB(1'b0), .RSTREGARSTREG(1'b0), .RSTREGB(1'b0), .ADDRARDADDR(xra), .ADDRBWRADDR(xwa),
    .DIADI(xdi[15:0]), .DIBDI(xdi[31:16]), .DIPADIP(2'b11), .DIPBDIP(2'b00), .WEA(2'b00), .WEBWE(xwe), .DOADO(xdoa),
    .DOBDO(xdob), .DOPADOP(xdopa), .DOPBDOP(xdopb)
  );
  logic        xrst = 0;
  wire  [31:0] fdoa, fdob;
  wire  [3:0]  fdopa, fdopb;
  RAMB36E1 #(
    .RAM_MODE("TDP"), .READ_WIDTH_A(1), .WRITE_WIDTH_A(0), .READ_WIDTH_B(36), .INIT_7F(256'h8000_0001 << 224), .INITP_0F(256'hF << 252)
  ) xilinx_full (
    .CLKARDCLK(clk), .CLKBWRCLK(clk), .ENARDEN(1'b1), .ENBWREN(1'b1), .REGCEAREGCE(1'b0), .REGCEB(1'b0),
    .RSTRAMARSTRAM(1'b0), .RSTRAMB(1'b0), .RSTREGARSTREG(1'b0), .RSTREGB(1'b0), .ADDRARDADDR(16'hFFFF),
    .ADDRBWRADDR(16'hFFE0), .DIADI(32'd0), .DIBDI(32'd0), .DIPADIP(4'd0), .DIPBDIP(4'd0), .WEA(4'd0), .WEBWE(8'd0),
    .DOADO(fdoa), .DOBDO(fdob), .DOPADOP(fdopa), .DOPBDOP(fdopb), .CASCADEINA(1'b0), .CASCADEINB(1'b0),
    .INJECTDBITERR(1'b0), .INJECTSBITERR(1'b0)
  );

  task automatic xilinx;
    {xen, xwen, xwe, xra, xwa, xdi} = {1'b1, 1'b0, 4'd0, 14'd1 << 5, 14'd1 << 5, 32'hDEADBEEF};
    tick();
    check("word 1 of 36 bits", {xdob, xdoa}, 32'h11223344);
    check("its ninth bits", {xdopb, xdopa}, 4'h9);
    {xwen, xwe} = {1'b1, 4'b0101};
    tick();
    check("reads first, the other port too", {xdob, xdoa}, 32'h11223344);
    xwen = 0;
    tick();
    check("bytes 0 and 2 written", {xdob, xdoa}, 32'h11AD33EF);
    check("ninth bits with their bytes", {xdopb, xdopa}, 4'b1001);  // 1, 0 (written), 0, 1 (written)
    {xen, xrst} = 2'b01;
    tick();
    check("no reset without enable", {xdob, xdoa}, 32'h11AD33EF);
    xen = 1;
    tick();
    check("reset value", {xdob, xdoa}, 32'hCAFEBEEF);
    check("its ninth bits, {B, A}", {xdopb, xdopa}, 4'b1001);
    xrst = 0;
    check("last bit of 36 kbit", fdoa[0], 1'b1);
    check("last word of 36 kbit", {fdopb, fdob}, 36'hF80000001);
  endtask

  wire [35:0] product;
  MULT18X18D ecp5_mult (
    .A0(1'b1), .A1(1'b0), .A2(1'b1), .A3(1'b1), .A4(1'b1), .A5(1'b1), .A6(1'b1), .A7(1'b1), .A8(1'b1), .A9(1'b1),
    .A10(1'b1), .A11(1'b1), .A12(1'b1), .A13(1'b1), .A14(1'b1), .A15(1'b1), .A16(1'b1), .A17(1'b1),  // -3, or 3FFFD
    .B0(1'b1), .B1(1'b0), .B2(1'b1), .B3(1'b0), .B4(1'b0), .B5(1'b0), .B6(1'b0), .B7(1'b0), .B8(1'b0), .B9(1'b0),
    .B10(1'b0), .B11(1'b0), .B12(1'b0), .B13(1'b0), .B14(1'b0), .B15(1'b0), .B16(1'b0), .B17(1'b0),  // 5
    .SIGNEDA(signed_a), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
    .P0(product[0]), .P1(product[1]), .P2(product[2]), .P3(product[3]), .P17(product[17]), .P18(product[18]),
    .P19(product[19]), .P20(product[20]), .P34(product[34]), .P35(product[35])
  );
  logic signed_a;
  assign {product[33:21], product[16:4]} = '0;

  initial begin
    ecp5();
    gowin();
    xilinx();
    // -15 = F_FFFF_FFF1; 3FFFD * 5 = 13FFF1: bits 20, 17 of both, and the low ones.
    signed_a = 1;
    #1 check("-3 * 5", {product[35:34], product[20:17], product[3:0]}, 10'b11_1111_0001);
    signed_a = 0;
    #1 check("262141 * 5", {product[35:34], product[20:17], product[3:0]}, 10'b00_1001_0001);
    $display("%0d checks, %0d failures", checks, failures);
    $finish;
  end
endmodule
