// Number of matching bits of two Width-bit words, pipelined.
//
// Function: matches = count_o + extra_o, the popcount of ~(act_i ^ weight_i); the dot product of the bipolar vectors is
//   2 * matches - Width. Where Width is a power of two from 4 on, one match stays outside the tree (extra_o): whoever adds
//   the count takes it as carry, and no adder of the tree needs a bit more for it. Else extra_o = 0.
// Structure: level 1 counts groups of three matches in a full adder; level k adds the counts of two neighbours and one
//   more match as carry, so that every adder is used to its last code (3 + 3 + 1 = 7, 7 + 7 + 1 = 15, ...). Levels of up to
//   three bits are written as gates (LUTs take in the XNOR, and on LUT6 the carry), wider ones as sums (carry chains).
//   Where the matches do not fill the tree, they are spread such that whole branches fall away in synthesis.
// Latency: Levels / 2 + 1 cycles, a register after every odd level and after the last; en_i moves all registers.
// Initiation interval: 1. Encoding: bit 1 = +1, bit 0 = -1; the count is unsigned.
module xnor_popcount #(
  parameter  int unsigned Width      = 64,  // bits compared
  localparam int unsigned Extra      = (Width >= 4 && 2 ** $clog2(Width) == Width) ? 1 : 0,
  localparam int unsigned CountWidth = $clog2(Width - Extra + 1)
) (
  input  logic                  clk_i,
  input  logic                  en_i,
  input  logic [Width-1:0]      act_i,
  input  logic [Width-1:0]      weight_i,
  output logic [CountWidth-1:0] count_o,
  output logic                  extra_o
);
  localparam int unsigned Counted = Width - Extra;
  localparam int unsigned Levels  = (Counted > 3) ? $clog2(Counted + 1) - 1 : 1;
  localparam int unsigned Groups  = 2 ** (Levels - 1);  // of three; Groups - 1 further matches are carries

  if (Width < 1) begin : gen_check_width
    $error("xnor_popcount: Width must be at least 1");
  end

  // The place of group i in filling order: its bits reversed, so that the partners at every level fill up together.
  function automatic int unsigned reversed(input int unsigned value);
    reversed = 0;
    for (int unsigned i = 1; i < Levels; i++) begin
      reversed = reversed * 2 + (value >> (i - 1)) % 2;
    end
  endfunction

  logic [Width-1:0] match;
  assign match = ~(act_i ^ weight_i);

  // gen_level[k]: Lanes counts of k + 1 bits, bit b of lane i in count[b * Lanes + i], and the carries of later levels.
  for (genvar k = 1; k <= Levels; k++) begin : gen_level
    localparam int unsigned Lanes = 2 ** (Levels - k);
    logic [(k+1)*Lanes-1:0] count_d, count;
    logic [Lanes-1:0]       carry_d, carry;  // Lanes - 1 carries and a 0

    if (k == 1) begin : gen_groups
      logic [3*Groups-1:0] taken;
      for (genvar i = 0; i < Groups; i++) begin : gen_group
        for (genvar j = 0; j < 3; j++) begin : gen_match
          localparam int unsigned Index = Groups - 1 + 3 * reversed(i) + j;
          if (Index < Counted) begin : gen_taken
            assign taken[j*Groups+i] = match[Index];
          end else begin : gen_none
            assign taken[j*Groups+i] = 1'b0;
          end
        end
      end
      logic [Groups-1:0] half;
      assign half    = taken[0+:Groups] ^ taken[Groups+:Groups];
      assign count_d = {(taken[0+:Groups] & taken[Groups+:Groups]) | (half & taken[2*Groups+:Groups]),
                        half ^ taken[2*Groups+:Groups]};
      assign carry_d = match[Lanes-1:0] & ~(Lanes'(1) << (Lanes - 1));
    end else begin : gen_add
      // Lane i adds lanes i and Lanes + i of the level before and carry i.
      logic [2*k*Lanes-1:0] from;
      logic [2*Lanes-1:0]   carries;
      assign from    = gen_level[k-1].count;
      assign carries = gen_level[k-1].carry;
      assign carry_d = carries[Lanes+:Lanes];
      if (k <= 3) begin : gen_gates
        logic [(k+1)*Lanes-1:0] ripple;
        assign ripple[0+:Lanes] = carries[0+:Lanes];
        for (genvar b = 0; b < k; b++) begin : gen_bit
          logic [Lanes-1:0] left, right, half;
          assign left  = from[2*b*Lanes+:Lanes];
          assign right = from[(2*b+1)*Lanes+:Lanes];
          assign half  = left ^ right;
          assign count_d[b*Lanes+:Lanes]    = half ^ ripple[b*Lanes+:Lanes];
          assign ripple[(b+1)*Lanes+:Lanes] = (left & right) | (half & ripple[b*Lanes+:Lanes]);
        end
        assign count_d[k*Lanes+:Lanes] = ripple[k*Lanes+:Lanes];
      end else begin : gen_sums
        for (genvar i = 0; i < Lanes; i++) begin : gen_lane
          logic [k-1:0] left, right;
          logic [k+1:0] sum;
          for (genvar b = 0; b < k; b++) begin : gen_bit
            assign left[b]  = from[2*b*Lanes+i];
            assign right[b] = from[(2*b+1)*Lanes+i];
          end
          assign sum = {1'b0, left, 1'b1} + {1'b0, right, carries[i]};
          for (genvar b = 0; b <= k; b++) begin : gen_sum
            assign count_d[b*Lanes+i] = sum[b+1];
          end
          logic unused;
          assign unused = sum[0];
        end
      end
    end

    if (k % 2 == 1 || k == Levels) begin : gen_register
      logic [(k+1)*Lanes-1:0] count_q;
      logic [Lanes-1:0]       carry_q;
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          count_q <= count_d;
          carry_q <= carry_d;
        end
      end
      assign count = count_q;
      assign carry = carry_q;
    end else begin : gen_through
      assign count = count_d;
      assign carry = carry_d;
    end
  end

  // The tree may have room for more than Width: the bits above the count's are 0 then.
  assign count_o = gen_level[Levels].count[CountWidth-1:0];
  logic unused;
  assign unused = ^{gen_level[Levels].count, gen_level[Levels].carry};

  if (Extra == 1) begin : gen_extra
    logic [Levels/2:0] extra_q;
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        extra_q <= (Levels / 2 + 1)'({extra_q, match[Width-1]});
      end
    end
    assign extra_o = extra_q[Levels/2];
  end else begin : gen_no_extra
    assign extra_o = 1'b0;
  end
endmodule
