// Words of a stream of pixels beside the constants of their channels.
//
// Function: a pixel is NF words; word_o is the word taken last (step_i), data_o the ROM's word nf for its word nf.
// Latency: 1 from step_i. Initiation interval: 1. Encoding of the file: as in rom, NF words. The fold counter starts at word 0
//   of a pixel after reset.
module channel_rom #(
  parameter int unsigned WordWidth = 8,   // bits of the stream's word
  parameter int unsigned Width     = 8,   // bits of the constants beside it
  parameter int unsigned NF        = 1,   // words a pixel
  parameter              MemFile   = "",  // $readmemh file of the constants
  parameter int unsigned Style     = 0    // where they lie (see rom)
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,  // synchronous, active low
  input  logic                 step_i,  // word_i is taken
  input  logic [WordWidth-1:0] word_i,
  output logic [WordWidth-1:0] word_o,
  output logic [Width-1:0]     data_o
);
  localparam int unsigned FoldAddrW = (NF > 1) ? $clog2(NF) : 1;

  logic [FoldAddrW-1:0] fold_addr;

  always_ff @(posedge clk_i) begin
    if (step_i) begin
      word_o <= word_i;
    end
  end

  if (NF > 1) begin : gen_fold
    logic [FoldAddrW-1:0] fold_addr_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fold_addr_q <= '0;
      end else if (step_i) begin
        fold_addr_q <= (fold_addr_q == FoldAddrW'(NF - 1)) ? '0 : fold_addr_q + FoldAddrW'(1);
      end
    end
    assign fold_addr = fold_addr_q;
  end else begin : gen_no_fold
    assign fold_addr = '0;
    logic unused;
    assign unused = rst_ni;
  end

  rom #(
    .Width  (Width),
    .Depth  (NF),
    .MemFile(MemFile),
    .Style  (Style)
  ) u_constants (
    .clk_i,
    .en_i  (step_i),
    .addr_i(fold_addr),
    .data_o
  );
endmodule
