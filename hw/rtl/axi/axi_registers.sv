// The registers of an accelerator behind AXI4-Lite: identity, shape, control and counters.
//
// Function, by byte address (32-bit registers; all others answer SLVERR):
//   000 "FLIP"          004 version of this map      008 control (write): bit 0 reset, bit 1 clear the counters
//   00C status: bit 0 a frame is under way           010 frames a result packet (read and write; refused while busy)
//   014 bits of an input word, 018 input words a frame, 01C bits of a result word, 020 result words a frame, 024 classes,
//   028 FIFOs           040-05C the network's sha256, byte 0 in the low bits of 040
//   080 frames taken    084 frames answered          088 frames cut short (and filled up with zeros)
//   08C latency and 090 interval of frames, in cycles: the last ones measured
//   0A0 cycles, 0A8 cycles in which an input word waited, 0B0 cycles in which a result word waited: 64 bits each. Reading the
//   low half keeps the high half for the next read of it (4 bytes further on).
//   0C0-0CC, 0D0-0DC: FIFOs 0..127, full and empty, FIFO 0 in bit 0
// A write needs all byte strobes. Latency of a frame: from its first word taken to its last result word taken; one frame is
// measured at a time.
module axi_registers #(
  parameter int unsigned  InWordBits  = 8,
  parameter int unsigned  InWords     = 1,  // a frame
  parameter int unsigned  OutWordBits = 8,
  parameter int unsigned  OutWords    = 1,  // a frame
  parameter int unsigned  Classes     = 2,
  parameter int unsigned  NumFifos    = 1,
  parameter logic [255:0] Network     = '0
) (
  input  logic                clk_i,
  input  logic                rst_ni,           // synchronous, active low
  input  logic                wr_en_i,
  input  logic [11:0]         wr_addr_i,
  input  logic [31:0]         wr_data_i,
  input  logic [3:0]          wr_strb_i,
  output logic                wr_error_o,
  input  logic                rd_en_i,
  input  logic [11:0]         rd_addr_i,
  output logic [31:0]         rd_data_o,
  output logic                rd_error_o,
  output logic                core_rst_no,      // of the accelerator and its streams; a register
  output logic                restart_o,        // packet_frames_o is new
  output logic [31:0]         packet_frames_o,
  input  logic                first_i,          // first word of a frame taken
  input  logic                frame_i,          // last result word of a frame taken
  input  logic                short_i,          // frame cut short
  input  logic                stall_in_i,       // input word waits
  input  logic                stall_out_i,      // result word waits
  input  logic [NumFifos-1:0] fifo_full_i,
  input  logic [NumFifos-1:0] fifo_empty_i
);
  localparam logic [31:0] Magic   = 32'h464C_4950;
  localparam logic [31:0] Version = 32'd1;
  localparam logic [11:0] Control = 12'h008, PacketFrames = 12'h010;
  localparam int unsigned ResetCycles = 16;
  localparam int unsigned Shown = (NumFifos < 128) ? NumFifos : 128;

  logic        write_ok, soft_reset, clear, busy;
  logic [3:0]  reset_left_q;
  logic        core_rst_nq;
  logic [31:0] under_way_q, packet_frames_q;

  assign busy            = under_way_q != '0;
  assign write_ok        = wr_strb_i == '1 && (wr_addr_i == Control || (wr_addr_i == PacketFrames && !busy));
  assign wr_error_o      = !write_ok;
  assign soft_reset      = wr_en_i && write_ok && wr_addr_i == Control && wr_data_i[0];
  assign clear           = wr_en_i && write_ok && wr_addr_i == Control && wr_data_i[1];
  assign restart_o       = wr_en_i && write_ok && wr_addr_i == PacketFrames;
  assign core_rst_no     = core_rst_nq;
  assign packet_frames_o = packet_frames_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || soft_reset) begin
      reset_left_q <= 4'(ResetCycles - 1);
      core_rst_nq  <= 1'b0;
    end else if (reset_left_q != '0) begin
      reset_left_q <= reset_left_q - 4'd1;
    end else begin
      core_rst_nq <= 1'b1;
    end
    if (!rst_ni) begin
      packet_frames_q <= 32'd1;
    end else if (restart_o) begin
      packet_frames_q <= wr_data_i;
    end
    if (!core_rst_nq) begin
      under_way_q <= '0;
    end else if (first_i != frame_i) begin
      under_way_q <= first_i ? under_way_q + 32'd1 : under_way_q - 32'd1;
    end
  end

  logic [31:0] taken_q, answered_q, short_q, latency_q, interval_q;
  logic [63:0] cycles_q, stall_in_q, stall_out_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear) begin
      taken_q     <= '0;
      answered_q  <= '0;
      short_q     <= '0;
      cycles_q    <= '0;
      stall_in_q  <= '0;
      stall_out_q <= '0;
    end else begin
      taken_q     <= taken_q + 32'(first_i);
      answered_q  <= answered_q + 32'(frame_i);
      short_q     <= short_q + 32'(short_i);
      cycles_q    <= cycles_q + 64'd1;
      stall_in_q  <= stall_in_q + 64'(stall_in_i);
      stall_out_q <= stall_out_q + 64'(stall_out_i);
    end
  end

  // Latency of one frame at a time: `ahead_q` frames are answered before the one that is measured.
  logic        measuring_q;
  logic [31:0] ahead_q, age_q, gap_q;

  always_ff @(posedge clk_i) begin
    gap_q <= frame_i ? 32'd1 : gap_q + 32'd1;
    age_q <= measuring_q ? age_q + 32'd1 : 32'd1;
    if (!core_rst_nq) begin
      measuring_q <= 1'b0;
    end else if (!measuring_q) begin
      measuring_q <= first_i;
      ahead_q     <= under_way_q - 32'(frame_i);
    end else if (frame_i) begin
      measuring_q <= ahead_q != '0;
      ahead_q     <= ahead_q - 32'd1;
    end
    if (!rst_ni || clear) begin
      latency_q  <= '0;
      interval_q <= '0;
    end else if (frame_i) begin
      interval_q <= gap_q;
      if (measuring_q && ahead_q == '0) latency_q <= age_q;
    end
  end

  logic [3:0][31:0] full, empty;
  assign full  = 128'(fifo_full_i[Shown-1:0]);
  assign empty = 128'(fifo_empty_i[Shown-1:0]);
  if (NumFifos > Shown) begin : gen_more_fifos
    logic unused_fifos;
    assign unused_fifos = ^{fifo_full_i[NumFifos-1:Shown], fifo_empty_i[NumFifos-1:Shown]};
  end

  logic [31:0] high_q;

  always_ff @(posedge clk_i) begin
    if (rd_en_i) begin
      unique case (rd_addr_i)
        12'h0A0: high_q <= cycles_q[63:32];
        12'h0A8: high_q <= stall_in_q[63:32];
        12'h0B0: high_q <= stall_out_q[63:32];
        default: high_q <= high_q;
      endcase
    end
  end

  always_comb begin
    rd_error_o = 1'b0;
    rd_data_o  = '0;
    unique case (rd_addr_i)
      12'h000: rd_data_o = Magic;
      12'h004: rd_data_o = Version;
      12'h00C: rd_data_o = 32'(busy);
      12'h010: rd_data_o = packet_frames_q;
      12'h014: rd_data_o = 32'(InWordBits);
      12'h018: rd_data_o = 32'(InWords);
      12'h01C: rd_data_o = 32'(OutWordBits);
      12'h020: rd_data_o = 32'(OutWords);
      12'h024: rd_data_o = 32'(Classes);
      12'h028: rd_data_o = 32'(NumFifos);
      12'h040, 12'h044, 12'h048, 12'h04C, 12'h050, 12'h054, 12'h058, 12'h05C:
        rd_data_o = Network[rd_addr_i[4:2]*32+:32];
      12'h080: rd_data_o = taken_q;
      12'h084: rd_data_o = answered_q;
      12'h088: rd_data_o = short_q;
      12'h08C: rd_data_o = latency_q;
      12'h090: rd_data_o = interval_q;
      12'h0A0: rd_data_o = cycles_q[31:0];
      12'h0A8: rd_data_o = stall_in_q[31:0];
      12'h0B0: rd_data_o = stall_out_q[31:0];
      12'h0A4, 12'h0AC, 12'h0B4: rd_data_o = high_q;
      12'h0C0, 12'h0C4, 12'h0C8, 12'h0CC: rd_data_o = full[rd_addr_i[3:2]];
      12'h0D0, 12'h0D4, 12'h0D8, 12'h0DC: rd_data_o = empty[rd_addr_i[3:2]];
      default: rd_error_o = 1'b1;
    endcase
  end
endmodule
