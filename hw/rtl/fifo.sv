// First-in first-out buffer for a valid/ready stream.
//
// Function: words leave in the order they came. Depth words of storage, any Depth >= 2.
// Latency: a word taken in cycle t is offered in cycle t+1, also when the FIFO was empty.
// Initiation interval: 1 (push and pop in the same cycle; a full FIFO refuses the push even if it is popped).
// in_ready_o, out_valid_o, full_o and empty_o depend on registers only, so a FIFO cuts every path of the handshake.
// Storage: up to LutDepth words lie in a memory that is read combinationally (LUT RAM), the head at its read pointer; more lie
// in one with a registered read (block RAM), and a word that finds the FIFO empty goes around it.
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
  localparam int unsigned PtrWidth = (Depth > 1) ? $clog2(Depth) : 1;
  // Two LUT RAMs deep at most: from there on the multiplexer behind them costs more than a block RAM.
  localparam int unsigned LutDepth = 32;

  if (Width < 1) begin : gen_check_width
    $error("fifo: Width must be at least 1");
  end
  if (Depth < 2) begin : gen_check_depth
    $error("fifo: Depth must be at least 2");
  end

  logic [PtrWidth-1:0] wr_ptr_q, wr_ptr_next, rd_ptr_q, rd_ptr_next;
  logic                full_q, valid_q, push, pop, one_left;

  assign full_o      = full_q;
  assign empty_o     = !valid_q;
  assign in_ready_o  = !full_q;
  assign out_valid_o = valid_q;
  assign push        = in_valid_i && !full_q;
  assign pop         = valid_q && out_ready_i;
  assign one_left    = rd_ptr_next == wr_ptr_q;  // where valid_q

  if (Depth == 1 << PtrWidth) begin : gen_wrap
    assign wr_ptr_next = wr_ptr_q + PtrWidth'(1);
    assign rd_ptr_next = rd_ptr_q + PtrWidth'(1);
  end else begin : gen_compare
    assign wr_ptr_next = (wr_ptr_q == PtrWidth'(Depth - 1)) ? '0 : wr_ptr_q + PtrWidth'(1);
    assign rd_ptr_next = (rd_ptr_q == PtrWidth'(Depth - 1)) ? '0 : rd_ptr_q + PtrWidth'(1);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_ptr_q <= '0;
      rd_ptr_q <= '0;
      full_q   <= 1'b0;
      valid_q  <= 1'b0;
    end else begin
      if (push) begin
        wr_ptr_q <= wr_ptr_next;
      end
      if (pop) begin
        rd_ptr_q <= rd_ptr_next;
      end
      if (push != pop) begin
        full_q  <= push && wr_ptr_next == rd_ptr_q;
        valid_q <= push || !one_left;
      end
    end
  end

  if (Depth <= LutDepth) begin : gen_shallow
    (* ram_style = "distributed" *)
    logic [Width-1:0] mem_q [Depth];
    always_ff @(posedge clk_i) begin
      if (push) begin
        mem_q[wr_ptr_q] <= in_data_i;
      end
    end
    assign out_data_o = mem_q[rd_ptr_q];
  end else begin : gen_deep
    // Where the word written is the one read, it goes around the memory: what that gives then does not matter.
    (* no_rw_check *)
    logic [Width-1:0] mem_q [Depth];
    logic [Width-1:0] read_q, bypass_q;
    logic             bypass, bypassed_q;
    // The word pushed now is the next head: nothing older is left after this cycle.
    assign bypass = push && (!valid_q || (one_left && pop));
    always_ff @(posedge clk_i) begin
      if (push) begin
        mem_q[wr_ptr_q] <= in_data_i;
      end
      if (pop) begin
        read_q <= mem_q[rd_ptr_next];
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
