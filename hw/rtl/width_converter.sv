// Width converter (gearbox) from words of InElems elements to words of OutElems elements, any ratio.
//
// Function: elements keep their order, element 0 of a word in the low bits. No framing: a frame's element count should
// be a multiple of both word sizes, or the last elements wait for the next frame's.
// Buffer: Cap = InElems + OutElems elements, `level` of them held. in_ready_o = (level + InElems <= Cap) and
// out_valid_o = (level >= OutElems), both from registers only; a word taken in cycle t counts in level from t+1.
// Latency: 1 cycle from the input word that completes an output word.
// Initiation interval: one input word and one output word a cycle at most, both in the same cycle if there is room.
// Where one size divides the other, shift registers do it (width_converter_up, width_converter_down), with the same cycles.
module width_converter #(
  parameter int unsigned ElemWidth = 1,  // bits an element
  parameter int unsigned InElems   = 8,  // elements an input word
  parameter int unsigned OutElems  = 4   // elements an output word
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,       // synchronous, active low
  input  logic                          in_valid_i,
  output logic                          in_ready_o,
  input  logic [InElems*ElemWidth-1:0]  in_data_i,
  output logic                          out_valid_o,
  input  logic                          out_ready_i,
  output logic [OutElems*ElemWidth-1:0] out_data_o
);
  // Greatest common divisor: the buffer counts in units of that many elements.
  function automatic int unsigned gcd(input int unsigned first, input int unsigned second);
    int unsigned larger, smaller, rest;
    larger  = first;
    smaller = second;
    while (smaller != 0) begin
      rest    = larger % smaller;
      larger  = smaller;
      smaller = rest;
    end
    gcd = larger;
  endfunction

  localparam int unsigned Unit       = gcd(InElems, OutElems);
  localparam int unsigned UnitWidth  = Unit * ElemWidth;
  localparam int unsigned InUnits    = InElems / Unit;
  localparam int unsigned OutUnits   = OutElems / Unit;

  if (ElemWidth < 1 || InElems < 1 || OutElems < 1) begin : gen_check_size
    $error("width_converter: ElemWidth, InElems and OutElems must be at least 1");
  end

  if (InUnits == 1) begin : gen_up
    width_converter_up #(
      .Width(UnitWidth),
      .Words(OutUnits)
    ) u_up (
      .*
    );
  end else if (OutUnits == 1) begin : gen_down
    width_converter_down #(
      .Width(UnitWidth),
      .Words(InUnits)
    ) u_down (
      .*
    );
  end else begin : gen_any
    localparam int unsigned CapUnits   = InUnits + OutUnits;
    localparam int unsigned LevelWidth = $clog2(CapUnits + 1);
    localparam int unsigned IndexWidth = $clog2(CapUnits);
    localparam int unsigned FillWidth  = $clog2(OutUnits + 1);

    logic [CapUnits-1:0][UnitWidth-1:0] buffer_q, buffer_d;
    logic [LevelWidth-1:0]              level_q, level_d, fill;
    logic                               push, pop;

    // level + InUnits <= CapUnits
    assign in_ready_o  = level_q <= LevelWidth'(OutUnits);
    assign out_valid_o = level_q >= LevelWidth'(OutUnits);
    assign out_data_o  = buffer_q[OutUnits-1:0];
    assign push        = in_valid_i && in_ready_o;
    assign pop         = out_valid_o && out_ready_i;

    // Units left after this cycle's pop: where the input word goes.
    assign fill    = pop ? level_q - LevelWidth'(OutUnits) : level_q;
    assign level_d = push ? fill + LevelWidth'(InUnits) : fill;

    always_comb begin
      buffer_d = buffer_q;
      if (pop) begin
        buffer_d = buffer_q >> (OutUnits * UnitWidth);
      end
      if (push) begin
        // A word is taken only while fill <= OutUnits: it fits, and FillWidth bits choose among its few places.
        buffer_d[IndexWidth'(FillWidth'(fill))+:InUnits] = in_data_i;
      end
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        level_q <= '0;
      end else begin
        level_q <= level_d;
      end
    end

    always_ff @(posedge clk_i) begin
      if (push || pop) begin
        buffer_q <= buffer_d;
      end
    end
  end
endmodule
