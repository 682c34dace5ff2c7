// Accumulator of one channel of a matrix-vector-threshold unit.
//
// Function: sum_o <= the sum of a vector's steps (value_i + carry_i each), valid after its last step. The running sum goes
//   back to 0 with that step already, by its reset: so a new sum needs no multiplexer before the adder.
// Latency: 1 cycle from the last step. Initiation interval: 1 step a cycle.
// Encoding: value_i two's complement if Signed, else unsigned; sum_o likewise, modulo 2^AccWidth.
module mvtu_accumulator #(
  parameter int unsigned Width    = 8,     // bits a step
  parameter int unsigned AccWidth = 16,    // bits of the sum
  parameter bit          Signed   = 1'b0,  // value_i is two's complement
  parameter bit          HasCarry = 1'b0,  // carry_i is in use; else it must be 0
  parameter bit          OneStep  = 1'b0   // every step is a vector's last: nothing to accumulate
) (
  input  logic                clk_i,
  input  logic                rst_ni,   // synchronous, active low
  input  logic                en_i,     // the pipeline moves
  input  logic                valid_i,  // there is a step
  input  logic                last_i,   // it ends a sum
  input  logic [Width-1:0]    value_i,
  input  logic                carry_i,
  output logic [AccWidth-1:0] sum_o
);
  logic [AccWidth-1:0] value, base, sum, sum_q;

  if (Signed) begin : gen_signed
    assign value = AccWidth'($signed(value_i));
  end else begin : gen_unsigned
    assign value = AccWidth'(value_i);
  end

  if (HasCarry) begin : gen_carry
    logic [AccWidth:0] total;
    assign total = {value, carry_i} + {base, 1'b1};
    assign sum   = total[AccWidth:1];
    logic unused;
    assign unused = total[0];
  end else begin : gen_plain
    assign sum = value + base;
    logic unused;
    assign unused = carry_i;
  end

  if (OneStep) begin : gen_one_step
    assign base = '0;
    logic unused;
    assign unused = ^{rst_ni, valid_i, last_i};
  end else begin : gen_running
    logic [AccWidth-1:0] acc_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (en_i && last_i)) begin
        acc_q <= '0;
      end else if (en_i && valid_i) begin
        acc_q <= sum;
      end
    end
    assign base = acc_q;
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      sum_q <= sum;
    end
  end

  assign sum_o = sum_q;
endmodule
