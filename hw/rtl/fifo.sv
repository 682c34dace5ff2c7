// First-in first-out buffer for a valid/ready stream.
//
// Function: words leave in the order they came. Depth words of storage, any Depth >= 2.
// Latency: a word taken in cycle t is offered in cycle t+1, also when the FIFO was empty.
// Initiation interval: 1 (push and pop in the same cycle; a full FIFO refuses the push even if it is popped).
// in_ready_o, out_valid_o, full_o and empty_o depend on registers only, so a FIFO cuts every combinational path.
module fifo #(
  parameter int unsigned Width = 8,  // bits a word
  parameter int unsigned Depth = 2   // words held at most, >= 2
) (
  input  logic             clk_i,
  input  logic             rst_ni,       // synchronous, active low
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [Width-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o,
  output logic             full_o,       // holds Depth words
  output logic             empty_o       // holds no word
);
  localparam int unsigned PtrWidth   = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned CountWidth = $clog2(Depth + 1);
  // Deeper memories are read through their own output register, so that they fit block RAM.
  localparam int unsigned MaxLutDepth = 64;

  if (Width < 1) begin : gen_check_width
    $error("fifo: Width must be at least 1");
  end
  if (Depth < 2) begin : gen_check_depth
    $error("fifo: Depth must be at least 2");
  end

  logic [Width-1:0]      mem_q [Depth];
  logic [PtrWidth-1:0]   wr_ptr_q, rd_ptr_q, rd_ptr_d;
  logic [CountWidth-1:0] count_q;
  logic                  push, pop, bypass;

  assign full_o      = count_q == CountWidth'(Depth);
  assign empty_o     = count_q == '0;
  assign in_ready_o  = !full_o;
  assign out_valid_o = !empty_o;
  assign push        = in_valid_i && in_ready_o;
  assign pop         = out_valid_o && out_ready_i;
  // The word pushed now is the next head: nothing older is left after this cycle.
  assign bypass      = push && count_q == CountWidth'(pop);

  always_comb begin
    rd_ptr_d = rd_ptr_q;
    if (pop) begin
      rd_ptr_d = (rd_ptr_q == PtrWidth'(Depth - 1)) ? '0 : rd_ptr_q + PtrWidth'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_ptr_q <= '0;
      rd_ptr_q <= '0;
      count_q  <= '0;
    end else begin
      rd_ptr_q <= rd_ptr_d;
      if (push) begin
        wr_ptr_q <= (wr_ptr_q == PtrWidth'(Depth - 1)) ? '0 : wr_ptr_q + PtrWidth'(1);
      end
      if (push && !pop) begin
        count_q <= count_q + CountWidth'(1);
      end else if (pop && !push) begin
        count_q <= count_q - CountWidth'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) begin
      mem_q[wr_ptr_q] <= in_data_i;
    end
  end

  if (Depth <= MaxLutDepth) begin : gen_shallow
    logic [Width-1:0] head_q;
    always_ff @(posedge clk_i) begin
      if (bypass) begin
        head_q <= in_data_i;
      end else if (pop) begin
        head_q <= mem_q[rd_ptr_d];
      end
    end
    assign out_data_o = head_q;
  end else begin : gen_deep
    logic [Width-1:0] read_q, bypass_q;
    logic             bypassed_q;
    always_ff @(posedge clk_i) begin
      if (pop) begin
        read_q <= mem_q[rd_ptr_d];
      end
      if (bypass) begin
        bypass_q <= in_data_i;
      end
      if (bypass || pop) begin
        bypassed_q <= bypass;
      end
    end
    assign out_data_o = bypassed_q ? bypass_q : read_q;
  end
endmodule
