// Channels of zeros before and after those of a map.
//
// Function: a pixel of Pass words becomes Before words of zeros, its own words, and After words of zeros.
// Latency: 1. Initiation interval: Before + Pass + After cycles a pixel. Zeros do not wait for input.
// Encoding: words of Width bits; a zero is all bits 0.
module channel_pad #(
  parameter int unsigned Width  = 8,  // bits a word
  parameter int unsigned Before = 1,  // words of zeros before a pixel's words
  parameter int unsigned Pass   = 1,  // words of a pixel that comes in
  parameter int unsigned After  = 1   // words of zeros after them
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
  localparam int unsigned Words     = Before + Pass + After;
  localparam int unsigned StepWidth = $clog2(Words + 1);

  if (Width < 1 || Pass < 1) begin : gen_check_size
    $error("channel_pad: Width and Pass must be at least 1");
  end

  logic                 en, fire, real_word, out_valid_q;
  logic [StepWidth-1:0] step_q;
  logic [Width-1:0]     out_data_q;

  assign en          = out_ready_i || !out_valid_q;
  assign fire        = en && (!real_word || in_valid_i);
  assign in_ready_o  = en && real_word;
  assign out_valid_o = out_valid_q;
  assign out_data_o  = out_data_q;

  if (Before > 0) begin : gen_before
    assign real_word = step_q >= StepWidth'(Before) && step_q < StepWidth'(Before + Pass);
  end else begin : gen_no_before
    assign real_word = step_q < StepWidth'(Pass);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= '0;
    end else if (fire) begin
      step_q <= (step_q == StepWidth'(Words - 1)) ? '0 : step_q + StepWidth'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q <= 1'b0;
    end else if (en) begin
      out_valid_q <= fire;
    end
  end

  always_ff @(posedge clk_i) begin
    if (fire) begin
      out_data_q <= real_word ? in_data_i : '0;
    end
  end
endmodule
