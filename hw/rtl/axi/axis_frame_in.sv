// Words of an AXI4-Stream to the beats of an accelerator, in whole frames.
//
// Function: a beat is Words words, the first one in the low bits; a frame is Beats beats. A packet holds one frame or many.
//   A packet that ends (tlast) inside a frame is completed with zero words, so that the next packet starts a frame; this
//   is reported by short_o. A frame whose packet goes on needs no tlast.
// Latency: 0 from a beat's last word to the beat. Initiation interval: 1 word a cycle.
// beat_valid_o never waits for beat_ready_i; s_axis_tready follows beat_ready_i.
module axis_frame_in #(
  parameter  int unsigned WordBits   = 8,  // a word of the stream
  parameter  int unsigned BeatBits   = 8,  // a beat of the accelerator
  parameter  int unsigned Beats      = 1,  // a frame
  localparam int unsigned Words      = (BeatBits + WordBits - 1) / WordBits,  // a beat
  localparam int unsigned FrameWords = Beats * Words
) (
  input  logic                clk_i,
  input  logic                rst_ni,        // synchronous, active low; also forgets a half frame
  input  logic [WordBits-1:0] s_axis_tdata,
  input  logic                s_axis_tvalid,
  output logic                s_axis_tready,
  input  logic                s_axis_tlast,
  output logic [BeatBits-1:0] beat_data_o,
  output logic                beat_valid_o,
  input  logic                beat_ready_i,
  output logic                first_o,       // the first word of a frame is taken in this cycle
  output logic                short_o        // a packet ends inside a frame in this cycle
);
  localparam int unsigned CountWidth = (FrameWords > 1) ? $clog2(FrameWords) : 1;

  if (WordBits < 1 || BeatBits < 1 || Beats < 1) begin : gen_check_size
    $error("axis_frame_in: WordBits, BeatBits and Beats must be at least 1");
  end

  // The zero words of a completed frame come in the place of the stream's.
  logic [CountWidth-1:0] count_q;  // words of the frame taken so far
  logic [WordBits-1:0]   word;
  logic                  filling_q, valid, ready, fire, frame_last, beat_last;

  assign valid         = s_axis_tvalid || filling_q;
  assign word          = filling_q ? '0 : s_axis_tdata;
  assign s_axis_tready = ready && !filling_q;
  assign ready         = beat_ready_i || !beat_last;
  assign fire          = valid && ready;
  assign frame_last    = count_q == CountWidth'(FrameWords - 1);
  assign beat_valid_o  = valid && beat_last;
  assign first_o       = fire && count_q == '0;
  assign short_o       = fire && s_axis_tlast && !filling_q && !frame_last;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q   <= '0;
      filling_q <= 1'b0;
    end else if (fire) begin
      count_q   <= frame_last ? '0 : count_q + CountWidth'(1);
      filling_q <= short_o || (filling_q && !frame_last);
    end
  end

  if (Words == 1) begin : gen_direct
    assign beat_last   = 1'b1;
    assign beat_data_o = word[BeatBits-1:0];
    if (WordBits > BeatBits) begin : gen_padding
      logic unused_padding;
      assign unused_padding = ^word[WordBits-1:BeatBits];
    end
  end else begin : gen_gather
    localparam int unsigned HeldBits  = (Words - 1) * WordBits;
    localparam int unsigned IndexBits = $clog2(Words);
    logic [HeldBits-1:0]          held_q;  // the beat's words but the last one
    logic [HeldBits+WordBits-1:0] all;
    logic [IndexBits-1:0]         index_q;

    assign all         = {word, held_q};
    assign beat_last   = index_q == IndexBits'(Words - 1);
    assign beat_data_o = all[BeatBits-1:0];
    if (HeldBits + WordBits > BeatBits) begin : gen_padding
      logic unused_padding;
      assign unused_padding = ^all[HeldBits+WordBits-1:BeatBits];
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        index_q <= '0;
      end else if (fire) begin
        index_q <= beat_last ? '0 : index_q + IndexBits'(1);
      end
      if (fire && !beat_last) begin
        held_q <= all[HeldBits+WordBits-1:WordBits];
      end
    end
  end
endmodule
