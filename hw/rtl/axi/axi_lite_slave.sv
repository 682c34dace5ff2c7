// AXI4-Lite slave in front of a register file.
//
// Function: joins a write address and its data, whichever comes first, to one write; turns a read address into one read.
//   wr_error_i and rd_error_i, valid in the cycle of the access, make its response SLVERR instead of OKAY.
// Latency: a response is offered two cycles after the address (and the data) were taken.
// Initiation interval: 2 cycles a write, 2 cycles a read; reads and writes do not wait for each other.
// awready, wready and arready depend on registers only. The protection bits are ignored.
module axi_lite_slave #(
  parameter int unsigned AddrWidth = 12  // bytes
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,  // synchronous, active low
  input  logic [AddrWidth-1:0] s_axi_awaddr,
  input  logic                 s_axi_awvalid,
  output logic                 s_axi_awready,
  input  logic [31:0]          s_axi_wdata,
  input  logic [3:0]           s_axi_wstrb,
  input  logic                 s_axi_wvalid,
  output logic                 s_axi_wready,
  output logic [1:0]           s_axi_bresp,
  output logic                 s_axi_bvalid,
  input  logic                 s_axi_bready,
  input  logic [AddrWidth-1:0] s_axi_araddr,
  input  logic                 s_axi_arvalid,
  output logic                 s_axi_arready,
  output logic [31:0]          s_axi_rdata,
  output logic [1:0]           s_axi_rresp,
  output logic                 s_axi_rvalid,
  input  logic                 s_axi_rready,
  output logic                 wr_en_o,     // for one cycle a write
  output logic [AddrWidth-1:0] wr_addr_o,
  output logic [31:0]          wr_data_o,
  output logic [3:0]           wr_strb_o,
  input  logic                 wr_error_i,
  output logic                 rd_en_o,     // for one cycle a read
  output logic [AddrWidth-1:0] rd_addr_o,
  input  logic [31:0]          rd_data_i,   // in the same cycle
  input  logic                 rd_error_i
);
  localparam logic [1:0] Okay = 2'b00, SlaveError = 2'b10;

  logic                 aw_full_q, w_full_q, ar_full_q, b_valid_q, r_valid_q;
  logic [AddrWidth-1:0] aw_addr_q, ar_addr_q;
  logic [31:0]          w_data_q, r_data_q;
  logic [3:0]           w_strb_q;
  logic [1:0]           b_resp_q, r_resp_q;

  assign s_axi_awready = !aw_full_q;
  assign s_axi_wready  = !w_full_q;
  assign s_axi_arready = !ar_full_q;
  assign s_axi_bvalid  = b_valid_q;
  assign s_axi_bresp   = b_resp_q;
  assign s_axi_rvalid  = r_valid_q;
  assign s_axi_rdata   = r_data_q;
  assign s_axi_rresp   = r_resp_q;

  assign wr_en_o   = aw_full_q && w_full_q && (!b_valid_q || s_axi_bready);
  assign wr_addr_o = aw_addr_q;
  assign wr_data_o = w_data_q;
  assign wr_strb_o = w_strb_q;
  assign rd_en_o   = ar_full_q && (!r_valid_q || s_axi_rready);
  assign rd_addr_o = ar_addr_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      aw_full_q <= 1'b0;
      w_full_q  <= 1'b0;
      ar_full_q <= 1'b0;
      b_valid_q <= 1'b0;
      r_valid_q <= 1'b0;
    end else begin
      aw_full_q <= aw_full_q ? !wr_en_o : s_axi_awvalid;
      w_full_q  <= w_full_q ? !wr_en_o : s_axi_wvalid;
      ar_full_q <= ar_full_q ? !rd_en_o : s_axi_arvalid;
      b_valid_q <= wr_en_o || (b_valid_q && !s_axi_bready);
      r_valid_q <= rd_en_o || (r_valid_q && !s_axi_rready);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!aw_full_q) aw_addr_q <= s_axi_awaddr;
    if (!ar_full_q) ar_addr_q <= s_axi_araddr;
    if (!w_full_q) begin
      w_data_q <= s_axi_wdata;
      w_strb_q <= s_axi_wstrb;
    end
    if (wr_en_o) b_resp_q <= wr_error_i ? SlaveError : Okay;
    if (rd_en_o) begin
      r_resp_q <= rd_error_i ? SlaveError : Okay;
      r_data_q <= rd_error_i ? '0 : rd_data_i;
    end
  end
endmodule
