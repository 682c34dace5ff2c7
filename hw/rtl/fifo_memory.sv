// A FIFO of three words or more: its words lie in a memory.
//
// Function: words leave in the order they came. Depth words of storage.
// Latency: a word taken in cycle t is offered in cycle t+1, also when the FIFO was empty.
// Initiation interval: 1 (push and pop in the same cycle; a full FIFO refuses the push even if it is popped).
// in_ready_o, out_valid_o, full_o and empty_o depend on registers only.
// Storage: up to LutDepth words lie in a memory that is read combinationally (LUT RAM), the head at its read pointer. More
//   lie in one with a registered read (block RAM), which is slow: so the head is in a register of its own, the word behind
//   it waits at the memory's output or, if it came when there was none, beside the memory.
module fifo_memory #(
  parameter int unsigned Width = 8,  // bits a word
  parameter int unsigned Depth = 4   // words held at most, >= 3
) (
  input  logic             clk_i,
  input  logic             rst_ni,       // synchronous, active low
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [Width-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o
);
  // Two LUT RAMs deep at most: from there on the multiplexer behind them costs more than a block RAM.
  localparam int unsigned LutDepth = 32;
  localparam bit          Deep     = Depth > LutDepth;
  localparam int unsigned Slots    = Deep ? Depth - 1 : Depth;  // words in the memory: a deep FIFO's head is not
  localparam int unsigned PtrWidth = $clog2(Slots);

  logic [PtrWidth-1:0] wr_ptr_q, wr_ptr_next, rd_ptr_q, rd_ptr_next;
  logic                full_q, valid_q, push, pop;
  logic                stored_q, one_left, store, unstore;  // of the words in the memory: any, one at most, push, pop

  assign in_ready_o  = !full_q;
  assign out_valid_o = valid_q;
  assign push        = in_valid_i && !full_q;
  assign pop         = valid_q && out_ready_i;
  assign one_left    = rd_ptr_next == wr_ptr_q;  // where stored_q

  if (Slots == 1 << PtrWidth) begin : gen_wrap
    assign wr_ptr_next = wr_ptr_q + PtrWidth'(1);
    assign rd_ptr_next = rd_ptr_q + PtrWidth'(1);
  end else begin : gen_compare
    assign wr_ptr_next = (wr_ptr_q == PtrWidth'(Slots - 1)) ? '0 : wr_ptr_q + PtrWidth'(1);
    assign rd_ptr_next = (rd_ptr_q == PtrWidth'(Slots - 1)) ? '0 : rd_ptr_q + PtrWidth'(1);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_ptr_q <= '0;
      rd_ptr_q <= '0;
      full_q   <= 1'b0;
    end else begin
      if (store) begin
        wr_ptr_q <= wr_ptr_next;
      end
      if (unstore) begin
        rd_ptr_q <= rd_ptr_next;
      end
      if (push != pop) begin
        full_q <= push && wr_ptr_next == rd_ptr_q;
      end
    end
  end

  if (!Deep) begin : gen_shallow
    (* ram_style = "distributed" *)
    logic [Width-1:0] mem_q [Slots];
    assign store   = push;
    assign unstore = pop;
    assign valid_q = stored_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        stored_q <= 1'b0;
      end else if (push != pop) begin
        stored_q <= push || !one_left;
      end
    end
    always_ff @(posedge clk_i) begin
      if (push) begin
        mem_q[wr_ptr_q] <= in_data_i;
      end
    end
    assign out_data_o = mem_q[rd_ptr_q];
  end else begin : gen_deep
    // Where the word written is the one read, it goes around the memory: what that gives then does not matter.
    (* no_rw_check *)
    logic [Width-1:0] mem_q [Slots];
    logic [Width-1:0] read_q, beside_q, head_q;
    logic             fetched_q;  // the word behind the head is at the memory's output; else, if there is one, beside it
    // A word that finds no other left goes straight to the head.
    assign store   = push && (stored_q || (valid_q && !out_ready_i));
    assign unstore = pop && stored_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        valid_q   <= 1'b0;
        stored_q  <= 1'b0;
        fetched_q <= 1'b0;
      end else begin
        if (push != pop) begin
          valid_q  <= push || stored_q;
          stored_q <= push ? valid_q : stored_q && !one_left;
        end
        if (unstore) begin
          fetched_q <= !one_left;
        end
      end
    end
    always_ff @(posedge clk_i) begin
      if (push) begin
        mem_q[wr_ptr_q] <= in_data_i;
      end
      if (unstore) begin
        read_q <= mem_q[rd_ptr_next];
      end
      if (!stored_q || fetched_q || out_ready_i) begin
        beside_q <= in_data_i;  // to be used if this word is pushed and nothing is between it and the head
      end
      if (out_ready_i || !valid_q) begin
        head_q <= fetched_q ? read_q : stored_q ? beside_q : in_data_i;
      end
    end
    assign out_data_o = head_q;
  end
endmodule
