// Read-only memory, filled from hexadecimal files ($readmemh, one word a line).
//
// Function: data_o <= word addr_i, when en_i. One word (Depth = 1) is a constant: data_o = it, at all times.
// Latency: Stages. Initiation interval: 1. Without en_i the output holds. Block RAM is slow (more than half of a cycle
//   at 100 MHz on ECP5): with Stages = 2 its word goes into a register before anything else.
// Rows: a memory of several rows of blocks would choose among them before that register. With RowWords > 0 the words lie
//   in memories of their own, RowWords each and the rest in the last, each with its register, and the choice comes last.
// MemFile is the name of a file in the directory in which the tool (simulator or synthesizer) runs; with rows, row 0 is
//   in row00_<MemFile>, row 1 in row01_<MemFile>, and so on.
module rom #(
  parameter  int unsigned Width     = 8,   // bits a word
  parameter  int unsigned Depth     = 2,   // words
  parameter               MemFile   = "",  // name of the hexadecimal file, or the end of the rows' files
  parameter  int unsigned Style     = 0,   // where the words lie: 0 the synthesizer's choice, 1 block RAM, 2 LUTs
  parameter  int unsigned Stages    = 1,   // registers: 1 the memory's own, 2 one more behind it
  parameter  int unsigned RowWords  = 0,   // words a row, a power of two below Depth; 0: one memory. Needs Stages = 2
  localparam int unsigned AddrWidth = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic                 clk_i,
  input  logic                 en_i,
  input  logic [AddrWidth-1:0] addr_i,  // 0..Depth-1
  output logic [Width-1:0]     data_o
);
  localparam int unsigned Rows     = (RowWords > 0) ? (Depth + RowWords - 1) / RowWords : 1;
  localparam int unsigned RowWidth = (Rows > 1) ? $clog2(Rows) : 1;

  if (Width < 1 || Depth < 1) begin : gen_check_size
    $error("rom: Width and Depth must be at least 1");
  end
  if (Style > 2) begin : gen_check_style
    $error("rom: Style must be 0, 1 or 2");
  end
  if (Stages < 1 || Stages > 2) begin : gen_check_stages
    $error("rom: Stages must be 1 or 2");
  end
  if (RowWords > 0 && (2 ** $clog2(RowWords) != RowWords || RowWords >= Depth || Rows > 99)) begin : gen_check_rows
    $error("rom: RowWords must be a power of two below Depth, and for at most 99 rows");
  end
  if (RowWords > 0 && Stages != 2) begin : gen_check_row_stages
    $error("rom: RowWords need Stages = 2");
  end

  if (Rows > 1) begin : gen_rows
    logic [RowWidth-1:0]        row1_q, row2_q;
    logic [Rows-1:0][Width-1:0] words;
    for (genvar i = 0; i < Rows; i++) begin : gen_row
      localparam int unsigned Words = (i == Rows - 1) ? Depth - i * RowWords : RowWords;
      localparam int unsigned WordW = (Words > 1) ? $clog2(Words) : 1;
      rom #(
        .Width  (Width),
        .Depth  (Words),
        .MemFile({"row", 8'(48 + i / 10), 8'(48 + i % 10), "_", MemFile}),
        .Style  (Style),
        .Stages (2)
      ) u_row (
        .clk_i,
        .en_i,
        .addr_i(addr_i[WordW-1:0]),
        .data_o(words[i])
      );
    end
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        row1_q <= addr_i[AddrWidth-1-:RowWidth];
        row2_q <= row1_q;
      end
    end
    assign data_o = words[row2_q];
  end else begin : gen_whole
    (* rom_style = (Style == 1) ? "block" : (Style == 2) ? "logic" : "auto" *) logic [Width-1:0] mem_q [Depth];
    initial begin
      $readmemh(MemFile, mem_q);
    end
    if (Depth == 1) begin : gen_constant
      assign data_o = mem_q[0];
      logic unused;
      assign unused = ^{clk_i, en_i, addr_i};
    end else begin : gen_read
      logic [Width-1:0] data_q;
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          data_q <= mem_q[addr_i];
        end
      end
      if (Stages == 2) begin : gen_behind
        logic [Width-1:0] behind_q;
        always_ff @(posedge clk_i) begin
          if (en_i) begin
            behind_q <= data_q;
          end
        end
        assign data_o = behind_q;
      end else begin : gen_direct
        assign data_o = data_q;
      end
    end
  end
endmodule
