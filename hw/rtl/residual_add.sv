// Sum of two streams with saturation: where a residual branch joins.
//
// Function: takes a word of both inputs in the same cycle; element e becomes a_e + b_e, clipped to Minimum..Maximum.
// Latency: 1. Initiation interval: 1 word a cycle. in_ready_o of an input waits for the other's valid.
// Encoding: in_data_i = {word of input 1, word of input 0}; elements ABits (input 0) and BBits (input 1) bits, two's complement
//   where ASigned, BSigned; results OutBits bits, two's complement if Minimum < 0.
module residual_add #(
  parameter  int unsigned Elems   = 1,     // elements a word
  parameter  int unsigned ABits   = 8,     // bits an element of input 0
  parameter  int unsigned BBits   = 8,     // bits an element of input 1
  parameter  bit          ASigned = 1'b1,  // elements of input 0 are two's complement
  parameter  bit          BSigned = 1'b1,  // elements of input 1 are two's complement
  parameter  int unsigned OutBits = 8,     // bits a result
  parameter  int          Minimum = -128,  // smallest result
  parameter  int          Maximum = 127    // largest result
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,       // synchronous, active low
  input  logic [1:0]                     in_valid_i,
  output logic [1:0]                     in_ready_o,
  input  logic [Elems*(ABits+BBits)-1:0] in_data_i,
  output logic                           out_valid_o,
  input  logic                           out_ready_i,
  output logic [Elems*OutBits-1:0]       out_data_o
);
  localparam int unsigned SumBits = ((ABits > BBits) ? ABits : BBits) + 2;  // of any two elements, with a sign

  if (Elems < 1 || ABits < 1 || BBits < 1) begin : gen_check_size
    $error("residual_add: Elems, ABits and BBits must be at least 1");
  end

  logic en, fire, out_valid_q;

  assign en          = out_ready_i || !out_valid_q;
  assign fire        = en && (&in_valid_i);
  assign in_ready_o  = {en && in_valid_i[0], en && in_valid_i[1]};
  assign out_valid_o = out_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q <= 1'b0;
    end else if (en) begin
      out_valid_q <= &in_valid_i;
    end
  end

  for (genvar e = 0; e < Elems; e++) begin : gen_elem
    logic [ABits-1:0]          a;
    logic [BBits-1:0]          b;
    logic signed [SumBits-1:0] sum;
    logic [OutBits-1:0]        result_d, result_q;

    assign a   = in_data_i[e*ABits+:ABits];
    assign b   = in_data_i[Elems*ABits+e*BBits+:BBits];
    assign sum = SumBits'($signed({ASigned & a[ABits-1], a})) + SumBits'($signed({BSigned & b[BBits-1], b}));

    saturate #(
      .InBits (SumBits),
      .OutBits(OutBits),
      .Minimum(Minimum),
      .Maximum(Maximum)
    ) u_saturate (
      .value_i(sum),
      .value_o(result_d)
    );

    always_ff @(posedge clk_i) begin
      if (fire) begin
        result_q <= result_d;
      end
    end

    assign out_data_o[e*OutBits+:OutBits] = result_q;
  end
endmodule
