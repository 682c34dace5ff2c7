// Width converter from words of Words * Width bits to words of Width bits, low bits first.
//
// Function: the input word lies in a register that shifts down with every output word. So that a further input word can be
// taken while the last output word of this one is offered, that last word moves to a register of its own.
// in_ready_o = (at most one output word held), out_valid_o = (at least one held), both from registers only.
// Latency: 1 cycle from the input word. Initiation interval: one word a cycle out.
module width_converter_down #(
  parameter int unsigned Width = 8,  // bits an output word
  parameter int unsigned Words = 4   // output words an input word, >= 2
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,       // synchronous, active low
  input  logic                   in_valid_i,
  output logic                   in_ready_o,
  input  logic [Words*Width-1:0] in_data_i,
  output logic                   out_valid_o,
  input  logic                   out_ready_i,
  output logic [Width-1:0]       out_data_o
);
  localparam int unsigned CountWidth = $clog2(Words);

  if (Width < 1 || Words < 2) begin : gen_check_size
    $error("width_converter_down: Width must be at least 1, Words at least 2");
  end

  logic [Words-1:0][Width-1:0] words_q;
  logic [Width-1:0]            last_q;
  logic [CountWidth-1:0]       more_q;  // words of the register after its lowest
  logic                        valid_q, last_valid_q, push, pop, one_held;

  // The register holds more_q + 1 words if valid_q, the last word of the input word before is older than these.
  assign one_held    = last_valid_q ? !valid_q : more_q == '0;
  assign in_ready_o  = one_held;
  assign out_valid_o = valid_q || last_valid_q;
  assign out_data_o  = last_valid_q ? last_q : words_q[0];
  assign push        = in_valid_i && in_ready_o;
  assign pop         = out_valid_o && out_ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      more_q       <= '0;
      valid_q      <= 1'b0;
      last_valid_q <= 1'b0;
    end else begin
      if (push) begin
        more_q  <= CountWidth'(Words - 1);
        valid_q <= 1'b1;
      end else if (pop && !last_valid_q) begin
        more_q  <= more_q - CountWidth'(more_q != '0);
        valid_q <= more_q != '0;
      end
      if (pop) begin
        last_valid_q <= 1'b0;
      end else if (push) begin
        last_valid_q <= out_valid_o;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) begin
      words_q <= in_data_i;
      last_q  <= out_data_o;
    end else if (pop && !last_valid_q) begin
      for (int unsigned i = 1; i < Words; i++) begin
        words_q[i-1] <= words_q[i];
      end
    end
  end
endmodule
