// Sliding-window generator: turns an image stream into the stream of its windows (for convolutions and pooling).
//
// Function: takes frames of IfmHeight x IfmWidth pixels of WordsPerPixel words (NHWC raster, channel folds inner) and sends,
//   for every output pixel (oy, ox), tap row ky, tap column kx and channel fold cf, in that nesting, the word of pixel
//   (oy*StrideH - PadTop + ky, ox*StrideW - PadLeft + kx). Taps outside the image send PadValue, with mask 0 if HasMask.
//   Padding below and to the right follows from OfmHeight and OfmWidth.
// Buffer: a ring of Rows image rows. The writer takes a word while the ring has room (registered state only: a row released
//   in this cycle counts in the next one); rows that no window needs (from RowsUsed on) are taken and dropped. The reader
//   steps when its word is there; a word taken in cycle t can be read in t+1. With an output row's last step it releases
//   the rows above the next output row's top; the writer may then run into the next frame. `occ`, the words stored since
//   the reader's base row began, goes negative where rows or columns are skipped before they have arrived.
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
  localparam bit          HasPad    = PadTop > 0 || PadLeft > 0
                                      || VirtualH - PadTop > IfmHeight || VirtualW - PadLeft > IfmWidth;
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

  // The same moves on the ring.
  function automatic int unsigned on_ring(input int position);
    int rest;
    rest    = position % int'(RingWords);
    on_ring = (rest < 0) ? unsigned'(rest + int'(RingWords)) : unsigned'(rest);
  endfunction

  localparam int unsigned AddrWidth = (RingWords > 1) ? $clog2(RingWords) : 1;
  localparam int unsigned SumWidth  = AddrWidth + 1;
  localparam int unsigned MaxOcc    = ((Rows > MaxRelease) ? Rows : MaxRelease) * RowWords;
  localparam int unsigned OccWidth  = $clog2(MaxOcc + 1) + 1;
  localparam int unsigned MaxLead   = MaxOcc + (VirtualH + IfmHeight) * RowWords + VirtualW * WordsPerPixel;
  localparam int unsigned LeadWidth = $clog2(MaxLead + 1) + 1;

  // Handshake and pipeline.
  logic en, step, pad, store, drop, release_rows;
  logic valid1_q, pad1_q, out_valid_q;
  logic signed [OccWidth-1:0] occ_q, release_words;
  logic signed [LeadWidth-1:0] lead_q, move;  // words stored beyond the one before the step's: it is there if > 0
  logic [AddrWidth-1:0] rd_addr_q, wr_addr_q;
  logic [SumWidth-1:0]  rd_addr_sum, ring_move;

  assign en         = out_ready_i || !out_valid_q;
  assign step       = en && (pad || lead_q > 0);
  assign in_ready_o = drop || occ_q < $signed(OccWidth'(RingWords));
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
  assign release_rows = step && line_end;

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
    move      = LeadWidth'(1);
    ring_move = SumWidth'(on_ring(1));
    if (frame_end) begin
      move      = LeadWidth'(NextFrame);
      ring_move = SumWidth'(on_ring(NextFrame));
    end else if (line_end) begin
      move      = LeadWidth'(NextLine);
      ring_move = SumWidth'(on_ring(NextLine));
    end else if (pixel_end) begin
      move      = LeadWidth'(NextPixel);
      ring_move = SumWidth'(on_ring(NextPixel));
    end else if (tap_row_end) begin
      move      = LeadWidth'(NextTapRow);
      ring_move = SumWidth'(on_ring(NextTapRow));
    end
  end

  assign rd_addr_sum = SumWidth'(rd_addr_q) + ring_move;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      lead_q    <= LeadWidth'(-Start);
      occ_q     <= '0;
      rd_addr_q <= AddrWidth'(on_ring(Start));
      wr_addr_q <= '0;
    end else begin
      lead_q <= lead_q + LeadWidth'(store) - (step ? move : '0);
      occ_q  <= occ_q + OccWidth'(store) - (release_rows ? release_words : '0);
      if (step) begin
        rd_addr_q <= (rd_addr_sum >= SumWidth'(RingWords)) ? AddrWidth'(rd_addr_sum - SumWidth'(RingWords))
                                                           : AddrWidth'(rd_addr_sum);
      end
      if (store) begin
        wr_addr_q <= (wr_addr_q == AddrWidth'(RingWords - 1)) ? '0 : wr_addr_q + AddrWidth'(1);
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

  // Row and column of the tap, to tell padding.
  if (HasPad) begin : gen_pad
    localparam int unsigned RowW = $clog2(VirtualH + IfmHeight + StrideH + 1) + 1;
    localparam int unsigned ColW = $clog2(VirtualW + IfmWidth + StrideW + 1) + 1;
    logic signed [RowW-1:0] iy_q;
    logic signed [ColW-1:0] ix_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        iy_q <= RowW'(-int'(PadTop));
        ix_q <= ColW'(-int'(PadLeft));
      end else if (step) begin
        if (frame_end) begin
          iy_q <= RowW'(-int'(PadTop));
        end else if (line_end) begin
          iy_q <= iy_q + RowW'(int'(StrideH) - int'(KernelH) + 1);
        end else if (pixel_end) begin
          iy_q <= iy_q - RowW'(KernelH - 1);
        end else if (tap_row_end) begin
          iy_q <= iy_q + RowW'(1);
        end
        if (line_end) begin
          ix_q <= ColW'(-int'(PadLeft));
        end else if (pixel_end) begin
          ix_q <= ix_q + ColW'(int'(StrideW) - int'(KernelW) + 1);
        end else if (tap_row_end) begin
          ix_q <= ix_q - ColW'(KernelW - 1);
        end else if (word_end) begin
          ix_q <= ix_q + ColW'(1);
        end
      end
    end
    assign pad = iy_q < 0 || iy_q >= $signed(RowW'(IfmHeight)) || ix_q < 0 || ix_q >= $signed(ColW'(IfmWidth));
  end else begin : gen_no_pad
    assign pad = 1'b0;
  end

  // Words to release at the end of an output row.
  if (PadTop == 0 && (OfmHeight - 1) * StrideH <= RowsUsed) begin : gen_release
    assign release_words = frame_end ? OccWidth'((RowsUsed - (OfmHeight - 1) * StrideH) * RowWords)
                                     : OccWidth'(StrideH * RowWords);
  end else begin : gen_release_clamped
    localparam int unsigned BaseW = $clog2(VirtualH + IfmHeight + StrideH + 1) + 1;
    localparam int unsigned LineSteps = OfmWidth * KernelH * KernelW * WordsPerPixel;
    logic signed [BaseW-1:0] top_q, next_top, base, next_base;  // rows; top_q = oy * StrideH - PadTop
    logic signed [OccWidth-1:0] words;

    assign next_top = top_q + BaseW'(StrideH);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        top_q <= BaseW'(-int'(PadTop));
      end else if (release_rows) begin
        top_q <= frame_end ? BaseW'(-int'(PadTop)) : next_top;
      end
    end

    always_comb begin
      base = top_q;
      if (top_q < 0) begin
        base = '0;
      end else if (top_q > $signed(BaseW'(RowsUsed))) begin
        base = BaseW'(RowsUsed);
      end
      next_base = next_top;
      if (next_top < 0) begin
        next_base = '0;
      end else if (next_top > $signed(BaseW'(RowsUsed)) || oy_q == OutYW'(OfmHeight - 1)) begin
        next_base = BaseW'(RowsUsed);
      end
    end

    // A choice of constants, rather than a multiplication.
    always_comb begin
      words = '0;
      for (int unsigned rows = 1; rows <= MaxRelease; rows++) begin
        if (next_base - base == BaseW'(rows)) begin
          words = OccWidth'(rows * RowWords);
        end
      end
    end

    if (LineSteps > 1) begin : gen_early
      // It does not change within an output row, whose last step is not its first: a cycle of time for the choice.
      logic signed [OccWidth-1:0] words_q;
      always_ff @(posedge clk_i) begin
        words_q <= words;
      end
      assign release_words = words_q;
    end else begin : gen_late
      assign release_words = words;
    end
  end

  // Ring, read through its output register, then the stream's output register.
  logic [Width-1:0]    ring_q [RingWords];
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
