// Control and input side of a matrix-vector-threshold unit: step counters, replay buffer, pipeline flags.
//
// Function: a vector is SF input words. NF passes over it, one step a word: steps (nf, sf), sf inner. Pass 0 takes the
// words from the stream and keeps them in the replay buffer, the later passes read them there (in_ready_o is low then).
// The unit's four pipeline stages move together when `en` = out_ready_i || !out_valid_o:
//   1 input word (word_o) and weights, 2 products (product_en_o), 3 accumulator (acc_en_o), 4 result (out_en_o).
// Latency: 4 cycles from the step sf = SF-1 to out_valid_o. Initiation interval: NF*SF cycles a vector, no bubble between.
module mvtu_control #(
  parameter  int unsigned SF          = 1,  // input words a vector (MW / SIMD)
  parameter  int unsigned NF          = 1,  // output words a vector (MH / PE)
  parameter  int unsigned InWidth     = 1,  // bits an input word
  localparam int unsigned WeightAddrW = (SF * NF > 1) ? $clog2(SF * NF) : 1,
  localparam int unsigned FoldAddrW   = (NF > 1) ? $clog2(NF) : 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,         // synchronous, active low
  input  logic                   in_valid_i,
  output logic                   in_ready_o,
  input  logic [InWidth-1:0]     in_data_i,
  output logic                   out_valid_o,
  input  logic                   out_ready_i,
  output logic                   weight_en_o,    // stage 1: a step fires; read the weight ROM
  output logic [WeightAddrW-1:0] weight_addr_o,  // stage 1: nf * SF + sf
  output logic [InWidth-1:0]     word_o,         // input word of the step in stage 1
  output logic                   product_en_o,   // stage 2: take the products of word_o and the weights
  output logic                   acc_en_o,       // stage 3: take the products into the accumulator
  output logic                   acc_first_o,    // stage 3: they start a new sum
  output logic                   fold_en_o,      // stage 3: they end the sum; read the threshold ROM
  output logic [FoldAddrW-1:0]   fold_addr_o,    // stage 3: nf of that sum
  output logic                   out_en_o        // stage 4: the accumulator is a whole sum; take the result
);
  localparam int unsigned WordAddrW = (SF > 1) ? $clog2(SF) : 1;

  if (SF < 1 || NF < 1 || InWidth < 1) begin : gen_check_size
    $error("mvtu_control: SF, NF and InWidth must be at least 1");
  end

  logic en, fire, word_last, vector_last;
  logic feed_q;  // pass 0: the step needs an input word
  logic [WordAddrW-1:0]   word_addr_q;
  logic [WeightAddrW-1:0] weight_addr_q;
  logic valid1_q, first1_q, last1_q;
  logic valid2_q, first2_q, last2_q;
  logic valid3_q, last3_q;
  logic out_valid_q;

  assign en          = out_ready_i || !out_valid_q;
  assign fire        = en && (in_valid_i || !feed_q);
  assign in_ready_o  = en && feed_q;
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
      valid1_q    <= 1'b0;
      valid2_q    <= 1'b0;
      valid3_q    <= 1'b0;
      out_valid_q <= 1'b0;
    end else if (en) begin
      valid1_q    <= fire;
      valid2_q    <= valid1_q;
      valid3_q    <= valid2_q;
      out_valid_q <= valid3_q && last3_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (en) begin
      first1_q <= word_addr_q == '0;
      last1_q  <= word_last;
      first2_q <= first1_q;
      last2_q  <= last1_q;
      last3_q  <= last2_q;
    end
  end

  // The sums end in the order of their channel folds.
  if (NF > 1) begin : gen_fold
    logic [FoldAddrW-1:0] fold_addr_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fold_addr_q <= '0;
      end else if (fold_en_o) begin
        fold_addr_q <= (fold_addr_q == FoldAddrW'(NF - 1)) ? '0 : fold_addr_q + FoldAddrW'(1);
      end
    end
    assign fold_addr_o = fold_addr_q;
  end else begin : gen_no_fold
    assign fold_addr_o = '0;
  end

  // Stage 1 word: the stream's, or the replay buffer's.
  logic [InWidth-1:0] stream_word_q;
  always_ff @(posedge clk_i) begin
    if (fire && feed_q) begin
      stream_word_q <= in_data_i;
    end
  end

  if (NF > 1) begin : gen_replay
    logic [InWidth-1:0] replay_q [SF];
    logic [InWidth-1:0] replay_word_q;
    logic               from_stream_q;
    always_ff @(posedge clk_i) begin
      if (fire && feed_q) begin
        replay_q[word_addr_q] <= in_data_i;
      end
      if (fire && !feed_q) begin
        replay_word_q <= replay_q[word_addr_q];
      end
      if (fire) begin
        from_stream_q <= feed_q;
      end
    end
    assign word_o = from_stream_q ? stream_word_q : replay_word_q;
  end else begin : gen_no_replay
    assign word_o = stream_word_q;
  end

  assign weight_en_o   = fire;
  assign weight_addr_o = weight_addr_q;
  assign product_en_o  = en && valid1_q;
  assign acc_en_o      = en && valid2_q;
  assign acc_first_o   = first2_q;
  assign fold_en_o     = en && valid2_q && last2_q;
  assign out_en_o      = en && valid3_q && last3_q;
  assign out_valid_o   = out_valid_q;
endmodule
