// Control and input side of a matrix-vector-threshold unit: step counters, replay buffer, pipeline flags.
//
// Function: a vector is SF input words. NF passes over it, one step a word: steps (nf, sf), sf inner. Pass 0 takes the
//   words from the stream into the replay buffer, from which every pass reads them (in_ready_o is low in the later ones).
// The unit is a pipeline whose stages move together while en_i (a register, see skid_buffer): a step fires in stage 0, its
//   weights and its word are read in the ReadStages stages from stage 1 on, the products are summed in the SumStages after
//   them, the sum is accumulated in the next and compared in the one after it (mvtu_results).
// Latency: word_o 1 + ReadStages cycles after the step. Initiation interval: NF*SF cycles a vector, no bubble between vectors.
module mvtu_control #(
  parameter  int unsigned SF          = 1,  // input words a vector (MW / SIMD)
  parameter  int unsigned NF          = 1,  // output words a vector (MH / PE)
  parameter  int unsigned InWidth     = 1,  // bits an input word
  parameter  int unsigned ReadStages  = 1,  // cycles of reading: 1, or 2 with a register behind the memories
  parameter  int unsigned SumStages   = 1,  // cycles from word_o to the sum of its products
  localparam int unsigned WeightAddrW = (SF * NF > 1) ? $clog2(SF * NF) : 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,         // synchronous, active low
  input  logic                   en_i,           // the pipeline moves
  input  logic                   in_valid_i,
  output logic                   in_ready_o,
  input  logic [InWidth-1:0]     in_data_i,
  output logic [WeightAddrW-1:0] weight_addr_o,  // stage 1: nf * SF + sf
  output logic [InWidth-1:0]     word_o,         // stage 1 + ReadStages: input word of the step
  output logic                   soon_o,         // stage ReadStages + SumStages: the step ends a sum
  output logic                   step_o,         // stage 1 + ReadStages + SumStages: there is a step
  output logic                   last_o          // stage 1 + ReadStages + SumStages: it ends a sum
);
  localparam int unsigned WordAddrW = (SF > 1) ? $clog2(SF) : 1;
  localparam int unsigned Flags     = 1 + ReadStages + SumStages;

  if (SF < 1 || NF < 1 || InWidth < 1 || SumStages < 1) begin : gen_check_size
    $error("mvtu_control: SF, NF, InWidth and SumStages must be at least 1");
  end
  if (ReadStages < 1 || ReadStages > 2) begin : gen_check_read
    $error("mvtu_control: ReadStages must be 1 or 2");
  end

  logic fire, word_last, vector_last;
  logic feed_q;  // pass 0: the step needs an input word
  logic [WordAddrW-1:0]   word_addr_q;
  logic [WeightAddrW-1:0] weight_addr_q, read_addr_q;
  logic [Flags-1:0]       step_q, last_q;  // bit i: stage i + 1

  assign fire        = en_i && (in_valid_i || !feed_q);
  assign in_ready_o  = en_i && feed_q;
  assign word_last   = word_addr_q == WordAddrW'(SF - 1);
  assign vector_last = weight_addr_q == WeightAddrW'(SF * NF - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      feed_q        <= 1'b1;
      word_addr_q   <= '0;
      weight_addr_q <= '0;
    end else if (fire) begin
      word_addr_q   <= word_last ? '0 : word_addr_q + WordAddrW'(1);
      weight_addr_q <= vector_last ? '0 : weight_addr_q + WeightAddrW'(1);
      if (word_last) begin
        feed_q <= vector_last;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= '0;
      last_q <= '0;
    end else if (en_i) begin
      step_q <= Flags'({step_q, fire});
      last_q <= Flags'({last_q, fire && word_last});
    end
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      read_addr_q <= weight_addr_q;
    end
  end

  // A word is read in the cycle after it was written. Later words are written to other places, so that the order of reading
  // and writing in one cycle does not matter.
  logic [InWidth-1:0] word_q;
  if (NF > 1 && SF > 1) begin : gen_replay
    (* no_rw_check *) logic [InWidth-1:0] replay_q [SF];
    logic [WordAddrW-1:0] replay_addr_q;
    always_ff @(posedge clk_i) begin
      if (in_valid_i && in_ready_o) begin
        replay_q[word_addr_q] <= in_data_i;
      end
      if (en_i) begin
        replay_addr_q <= word_addr_q;
        word_q        <= replay_q[replay_addr_q];
      end
    end
  end else begin : gen_one_word
    logic [InWidth-1:0] first_q;
    always_ff @(posedge clk_i) begin
      if (in_valid_i && in_ready_o) begin
        first_q <= in_data_i;
      end
      if (en_i) begin
        word_q <= first_q;
      end
    end
  end

  if (ReadStages == 2) begin : gen_behind
    logic [InWidth-1:0] behind_q;
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        behind_q <= word_q;
      end
    end
    assign word_o = behind_q;
  end else begin : gen_direct
    assign word_o = word_q;
  end

  assign weight_addr_o = read_addr_q;
  assign soon_o        = last_q[Flags-2];
  assign step_o        = step_q[Flags-1];
  assign last_o        = last_q[Flags-1];
endmodule
