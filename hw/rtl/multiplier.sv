// Signed product, pipelined.
//
// Function: product_o = a_i * b_i modulo 2^OutBits, when en_i; without en_i all registers hold.
// Latency: 1 while both sides have at most 18 bits, what a multiplier block takes; else 2: wider sides are cut into parts of 17
//   bits, the products of the parts are registered, then their sum. Initiation interval: 1.
// Encoding: two's complement.
module multiplier #(
  parameter int unsigned ABits   = 18,  // bits of a
  parameter int unsigned BBits   = 18,  // bits of b
  parameter int unsigned OutBits = 36   // bits of the product
) (
  input  logic               clk_i,
  input  logic               en_i,
  input  logic [ABits-1:0]   a_i,
  input  logic [BBits-1:0]   b_i,
  output logic [OutBits-1:0] product_o
);
  localparam int unsigned BlockBits = 18;
  localparam int unsigned PartBits  = BlockBits - 1;  // unsigned, below a sign
  localparam int unsigned AParts    = (ABits > BlockBits) ? (ABits + PartBits - 2) / PartBits : 1;
  localparam int unsigned BParts    = (BBits > BlockBits) ? (BBits + PartBits - 2) / PartBits : 1;

  if (ABits < 1 || BBits < 1 || OutBits < 1) begin : gen_check_size
    $error("multiplier: ABits, BBits and OutBits must be at least 1");
  end

  if (AParts == 1 && BParts == 1) begin : gen_one
    logic signed [ABits+BBits-1:0] product;
    logic [OutBits-1:0]            product_q;
    assign product = (ABits + BBits)'($signed(a_i)) * (ABits + BBits)'($signed(b_i));
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        product_q <= OutBits'(product);
      end
    end
    assign product_o = product_q;
    if (OutBits < ABits + BBits) begin : gen_unused
      logic unused;
      assign unused = ^product;
    end
  end else begin : gen_parts
    logic [AParts*BParts*OutBits-1:0] terms_q;
    logic [OutBits-1:0]               sum, sum_q;

    for (genvar i = 0; i < AParts; i++) begin : gen_a
      localparam int unsigned ALow   = i * PartBits;
      localparam int unsigned AWidth = (i == AParts - 1) ? ABits - ALow : BlockBits;
      logic [AWidth-1:0] a;
      if (i == AParts - 1) begin : gen_top
        assign a = a_i[ABits-1:ALow];
      end else begin : gen_below
        assign a = {1'b0, a_i[ALow+:PartBits]};
      end
      for (genvar j = 0; j < BParts; j++) begin : gen_b
        localparam int unsigned BLow   = j * PartBits;
        localparam int unsigned BWidth = (j == BParts - 1) ? BBits - BLow : BlockBits;
        logic [BWidth-1:0]               b;
        logic signed [AWidth+BWidth-1:0] term;
        if (j == BParts - 1) begin : gen_top
          assign b = b_i[BBits-1:BLow];
        end else begin : gen_below
          assign b = {1'b0, b_i[BLow+:PartBits]};
        end
        assign term = (AWidth + BWidth)'($signed(a)) * (AWidth + BWidth)'($signed(b));
        always_ff @(posedge clk_i) begin
          if (en_i) begin
            terms_q[(i*BParts+j)*OutBits+:OutBits] <= OutBits'(term) << (ALow + BLow);
          end
        end
        logic unused;
        assign unused = ^term;
      end
    end

    always_comb begin
      sum = '0;
      for (int unsigned term = 0; term < AParts * BParts; term++) begin
        sum = sum + terms_q[term*OutBits+:OutBits];
      end
    end

    always_ff @(posedge clk_i) begin
      if (en_i) begin
        sum_q <= sum;
      end
    end
    assign product_o = sum_q;
  end
endmodule
