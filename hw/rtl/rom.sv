// Read-only memory, filled from a hexadecimal file ($readmemh, one word a line).
//
// Function: data_o <= word addr_i of MemFile, when en_i.
// Latency: 1. Initiation interval: 1. Without en_i the output holds.
// MemFile is a path relative to the directory in which the tool (simulator or synthesizer) runs.
module rom #(
  parameter  int unsigned Width     = 8,   // bits a word
  parameter  int unsigned Depth     = 2,   // words
  parameter               MemFile   = "",  // path of the hexadecimal file
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

  logic [Width-1:0] mem_q [Depth];
  logic [Width-1:0] data_q;

  initial begin
    $readmemh(MemFile, mem_q);
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      data_q <= mem_q[addr_i];
    end
  end

  assign data_o = data_q;
endmodule
