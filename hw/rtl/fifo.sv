// First-in first-out buffer for a valid/ready stream.
//
// Function: words leave in the order they came. Depth words of storage, any Depth >= 2.
// Latency: a word taken in cycle t is offered in cycle t+1, also when the FIFO was empty.
// Initiation interval: 1 (push and pop in the same cycle; a full FIFO refuses the push even if it is popped).
// in_ready_o, out_valid_o, full_o and empty_o depend on registers only, so a FIFO cuts every path of the handshake.
module fifo #(
  parameter int unsigned Width = 8,  // bits a word
  parameter int unsigned Depth = 2   // words held at most, >= 2
) (
  input  logic             clk_i,
  input  logic             rst_ni,       // synchronous, active low
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [Width-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o,
  output logic             full_o,       // holds Depth words
  output logic             empty_o       // holds no word
);
  if (Width < 1) begin : gen_check_width
    $error("fifo: Width must be at least 1");
  end
  if (Depth < 2) begin : gen_check_depth
    $error("fifo: Depth must be at least 2");
  end

  assign full_o  = !in_ready_o;
  assign empty_o = !out_valid_o;

  if (Depth == 2) begin : gen_pair
    fifo_pair #(
      .Width(Width)
    ) u_pair (
      .clk_i,
      .rst_ni,
      .in_valid_i,
      .in_ready_o,
      .in_data_i,
      .out_valid_o,
      .out_ready_i,
      .out_data_o
    );
  end else begin : gen_memory
    fifo_memory #(
      .Width(Width),
      .Depth(Depth)
    ) u_memory (
      .clk_i,
      .rst_ni,
      .in_valid_i,
      .in_ready_o,
      .in_data_i,
      .out_valid_o,
      .out_ready_i,
      .out_data_o
    );
  end
endmodule
