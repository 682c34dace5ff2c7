// One word beyond a pipeline's last register, so that the pipeline's enable comes from a register.
//
// Function: in_valid_i and in_data_i are the last stage of a pipeline that moves while en_o is 1. A word that comes out
//   while the consumer refuses is kept here, and the pipeline stops one cycle later (en_o = 0) until the word is taken.
// Latency: 0 (the word of the last stage is offered at once). Initiation interval: 1. out_ready_i reaches no output.
module skid_buffer #(
  parameter int unsigned Width = 8  // bits a word
) (
  input  logic             clk_i,
  input  logic             rst_ni,       // synchronous, active low
  output logic             en_o,         // the pipeline moves
  input  logic             in_valid_i,
  input  logic [Width-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o
);
  if (Width < 1) begin : gen_check_width
    $error("skid_buffer: Width must be at least 1");
  end

  logic             full_q;
  logic [Width-1:0] data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      full_q <= 1'b0;
    end else begin
      full_q <= out_valid_o && !out_ready_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!full_q) begin
      data_q <= in_data_i;
    end
  end

  assign en_o        = !full_q;
  assign out_valid_o = full_q || in_valid_i;
  assign out_data_o  = full_q ? data_q : in_data_i;
endmodule
