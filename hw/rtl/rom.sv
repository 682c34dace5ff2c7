// Read-only memory, filled from a hexadecimal file ($readmemh, one word a line).
//
// Function: data_o <= word addr_i of MemFile, when en_i. One word (Depth = 1) is a constant: data_o = it, at all times.
// Latency: 1. Initiation interval: 1. Without en_i the output holds.
// MemFile is a path relative to the directory in which the tool (simulator or synthesizer) runs.
module rom #(
  parameter  int unsigned Width     = 8,   // bits a word
  parameter  int unsigned Depth     = 2,   // words
  parameter               MemFile   = "",  // path of the hexadecimal file
  parameter  int unsigned Style     = 0,   // where the words lie: 0 the synthesizer's choice, 1 block RAM, 2 LUTs
  localparam int unsigned AddrWidth = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  logic                 clk_i,
  input  logic                 en_i,
  input  logic [AddrWidth-1:0] addr_i,  // 0..Depth-1
  output logic [Width-1:0]     data_o
);
  if (Width < 1 || Depth < 1) begin : gen_check_size
    $error("rom: Width and Depth must be at least 1");
  end
  if (Style > 2) begin : gen_check_style
    $error("rom: Style must be 0, 1 or 2");
  end

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
    assign data_o = data_q;
  end
endmodule
