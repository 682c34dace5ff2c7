// For Yosys' techmap: asserts of every memory whose size is no power of two that what is read lies in it.
//
// What the RTL reads outside is undefined, and the netlist is free to give anything there. Proven first, the asserts tell the
// proof of equivalence that it never happens. They are made of gates already: nothing maps cells after this.
(* techmap_celltype = "$mem_v2" *)
module in_range (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "";
  parameter signed SIZE = 4;
  parameter signed OFFSET = 0;
  parameter signed ABITS = 2;
  parameter signed WIDTH = 8;
  parameter signed INIT = 1'bx;
  parameter signed RD_PORTS = 1;
  parameter RD_CLK_ENABLE = 1'b1;
  parameter RD_CLK_POLARITY = 1'b1;
  parameter RD_TRANSPARENCY_MASK = 1'b0;
  parameter RD_COLLISION_X_MASK = 1'b0;
  parameter RD_WIDE_CONTINUATION = 1'b0;
  parameter RD_CE_OVER_SRST = 1'b0;
  parameter RD_ARST_VALUE = 1'b0;
  parameter RD_SRST_VALUE = 1'b0;
  parameter RD_INIT_VALUE = 1'b0;
  parameter signed WR_PORTS = 1;
  parameter WR_CLK_ENABLE = 1'b1;
  parameter WR_CLK_POLARITY = 1'b1;
  parameter WR_PRIORITY_MASK = 1'b0;
  parameter WR_WIDE_CONTINUATION = 1'b0;

  localparam WrPins = WR_PORTS > 0 ? WR_PORTS : 1;
  input [RD_PORTS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
  input [RD_PORTS*ABITS-1:0] RD_ADDR;
  output [RD_PORTS*WIDTH-1:0] RD_DATA;
  input [WrPins-1:0] WR_CLK;
  input [WrPins*WIDTH-1:0] WR_EN, WR_DATA;
  input [WrPins*ABITS-1:0] WR_ADDR;

`define MEMORY_PARAMETERS \
    .MEMID(MEMID), .SIZE(SIZE), .OFFSET(OFFSET), .ABITS(ABITS), .WIDTH(WIDTH), .INIT(INIT), .RD_PORTS(RD_PORTS), \
    .RD_CLK_ENABLE(RD_CLK_ENABLE), .RD_CLK_POLARITY(RD_CLK_POLARITY), .RD_TRANSPARENCY_MASK(RD_TRANSPARENCY_MASK), \
    .RD_COLLISION_X_MASK(RD_COLLISION_X_MASK), .RD_WIDE_CONTINUATION(RD_WIDE_CONTINUATION), \
    .RD_CE_OVER_SRST(RD_CE_OVER_SRST), .RD_ARST_VALUE(RD_ARST_VALUE), .RD_SRST_VALUE(RD_SRST_VALUE), \
    .RD_INIT_VALUE(RD_INIT_VALUE), .WR_PORTS(WR_PORTS), .WR_CLK_ENABLE(WR_CLK_ENABLE), \
    .WR_CLK_POLARITY(WR_CLK_POLARITY), .WR_PRIORITY_MASK(WR_PRIORITY_MASK), .WR_WIDE_CONTINUATION(WR_WIDE_CONTINUATION)
`define READ_PORTS \
    .RD_CLK(RD_CLK), .RD_EN(RD_EN), .RD_ARST(RD_ARST), .RD_SRST(RD_SRST), .RD_ADDR(RD_ADDR), .RD_DATA(RD_DATA)
  genvar i;
  generate
    if (WR_PORTS > 0) begin : gen_ram
      \$mem_v2 #(`MEMORY_PARAMETERS) _TECHMAP_REPLACE_ (
        `READ_PORTS, .WR_CLK(WR_CLK), .WR_EN(WR_EN), .WR_ADDR(WR_ADDR), .WR_DATA(WR_DATA));
    end else begin : gen_rom
      \$mem_v2 #(`MEMORY_PARAMETERS) _TECHMAP_REPLACE_ (`READ_PORTS, .WR_CLK(), .WR_EN(), .WR_ADDR(), .WR_DATA());
    end
    if (SIZE < (1 << ABITS)) begin : gen_assert
      for (i = 0; i < RD_PORTS; i = i + 1) begin : gen_port
        (* keep *) \$assert inside (.A(RD_ADDR[i*ABITS+:ABITS] < SIZE), .EN(RD_EN[i]));
      end
    end
  endgenerate
endmodule
