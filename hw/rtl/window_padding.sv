// Tells which taps of a sliding window lie outside the image, by row and column counters that follow the window's loops.
//
// Function: pad_o = the current tap's row is outside 0..IfmHeight-1, or its column outside 0..IfmWidth-1. The counters are
//   unsigned, so that rows above and columns to the left wrap to large values: one comparison finds either side.
// Latency: combinational from the registers; they move with step_i, by the outermost loop that ends.
module window_padding #(
  parameter int unsigned IfmHeight = 4,  // input rows
  parameter int unsigned IfmWidth  = 4,  // input columns
  parameter int unsigned KernelH   = 3,  // window rows
  parameter int unsigned KernelW   = 3,  // window columns
  parameter int unsigned StrideH   = 1,  // rows between windows
  parameter int unsigned StrideW   = 1,  // columns between windows
  parameter int unsigned PadTop    = 1,  // padded rows above
  parameter int unsigned PadLeft   = 1,  // padded columns on the left
  parameter int unsigned VirtualH  = 6,  // rows that the windows cover, padding included
  parameter int unsigned VirtualW  = 6   // columns that they cover
) (
  input  logic clk_i,
  input  logic rst_ni,         // synchronous, active low
  input  logic step_i,         // go on to the next tap; the flags tell which loops end with this one, inner ones included
  input  logic word_end_i,     // channel folds of a tap
  input  logic tap_row_end_i,  // taps of a window's row
  input  logic pixel_end_i,    // rows of a window
  input  logic line_end_i,     // windows of an output row
  input  logic frame_end_i,    // output rows
  output logic pad_o
);
  logic row_outside, column_outside, unused;
  assign pad_o  = row_outside || column_outside;
  assign unused = ^{clk_i, rst_ni, step_i, word_end_i, tap_row_end_i, pixel_end_i, line_end_i, frame_end_i};

  if (PadTop > 0 || VirtualH - PadTop > IfmHeight) begin : gen_rows
    localparam int unsigned Last     = (VirtualH - PadTop > IfmHeight) ? VirtualH - PadTop : IfmHeight;
    localparam int unsigned RowWidth = $clog2(Last + PadTop + 1);
    logic [RowWidth-1:0] row_q, move;
    always_comb begin
      move = '0;
      if (line_end_i) begin
        move = RowWidth'(int'(StrideH) - int'(KernelH) + 1);
      end else if (pixel_end_i) begin
        move = RowWidth'(1 - int'(KernelH));
      end else if (tap_row_end_i) begin
        move = RowWidth'(1);
      end
    end
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (step_i && frame_end_i)) begin
        row_q <= RowWidth'(-int'(PadTop));
      end else if (step_i) begin
        row_q <= row_q + move;
      end
    end
    // row_q >= IfmHeight, bit by bit: less logic than a subtraction.
    always_comb begin
      row_outside = 1'b1;
      for (int unsigned i = 0; i < RowWidth; i++) begin
        row_outside = IfmHeight[i] ? row_q[i] && row_outside : row_q[i] || row_outside;
      end
    end
  end else begin : gen_no_rows
    assign row_outside = 1'b0;
  end

  if (PadLeft > 0 || VirtualW - PadLeft > IfmWidth) begin : gen_columns
    localparam int unsigned Last        = (VirtualW - PadLeft > IfmWidth) ? VirtualW - PadLeft : IfmWidth;
    localparam int unsigned ColumnWidth = $clog2(Last + PadLeft + 1);
    logic [ColumnWidth-1:0] column_q, move;
    always_comb begin
      move = '0;
      if (pixel_end_i) begin
        move = ColumnWidth'(int'(StrideW) - int'(KernelW) + 1);
      end else if (tap_row_end_i) begin
        move = ColumnWidth'(1 - int'(KernelW));
      end else if (word_end_i) begin
        move = ColumnWidth'(1);
      end
    end
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (step_i && line_end_i)) begin
        column_q <= ColumnWidth'(-int'(PadLeft));
      end else if (step_i) begin
        column_q <= column_q + move;
      end
    end
    always_comb begin
      column_outside = 1'b1;
      for (int unsigned i = 0; i < ColumnWidth; i++) begin
        column_outside = IfmWidth[i] ? column_q[i] && column_outside : column_q[i] || column_outside;
      end
    end
  end else begin : gen_no_columns
    assign column_outside = 1'b0;
  end
endmodule
