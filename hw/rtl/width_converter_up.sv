// Width converter from words of Width bits to words of Words of them, the first in the low bits.
//
// Function: a word shifts in from the top of a register of Words words; when they are all there, it is the output word. A
// further word waits in a register of its own until that one is taken.
// in_ready_o = (at most Words words held), out_valid_o = (at least Words words held), both from registers only.
// Latency: 1 cycle from the last word in. Initiation interval: one word a cycle in.
module width_converter_up #(
  parameter int unsigned Width = 8,  // bits an input word
  parameter int unsigned Words = 4   // input words an output word
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,       // synchronous, active low
  input  logic                   in_valid_i,
  output logic                   in_ready_o,
  input  logic [Width-1:0]       in_data_i,
  output logic                   out_valid_o,
  input  logic                   out_ready_i,
  output logic [Words*Width-1:0] out_data_o
);
  localparam int unsigned CountWidth = (Words > 1) ? $clog2(Words) : 1;

  if (Width < 1 || Words < 1) begin : gen_check_size
    $error("width_converter_up: Width and Words must be at least 1");
  end

  logic [Words-1:0][Width-1:0] words_q;
  logic [Width-1:0]            spare_q;
  logic [CountWidth-1:0]       count_q;  // words that the register holds, 0 where it is full
  logic                        full_q, spare_valid_q, push, pop, shift;

  assign in_ready_o  = !spare_valid_q;
  assign out_valid_o = full_q;
  assign out_data_o  = words_q;
  assign push        = in_valid_i && !spare_valid_q;
  assign pop         = full_q && out_ready_i;
  // A word comes in: the next one while there is room, else, as the full register empties, the one after it.
  assign shift       = full_q ? out_ready_i && (spare_valid_q || in_valid_i) : in_valid_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q       <= '0;
      full_q        <= 1'b0;
      spare_valid_q <= 1'b0;
    end else begin
      if (shift) begin
        count_q <= (count_q == CountWidth'(Words - 1)) ? '0 : count_q + CountWidth'(1);
      end
      if (shift || pop) begin
        full_q <= shift && count_q == CountWidth'(Words - 1);
      end
      if (pop) begin
        spare_valid_q <= 1'b0;
      end else if (push && full_q) begin
        spare_valid_q <= 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (shift) begin
      words_q[Words-1] <= spare_valid_q ? spare_q : in_data_i;
      for (int unsigned i = 1; i < Words; i++) begin
        words_q[i-1] <= words_q[i];
      end
    end
    if (push && full_q) begin
      spare_q <= in_data_i;
    end
  end
endmodule
