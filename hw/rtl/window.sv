// Sliding-window generator: turns an image stream into the stream of its windows (for convolutions and pooling).
//
// Function: takes frames of IfmHeight x IfmWidth pixels of WordsPerPixel words (NHWC raster, channel folds inner) and sends,
//   for every output pixel (oy, ox), tap row ky, tap column kx and channel fold cf, in that nesting, the word of pixel
//   (oy*StrideH - PadTop + ky, ox*StrideW - PadLeft + kx). Taps outside the image send PadValue, with mask 0 if HasMask.
//   Padding below and to the right follows from OfmHeight and OfmWidth.
// Buffer: a ring of Rows image rows. The writer takes a word while the ring has room (registered state only: a row released
//   in this cycle counts in the next one); rows that no window needs (from RowsUsed on) are taken and dropped. The reader
//   steps when its word is there; a word taken in cycle t can be read in t+1. With an output row's last step it releases
//   the rows above the next output row's top; the writer may then run into the next frame. The words stored since the
//   reader's base row began are negative where rows or columns are skipped before they have arrived.
//   A padded tap waits for nothing: the padding that starts a frame is sent before the frame's first word is there.
// Latency: 2 cycles from a step to its output word. Initiation interval: the larger of the words of a frame in and the
//   words of a frame out, once the ring is filled.
// Encoding: words are opaque; out_data_o = {mask if HasMask, word}, mask 1 = real, 0 = padded.
module window #(
  parameter  int unsigned      Width         = 1,     // bits a word, without the mask
  parameter  int unsigned      WordsPerPixel = 1,     // channel folds (C / SIMD)
  parameter  int unsigned      IfmHeight     = 4,     // input rows
  parameter  int unsigned      IfmWidth      = 4,     // input columns
  parameter  int unsigned      KernelH       = 3,     // window rows
  parameter  int unsigned      KernelW       = 3,     // window columns
  parameter  int unsigned      StrideH       = 1,     // rows between windows
  parameter  int unsigned      StrideW       = 1,     // columns between windows
  parameter  int unsigned      PadTop        = 0,     // padded rows above, < KernelH
  parameter  int unsigned      PadLeft       = 0,     // padded columns on the left, < KernelW
  parameter  int unsigned      OfmHeight     = 2,     // output rows
  parameter  int unsigned      OfmWidth      = 2,     // output columns
  parameter  int unsigned      Rows          = 6,     // rows of the ring, >= max(KernelH + StrideH, 2 * KernelH) to flow
  parameter  bit               HasMask       = 1'b0,  // out_data_o carries a mask bit
  parameter  logic [Width-1:0] PadValue      = '0,    // word sent for a padded tap
  localparam int unsigned      OutWidth      = Width + (HasMask ? 1 : 0)
) (
  input  logic                clk_i,
  input  logic                rst_ni,       // synchronous, active low
  input  logic                in_valid_i,
  output logic                in_ready_o,
  input  logic [Width-1:0]    in_data_i,
  output logic                out_valid_o,
  input  logic                out_ready_i,
  output logic [OutWidth-1:0] out_data_o
);
  // Geometry. The virtual image is what the windows cover, padding included.
  localparam int unsigned RowWords  = IfmWidth * WordsPerPixel;
  localparam int unsigned RingWords = Rows * RowWords;
  localparam int unsigned VirtualH  = (OfmHeight - 1) * StrideH + KernelH;
  localparam int unsigned VirtualW  = (OfmWidth - 1) * StrideW + KernelW;
  localparam int unsigned RowsUsed  = (VirtualH - PadTop < IfmHeight) ? VirtualH - PadTop : IfmHeight;
  // Most rows an output row can release.
  localparam int unsigned MaxRelease = (StrideH > KernelH) ? StrideH : KernelH;

  if (Width < 1 || WordsPerPixel < 1 || IfmHeight < 1 || IfmWidth < 1 || OfmHeight < 1 || OfmWidth < 1) begin : gen_check_size
    $error("window: Width, WordsPerPixel and the sizes of both images must be at least 1");
  end
  if (KernelH < 1 || KernelW < 1 || StrideH < 1 || StrideW < 1) begin : gen_check_kernel
    $error("window: kernel and stride must be at least 1");
  end
  if (PadTop >= KernelH || PadLeft >= KernelW) begin : gen_check_pad
    $error("window: PadTop and PadLeft must be less than the kernel");
  end
  if (Rows < KernelH) begin : gen_check_rows
    $error("window: Rows must be at least KernelH");
  end

  // Position of a tap = its word's index in the stream of stored words, were the virtual image laid out with RowWords words
  // a row. It moves by one of five constants a step, by the outermost loop that ends.
  localparam int TapEnd     = int'(KernelW * WordsPerPixel) - 1;
  localparam int PixelEnd   = TapEnd + int'((KernelH - 1) * RowWords);
  localparam int LineEnd    = PixelEnd + int'((OfmWidth - 1) * StrideW * WordsPerPixel);
  localparam int FrameEnd   = LineEnd + int'((OfmHeight - 1) * StrideH * RowWords);
  localparam int NextTapRow = int'(RowWords) - TapEnd;
  localparam int NextPixel  = int'(StrideW * WordsPerPixel) - PixelEnd;
  localparam int NextLine   = int'(StrideH * RowWords) - LineEnd;
  localparam int NextFrame  = int'(RowsUsed * RowWords) - FrameEnd;
  localparam int Start      = -int'(PadTop * RowWords + PadLeft * WordsPerPixel);

  // The ring's addresses count modulo its depth: RingWords, or the next power of two where that costs no block RAM (18 kbit,
  // at least 512 words deep) and saves the wrapping around.
  localparam int unsigned AddrWidth = (RingWords > 1) ? $clog2(RingWords) : 1;
  localparam bit          RoundUp   = RingWords <= 512 || Width << AddrWidth <= 16384;
  localparam int unsigned RingDepth = RoundUp ? 1 << AddrWidth : RingWords;
  localparam int unsigned MaxOcc    = ((Rows > MaxRelease) ? Rows : MaxRelease) * RowWords;
  localparam int unsigned FillWidth = $clog2(MaxOcc + RingWords + 1) + 1;
  localparam int unsigned MaxLead   = MaxOcc + (VirtualH + IfmHeight) * RowWords + VirtualW * WordsPerPixel;
  localparam int unsigned LeadWidth = $clog2(MaxLead + 1) + 1;

  function automatic int unsigned on_ring(input int position);
    int rest;
    rest    = position % int'(RingDepth);
    on_ring = (rest < 0) ? unsigned'(rest + int'(RingDepth)) : unsigned'(rest);
  endfunction

  // Handshake and pipeline. Two sums whose signs are the answers: fill = words stored since the base row began - RingWords,
  // so that there is room where it is negative; lead = words stored beyond the step's, which is there unless it is negative.
  logic en, step, pad, store, drop;
  logic valid1_q, pad1_q, out_valid_q;
  logic signed [FillWidth-1:0] fill_q, fill_d, fill_move;
  logic signed [LeadWidth-1:0] lead_q, lead_d, lead_move;
  logic                        unused_fill, unused_lead;
  logic [AddrWidth-1:0]        rd_addr_q, rd_addr_d, wr_addr_q, ring_move;

  assign en         = out_ready_i || !out_valid_q;
  assign step       = en && (pad || !lead_q[LeadWidth-1]);
  assign in_ready_o = drop || fill_q[FillWidth-1];
  assign store      = in_valid_i && in_ready_o && !drop;

  // Loop counters of the step.
  localparam int unsigned FoldW = (WordsPerPixel > 1) ? $clog2(WordsPerPixel) : 1;
  localparam int unsigned TapXW = (KernelW > 1) ? $clog2(KernelW) : 1;
  localparam int unsigned TapYW = (KernelH > 1) ? $clog2(KernelH) : 1;
  localparam int unsigned OutXW = (OfmWidth > 1) ? $clog2(OfmWidth) : 1;
  localparam int unsigned OutYW = (OfmHeight > 1) ? $clog2(OfmHeight) : 1;
  logic [FoldW-1:0] cf_q;
  logic [TapXW-1:0] kx_q;
  logic [TapYW-1:0] ky_q;
  logic [OutXW-1:0] ox_q;
  logic [OutYW-1:0] oy_q;
  logic word_end, tap_row_end, pixel_end, line_end, frame_end;

  assign word_end     = cf_q == FoldW'(WordsPerPixel - 1);
  assign tap_row_end  = word_end && kx_q == TapXW'(KernelW - 1);
  assign pixel_end    = tap_row_end && ky_q == TapYW'(KernelH - 1);
  assign line_end     = pixel_end && ox_q == OutXW'(OfmWidth - 1);
  assign frame_end    = line_end && oy_q == OutYW'(OfmHeight - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      cf_q <= '0;
      kx_q <= '0;
      ky_q <= '0;
      ox_q <= '0;
      oy_q <= '0;
    end else if (step) begin
      cf_q <= word_end ? '0 : cf_q + FoldW'(1);
      if (word_end) begin
        kx_q <= tap_row_end ? '0 : kx_q + TapXW'(1);
      end
      if (tap_row_end) begin
        ky_q <= pixel_end ? '0 : ky_q + TapYW'(1);
      end
      if (pixel_end) begin
        ox_q <= line_end ? '0 : ox_q + OutXW'(1);
      end
      if (line_end) begin
        oy_q <= frame_end ? '0 : oy_q + OutYW'(1);
      end
    end
  end

  always_comb begin
    lead_move = LeadWidth'(-1);
    ring_move = AddrWidth'(on_ring(1));
    if (frame_end) begin
      lead_move = LeadWidth'(-NextFrame);
      ring_move = AddrWidth'(on_ring(NextFrame));
    end else if (line_end) begin
      lead_move = LeadWidth'(-NextLine);
      ring_move = AddrWidth'(on_ring(NextLine));
    end else if (pixel_end) begin
      lead_move = LeadWidth'(-NextPixel);
      ring_move = AddrWidth'(on_ring(NextPixel));
    end else if (tap_row_end) begin
      lead_move = LeadWidth'(-NextTapRow);
      ring_move = AddrWidth'(on_ring(NextTapRow));
    end
    if (!step) begin
      lead_move = '0;
    end
  end

  // Rows that the end of output row `row` releases: from its top row in the image up to the next one's.
  function automatic int unsigned released(input int unsigned row);
    int unsigned top, next;
    top      = (row * StrideH > PadTop) ? row * StrideH - PadTop : 0;
    next     = ((row + 1) * StrideH > PadTop) ? (row + 1) * StrideH - PadTop : 0;
    next     = (next > RowsUsed || row == OfmHeight - 1) ? RowsUsed : next;
    released = next - ((top > RowsUsed) ? RowsUsed : top);
  endfunction

  always_comb begin
    fill_move = -FillWidth'(StrideH * RowWords);
    for (int unsigned row = 0; row < OfmHeight; row++) begin
      if (released(row) != StrideH && oy_q == OutYW'(row)) begin
        fill_move = -FillWidth'(released(row) * RowWords);
      end
    end
    if (!(step && line_end)) begin
      fill_move = '0;
    end
  end

  // The stored word is the carry into one adder.
  assign {fill_d, unused_fill} = {fill_q, 1'b1} + {fill_move, store};
  assign {lead_d, unused_lead} = {lead_q, 1'b1} + {lead_move, store};

  if (RoundUp) begin : gen_modulo
    assign rd_addr_d = rd_addr_q + ring_move;
  end else begin : gen_wrap
    logic [AddrWidth:0] sum;
    assign sum       = {1'b0, rd_addr_q} + {1'b0, ring_move};
    assign rd_addr_d = AddrWidth'((sum >= (AddrWidth + 1)'(RingWords)) ? sum - (AddrWidth + 1)'(RingWords) : sum);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      lead_q    <= LeadWidth'(-Start - 1);
      fill_q    <= -FillWidth'(RingWords);
      rd_addr_q <= AddrWidth'(on_ring(Start));
      wr_addr_q <= '0;
    end else begin
      lead_q <= lead_d;
      fill_q <= fill_d;
      if (step) begin
        rd_addr_q <= rd_addr_d;
      end
      if (store) begin
        wr_addr_q <= (wr_addr_q == AddrWidth'(RingDepth - 1)) ? '0 : wr_addr_q + AddrWidth'(1);
      end
    end
  end

  // Rows that no window needs.
  if (RowsUsed < IfmHeight) begin : gen_drop
    localparam int unsigned FrameWords = IfmHeight * RowWords;
    localparam int unsigned FrameWidth = $clog2(FrameWords);
    logic [FrameWidth-1:0] position_q;
    logic                  drop_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        position_q <= '0;
        drop_q     <= 1'b0;
      end else if (in_valid_i && in_ready_o) begin
        if (position_q == FrameWidth'(FrameWords - 1)) begin
          position_q <= '0;
          drop_q     <= 1'b0;
        end else begin
          position_q <= position_q + FrameWidth'(1);
          if (position_q == FrameWidth'(RowsUsed * RowWords - 1)) begin
            drop_q <= 1'b1;
          end
        end
      end
    end
    assign drop = drop_q;
  end else begin : gen_no_drop
    assign drop = 1'b0;
  end

  window_padding #(
    .IfmHeight(IfmHeight),
    .IfmWidth (IfmWidth),
    .KernelH  (KernelH),
    .KernelW  (KernelW),
    .StrideH  (StrideH),
    .StrideW  (StrideW),
    .PadTop   (PadTop),
    .PadLeft  (PadLeft),
    .VirtualH (VirtualH),
    .VirtualW (VirtualW)
  ) u_padding (
    .clk_i,
    .rst_ni,
    .step_i       (step),
    .word_end_i   (word_end),
    .tap_row_end_i(tap_row_end),
    .pixel_end_i  (pixel_end),
    .line_end_i   (line_end),
    .frame_end_i  (frame_end),
    .pad_o        (pad)
  );

  // Ring, read through its output register, then the stream's output register.
  // A word that is written while it is read is not used (a padded tap's).
  (* no_rw_check *)
  logic [Width-1:0]    ring_q [RingDepth];
  logic [Width-1:0]    word_q;
  logic [OutWidth-1:0] out_data_q;

  always_ff @(posedge clk_i) begin
    if (store) begin
      ring_q[wr_addr_q] <= in_data_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (step) begin
      word_q <= ring_q[rd_addr_q];
      pad1_q <= pad;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid1_q    <= 1'b0;
      out_valid_q <= 1'b0;
    end else if (en) begin
      valid1_q    <= step;
      out_valid_q <= valid1_q;
    end
  end

  if (HasMask) begin : gen_mask
    always_ff @(posedge clk_i) begin
      if (en && valid1_q) begin
        out_data_q <= pad1_q ? {1'b0, PadValue} : {1'b1, word_q};
      end
    end
  end else begin : gen_no_mask
    always_ff @(posedge clk_i) begin
      if (en && valid1_q) begin
        out_data_q <= pad1_q ? PadValue : word_q;
      end
    end
  end

  assign out_valid_o = out_valid_q;
  assign out_data_o  = out_data_q;
endmodule
