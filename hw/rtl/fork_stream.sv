// Copies a stream to several consumers.
//
// Function: every word goes to each of the Outputs once; they may take it in different cycles. The next word is taken in the
//   cycle in which the last output takes its copy.
// Latency: 1. Initiation interval: 1 word a cycle.
// Encoding: bit n of out_valid_o and out_ready_i is output n; the data are one register.
module fork_stream #(
  parameter int unsigned Width   = 8,  // bits a word
  parameter int unsigned Outputs = 2   // consumers
) (
  input  logic               clk_i,
  input  logic               rst_ni,       // synchronous, active low
  input  logic               in_valid_i,
  output logic               in_ready_o,
  input  logic [Width-1:0]   in_data_i,
  output logic [Outputs-1:0] out_valid_o,
  input  logic [Outputs-1:0] out_ready_i,
  output logic [Width-1:0]   out_data_o
);
  if (Width < 1 || Outputs < 1) begin : gen_check_size
    $error("fork_stream: Width and Outputs must be at least 1");
  end

  logic [Outputs-1:0] pending_q;  // outputs that have not taken the word yet
  logic [Width-1:0]   data_q;
  logic               en;

  assign en          = (pending_q & ~out_ready_i) == '0;
  assign in_ready_o  = en;
  assign out_valid_o = pending_q;
  assign out_data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pending_q <= '0;
    end else if (en) begin
      pending_q <= {Outputs{in_valid_i}};
    end else begin
      pending_q <= pending_q & ~out_ready_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (en && in_valid_i) begin
      data_q <= in_data_i;
    end
  end
endmodule
