// Dot product of SIMD activations and SIMD weights, of which at least one may be an integer, pipelined.
//
// Function: sum_o + carry_o = sum over i of activation i * weight i, modulo 2^SumWidth; 0 where mask_i = 0. There is no
//   multiplier where a factor is bipolar or a single bit. A bipolar factor negates the other: -v = ~v + 1, the 1 being the
//   lane's carry in adder_tree. Two bipolar factors are counted (xnor_popcount).
// Latency: SumStages cycles: 1 for the products, 2 where both factors are wide (block RAM is slow, so that the operands go
//   into registers first), and ceil($clog2(SIMD) / 2) for the tree; Levels / 2 + 1 (xnor_popcount) for two bipolar factors.
// Initiation interval: 1. Encoding: as in mixed_mvtu.
module mixed_dot #(
  parameter  int unsigned SIMD          = 8,     // products
  parameter  int unsigned ActBits       = 8,     // bits an activation
  parameter  bit          ActSigned     = 1'b0,  // activations are two's complement
  parameter  bit          ActBipolar    = 1'b0,  // activations are bipolar
  parameter  int unsigned WeightBits    = 1,     // bits a weight; 1 = bipolar
  parameter  int unsigned SumWidth      = 16     // bits of the sum
) (
  input  logic                       clk_i,
  input  logic                       en_i,
  input  logic                       mask_i,
  input  logic [SIMD*ActBits-1:0]    act_i,
  input  logic [SIMD*WeightBits-1:0] weight_i,
  output logic [SumWidth-1:0]        sum_o,
  output logic                       carry_o
);
  localparam bit          WeightBipolar = WeightBits == 1;
  localparam bit          ActBit        = ActBits == 1 && !ActSigned;  // 0 or 1, if not bipolar
  localparam bit          Wide          = !ActBipolar && !WeightBipolar && !ActBit;
  localparam int unsigned FullWidth     = WeightBipolar ? ActBits + 1 : ActBit ? WeightBits : ActBits + WeightBits;
  localparam int unsigned Width         = (FullWidth < SumWidth) ? FullWidth : SumWidth;

  if (ActBipolar && WeightBipolar) begin : gen_xnor
    localparam int unsigned Counted    = (SIMD >= 4 && 2 ** $clog2(SIMD) == SIMD) ? SIMD - 1 : SIMD;
    localparam int unsigned CountWidth = $clog2(Counted + 1);
    localparam int unsigned Levels     = (Counted > 3) ? CountWidth - 1 : 1;
    logic [CountWidth-1:0] count;
    logic                  extra;
    logic [Levels/2:0]     mask_q;
    xnor_popcount #(
      .Width(SIMD)
    ) u_popcount (
      .clk_i,
      .en_i,
      .act_i,
      .weight_i,
      .count_o(count),
      .extra_o(extra)
    );
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        mask_q <= (Levels / 2 + 1)'({mask_q, mask_i});
      end
    end
    // 2 * (count + extra) - SIMD = ({count, extra} - SIMD) + extra.
    assign sum_o   = mask_q[Levels/2] ? SumWidth'({count, extra}) - SumWidth'(SIMD) : '0;
    assign carry_o = mask_q[Levels/2] && extra;
  end else begin : gen_products
    logic                       mask;
    logic [SIMD*ActBits-1:0]    act;
    logic [SIMD*WeightBits-1:0] weight;
    logic [SIMD*Width-1:0]      product_d, product_q;
    logic [SIMD-1:0]            carry_d, carry_q;

    if (Wide) begin : gen_operands
      logic                       mask_q;
      logic [SIMD*ActBits-1:0]    act_q;
      logic [SIMD*WeightBits-1:0] weight_q;
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          mask_q   <= mask_i;
          act_q    <= act_i;
          weight_q <= weight_i;
        end
      end
      assign {mask, act, weight} = {mask_q, act_q, weight_q};
    end else begin : gen_no_operands
      assign {mask, act, weight} = {mask_i, act_i, weight_i};
    end

    for (genvar i = 0; i < SIMD; i++) begin : gen_lane
      // Sign bit first: that of an unsigned activation is 0.
      logic signed [ActBits:0]      a;
      logic signed [WeightBits-1:0] w;
      assign a = {ActSigned & act[i*ActBits+ActBits-1], act[i*ActBits+:ActBits]};
      assign w = weight[i*WeightBits+:WeightBits];
      if (ActBipolar) begin : gen_act_bipolar
        assign product_d[i*Width+:Width] = mask ? Width'($signed(w ^ {WeightBits{~act[i]}})) : '0;
        assign carry_d[i]                = mask && !act[i];
        logic unused;
        assign unused = ^a;
      end else if (WeightBipolar) begin : gen_weight_bipolar
        assign product_d[i*Width+:Width] = Width'($signed(a ^ {(ActBits + 1){~weight[i]}}));
        assign carry_d[i]                = !weight[i];
        logic unused;
        assign unused = ^{w, mask};
      end else if (ActBit) begin : gen_act_bit
        assign product_d[i*Width+:Width] = Width'($signed(w & {WeightBits{act[i]}}));
        assign carry_d[i]                = 1'b0;
        logic unused;
        assign unused = ^{a, mask};
      end else begin : gen_product
        logic signed [ActBits+WeightBits:0] product;
        assign product                   = (ActBits + WeightBits + 1)'(a) * (ActBits + WeightBits + 1)'(w);
        assign product_d[i*Width+:Width] = Width'(product);
        assign carry_d[i]                = 1'b0;
        logic unused;
        assign unused = ^{mask, product};
      end
    end

    always_ff @(posedge clk_i) begin
      if (en_i) begin
        product_q <= product_d;
        carry_q   <= carry_d;
      end
    end

    adder_tree #(
      .Lanes   (SIMD),
      .Width   (Width),
      .SumWidth(SumWidth),
      .HasCarry(ActBipolar || WeightBipolar)
    ) u_tree (
      .clk_i,
      .en_i,
      .value_i(product_q),
      .carry_i(carry_q),
      .sum_o,
      .carry_o
    );
  end
endmodule
