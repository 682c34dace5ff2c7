// The beats of an accelerator to words of an AXI4-Stream, several frames a packet.
//
// Function: a beat leaves as Words words, the low bits first, the last one filled up with zeros. tlast marks the last word of
//   every packet_frames_i-th frame, counted from reset on.
// Latency: 0. Initiation interval: 1 word a cycle.
// packet_frames_i must not change while a frame is under way. A value of 0 acts as 1.
module axis_frame_out #(
  parameter  int unsigned WordBits = 8,  // a word of the stream
  parameter  int unsigned BeatBits = 8,  // a beat of the accelerator
  localparam int unsigned Words    = (BeatBits + WordBits - 1) / WordBits  // a beat
) (
  input  logic                clk_i,
  input  logic                rst_ni,           // synchronous, active low
  input  logic                restart_i,        // the next frame is the first of a packet
  input  logic [31:0]         packet_frames_i,
  input  logic [BeatBits-1:0] beat_data_i,
  input  logic                beat_valid_i,
  output logic                beat_ready_o,
  input  logic                beat_last_i,      // last beat of a frame
  output logic [WordBits-1:0] m_axis_tdata,
  output logic                m_axis_tvalid,
  input  logic                m_axis_tready,
  output logic                m_axis_tlast,
  output logic                frame_o           // the last word of a frame is taken in this cycle
);
  if (WordBits < 1 || BeatBits < 1) begin : gen_check_size
    $error("axis_frame_out: WordBits and BeatBits must be at least 1");
  end

  logic [31:0] left_q;  // frames of the packet after this one
  logic        fresh_q, word_last, packet_last;

  assign m_axis_tvalid = beat_valid_i;
  assign beat_ready_o  = m_axis_tready && word_last;
  // A packet's length is looked up at its first frame.
  assign packet_last   = fresh_q ? packet_frames_i <= 32'd1 : left_q == '0;
  assign m_axis_tlast  = beat_last_i && word_last && packet_last;
  assign frame_o       = beat_valid_i && beat_ready_o && beat_last_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || restart_i) begin
      fresh_q <= 1'b1;
    end else if (frame_o) begin
      fresh_q <= packet_last;
    end
    if (frame_o) begin
      left_q <= (fresh_q ? packet_frames_i - 32'd1 : left_q) - 32'd1;
    end
  end

  logic [Words*WordBits-1:0] padded;
  assign padded = (Words * WordBits)'(beat_data_i);

  if (Words == 1) begin : gen_direct
    assign word_last    = 1'b1;
    assign m_axis_tdata = padded;
  end else begin : gen_split
    localparam int unsigned IndexBits = $clog2(Words);
    logic [IndexBits-1:0] index_q;

    assign word_last    = index_q == IndexBits'(Words - 1);
    assign m_axis_tdata = padded[index_q*WordBits+:WordBits];

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        index_q <= '0;
      end else if (m_axis_tvalid && m_axis_tready) begin
        index_q <= word_last ? '0 : index_q + IndexBits'(1);
      end
    end
  end
endmodule
