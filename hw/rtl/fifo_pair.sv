// A FIFO of two words: two registers.
//
// Function: words leave in the order they came. The head is in one register; the other takes the word that comes while the
//   head is refused.
// Latency: a word taken in cycle t is offered in cycle t+1. Initiation interval: 1 (a full FIFO refuses the push even if it is
//   popped). All outputs depend on registers only.
module fifo_pair #(
  parameter int unsigned Width = 8  // bits a word
) (
  input  logic             clk_i,
  input  logic             rst_ni,       // synchronous, active low
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [Width-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o
);
  logic             full_q, valid_q;
  logic [Width-1:0] head_q, spare_q;

  assign in_ready_o  = !full_q;
  assign out_valid_o = valid_q;
  assign out_data_o  = head_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      full_q  <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      full_q  <= valid_q && !out_ready_i && (full_q || in_valid_i);
      valid_q <= full_q || in_valid_i || (valid_q && !out_ready_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!full_q) begin
      spare_q <= in_data_i;
    end
    if (out_ready_i || !valid_q) begin
      head_q <= full_q ? spare_q : in_data_i;
    end
  end
endmodule
