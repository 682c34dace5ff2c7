// An accelerator behind AXI4-Stream (images in, results out) and AXI4-Lite (registers, see axi_registers).
//
// Function: words of a frame's beats in, words of {class, logits} out; see axis_frame_in and axis_frame_out for what a word and
//   a packet are. One clock for all. The register `control` resets the accelerator and both streams, not the registers.
// Latency: of the accelerator, and one cycle a further word of its last beats. Initiation interval: 1 word a cycle, where the
//   accelerator takes and gives a beat a cycle.
// While the accelerator is in reset, s_axis_tready and m_axis_tvalid are 0; a packet under way is lost then.
module axi_accelerator #(
  parameter int unsigned  InWordBits  = 8,  // a word of the input stream
  parameter int unsigned  InBeatBits  = 8,  // s_axis_tdata of the accelerator
  parameter int unsigned  InBeats     = 1,  // a frame
  parameter int unsigned  OutWordBits = 8,  // a word of the result stream
  parameter int unsigned  OutBeatBits = 8,  // m_axis_tdata of the accelerator
  parameter int unsigned  OutBeats    = 1,  // a frame
  parameter int unsigned  Classes     = 2,
  parameter int unsigned  NumFifos    = 1,
  parameter logic [255:0] Network     = '0  // sha256, byte 0 in the low bits
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,  // synchronous, active low
  input  logic [11:0]            s_axi_awaddr,
  input  logic                   s_axi_awvalid,
  output logic                   s_axi_awready,
  input  logic [31:0]            s_axi_wdata,
  input  logic [3:0]             s_axi_wstrb,
  input  logic                   s_axi_wvalid,
  output logic                   s_axi_wready,
  output logic [1:0]             s_axi_bresp,
  output logic                   s_axi_bvalid,
  input  logic                   s_axi_bready,
  input  logic [11:0]            s_axi_araddr,
  input  logic                   s_axi_arvalid,
  output logic                   s_axi_arready,
  output logic [31:0]            s_axi_rdata,
  output logic [1:0]             s_axi_rresp,
  output logic                   s_axi_rvalid,
  input  logic                   s_axi_rready,
  input  logic [InWordBits-1:0]  s_axis_tdata,
  input  logic                   s_axis_tvalid,
  output logic                   s_axis_tready,
  input  logic                   s_axis_tlast,
  output logic [OutWordBits-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready,
  output logic                   m_axis_tlast
);
  localparam int unsigned InWords  = InBeats * ((InBeatBits + InWordBits - 1) / InWordBits);
  localparam int unsigned OutWords = OutBeats * ((OutBeatBits + OutWordBits - 1) / OutWordBits);

  logic        wr_en, wr_error, rd_en, rd_error;
  logic [11:0] wr_addr, rd_addr;
  logic [31:0] wr_data, rd_data, packet_frames;
  logic [3:0]  wr_strb;
  logic        core_rst_n, restart, first, frame, short_frame;

  logic [InBeatBits-1:0]  in_data;
  logic [OutBeatBits-1:0] out_data;
  logic                   in_valid, in_ready, out_valid, out_ready, out_last;
  logic                   word_ready, result_valid;
  logic [NumFifos-1:0]    fifo_full, fifo_empty;

  axi_lite_slave #(.AddrWidth(12)) u_slave (
    .clk_i, .rst_ni,
    .s_axi_awaddr, .s_axi_awvalid, .s_axi_awready, .s_axi_wdata, .s_axi_wstrb, .s_axi_wvalid, .s_axi_wready,
    .s_axi_bresp, .s_axi_bvalid, .s_axi_bready,
    .s_axi_araddr, .s_axi_arvalid, .s_axi_arready, .s_axi_rdata, .s_axi_rresp, .s_axi_rvalid, .s_axi_rready,
    .wr_en_o(wr_en), .wr_addr_o(wr_addr), .wr_data_o(wr_data), .wr_strb_o(wr_strb), .wr_error_i(wr_error),
    .rd_en_o(rd_en), .rd_addr_o(rd_addr), .rd_data_i(rd_data), .rd_error_i(rd_error)
  );

  axi_registers #(
    .InWordBits(InWordBits), .InWords(InWords), .OutWordBits(OutWordBits), .OutWords(OutWords),
    .Classes(Classes), .NumFifos(NumFifos), .Network(Network)
  ) u_registers (
    .clk_i, .rst_ni,
    .wr_en_i(wr_en), .wr_addr_i(wr_addr), .wr_data_i(wr_data), .wr_strb_i(wr_strb), .wr_error_o(wr_error),
    .rd_en_i(rd_en), .rd_addr_i(rd_addr), .rd_data_o(rd_data), .rd_error_o(rd_error),
    .core_rst_no(core_rst_n), .restart_o(restart), .packet_frames_o(packet_frames),
    .first_i(first), .frame_i(frame), .short_i(short_frame),
    .stall_in_i(s_axis_tvalid && !s_axis_tready), .stall_out_i(m_axis_tvalid && !m_axis_tready),
    .fifo_full_i(fifo_full), .fifo_empty_i(fifo_empty)
  );

  assign s_axis_tready = word_ready && core_rst_n;
  assign m_axis_tvalid = result_valid && core_rst_n;

  axis_frame_in #(.WordBits(InWordBits), .BeatBits(InBeatBits), .Beats(InBeats)) u_in (
    .clk_i, .rst_ni(core_rst_n),
    .s_axis_tdata, .s_axis_tvalid(s_axis_tvalid && core_rst_n), .s_axis_tready(word_ready), .s_axis_tlast,
    .beat_data_o(in_data), .beat_valid_o(in_valid), .beat_ready_i(in_ready),
    .first_o(first), .short_o(short_frame)
  );

  accelerator u_accelerator (
    .clk_i, .rst_ni(core_rst_n),
    .s_axis_tdata(in_data), .s_axis_tvalid(in_valid), .s_axis_tready(in_ready),
    .m_axis_tdata(out_data), .m_axis_tvalid(out_valid), .m_axis_tready(out_ready), .m_axis_tlast(out_last),
    .fifo_full_o(fifo_full), .fifo_empty_o(fifo_empty)
  );

  axis_frame_out #(.WordBits(OutWordBits), .BeatBits(OutBeatBits)) u_out (
    .clk_i, .rst_ni(core_rst_n), .restart_i(restart), .packet_frames_i(packet_frames),
    .beat_data_i(out_data), .beat_valid_i(out_valid), .beat_ready_o(out_ready), .beat_last_i(out_last),
    .m_axis_tdata, .m_axis_tvalid(result_valid), .m_axis_tready(m_axis_tready && core_rst_n), .m_axis_tlast,
    .frame_o(frame)
  );
endmodule
