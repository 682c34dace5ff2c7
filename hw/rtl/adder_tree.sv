// Sum of Lanes signed numbers, each with a carry of its own, as a pipelined binary tree of carry chains.
//
// Function: sum_o + carry_o = sum over the lanes of (value + carry), modulo 2^SumWidth. An adder takes one carry along:
//   (v0, c0) + (v1, c1) = (v0 + v1 + c0, c1), so that one carry is left over for whoever adds the sum. HasCarry = 0: none.
//   So a lane is negated for nothing: -v = ~v with carry 1.
// Latency: ceil($clog2(Lanes) / 2) cycles, a register after every second level and after the last; 0 for one lane.
// Initiation interval: 1. Encoding: value_i holds lane i in bits i*Width and up; two's complement.
module adder_tree #(
  parameter  int unsigned Lanes    = 4,     // numbers added
  parameter  int unsigned Width    = 8,     // bits a number
  parameter  int unsigned SumWidth = 10,    // bits of the sum; >= Width
  parameter  bit          HasCarry = 1'b0,  // carry_i is in use; else it must be 0
  localparam int unsigned Levels   = (Lanes > 1) ? $clog2(Lanes) : 0
) (
  input  logic                   clk_i,
  input  logic                   en_i,
  input  logic [Lanes*Width-1:0] value_i,
  input  logic [Lanes-1:0]       carry_i,
  output logic [SumWidth-1:0]    sum_o,
  output logic                   carry_o
);
  if (Lanes < 1 || Width < 1 || SumWidth < Width) begin : gen_check_size
    $error("adder_tree: Lanes and Width must be at least 1, SumWidth at least Width");
  end

  // gen_level[k]: Count numbers of Bits bits, each with a carry.
  for (genvar k = 0; k <= Levels; k++) begin : gen_level
    localparam int unsigned Count = (Lanes + 2 ** k - 1) / 2 ** k;
    localparam int unsigned Bits  = (Width + k < SumWidth) ? Width + k : SumWidth;
    logic [Count*Bits-1:0] value_d, value;
    logic [Count-1:0]      carry_d, carry;

    if (k == 0) begin : gen_lanes
      assign value_d = value_i;
      assign carry_d = carry_i;
    end else begin : gen_add
      localparam int unsigned FromBits  = (Width + k - 1 < SumWidth) ? Width + k - 1 : SumWidth;
      localparam int unsigned FromCount = (Lanes + 2 ** (k - 1) - 1) / 2 ** (k - 1);
      for (genvar i = 0; i < Count; i++) begin : gen_number
        logic signed [FromBits-1:0] left;
        assign left = gen_level[k-1].value[2*i*FromBits+:FromBits];
        if (2 * i + 1 == FromCount) begin : gen_odd
          assign value_d[i*Bits+:Bits] = Bits'(left);
          assign carry_d[i]            = gen_level[k-1].carry[2*i];
        end else begin : gen_pair
          logic signed [FromBits-1:0] right;
          assign right      = gen_level[k-1].value[(2*i+1)*FromBits+:FromBits];
          assign carry_d[i] = gen_level[k-1].carry[2*i+1];
          // The bit below the sum carries; without a carry it keeps Yosys from merging levels into slower carry-save adders.
          logic [Bits:0] sum;
          assign sum = {Bits'(left), 1'b1} + {Bits'(right), HasCarry && gen_level[k-1].carry[2*i]};
          assign value_d[i*Bits+:Bits] = sum[Bits:1];
          logic unused;
          assign unused = ^{sum[0], gen_level[k-1].carry[2*i]};
        end
      end
    end

    if (k > 0 && (k % 2 == 0 || k == Levels)) begin : gen_register
      logic [Count*Bits-1:0] value_q;
      logic [Count-1:0]      carry_q;
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          value_q <= value_d;
          carry_q <= carry_d;
        end
      end
      assign value = value_q;
      assign carry = carry_q;
    end else begin : gen_through
      assign value = value_d;
      assign carry = carry_d;
    end
  end

  localparam int unsigned TopBits = (Width + Levels < SumWidth) ? Width + Levels : SumWidth;
  logic signed [TopBits-1:0] top;
  assign top     = gen_level[Levels].value;
  assign sum_o   = SumWidth'(top);
  assign carry_o = gen_level[Levels].carry[0];

  if (Levels == 0) begin : gen_no_register
    logic unused;
    assign unused = ^{clk_i, en_i};
  end
endmodule
