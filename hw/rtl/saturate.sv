// Saturation of an integer to a range. Combinational.
//
// Function: value_o = value_i clipped to Minimum..Maximum.
// Encoding: value_i two's complement; value_o two's complement if Minimum < 0, else unsigned.
module saturate #(
  parameter int unsigned InBits  = 9,     // bits of the integer
  parameter int unsigned OutBits = 8,     // bits of the result
  parameter int          Minimum = -128,  // smallest result
  parameter int          Maximum = 127    // largest result
) (
  input  logic [InBits-1:0]  value_i,
  output logic [OutBits-1:0] value_o
);
  localparam int unsigned Width = (InBits > OutBits) ? InBits : OutBits + 1;
  localparam longint      Span  = longint'(1) << OutBits;

  if (InBits < 1 || OutBits < 1 || OutBits > 31) begin : gen_check_size
    $error("saturate: InBits must be at least 1, OutBits must be 1..31");
  end
  if (Minimum > Maximum || (Minimum < 0 && (longint'(Minimum) < -(Span / 2) || longint'(Maximum) >= Span / 2))
      || (Minimum >= 0 && longint'(Maximum) >= Span)) begin : gen_check_range
    $error("saturate: Minimum..Maximum must be a range that OutBits bits hold");
  end

  logic signed [Width-1:0] value;
  assign value = Width'($signed(value_i));

  if (Minimum < 0 && longint'(Minimum) == -(Span / 2) && longint'(Maximum) == Span / 2 - 1) begin : gen_signed
    // In range where all bits from the result's sign on are equal.
    logic over;
    assign over    = value[Width-1:OutBits-1] != {(Width - OutBits + 1){value[Width-1]}};
    assign value_o = over ? {value[Width-1], {(OutBits - 1){~value[Width-1]}}} : value[OutBits-1:0];
  end else if (Minimum == 0 && longint'(Maximum) == Span - 1) begin : gen_unsigned
    logic over;
    assign over    = value[Width-1:OutBits] != '0;
    assign value_o = value[Width-1] ? '0 : value[OutBits-1:0] | {OutBits{over}};
  end else begin : gen_any
    localparam int unsigned Wide = (Width > 32) ? Width : 32;  // holds both bounds
    logic signed [Wide-1:0] wide;
    assign wide    = Wide'(value);
    assign value_o = (wide < Wide'($signed(Minimum))) ? OutBits'(Minimum) :
                     (wide > Wide'($signed(Maximum))) ? OutBits'(Maximum) : value[OutBits-1:0];
  end
endmodule
