// Index of the largest logit of a frame, sent along with the logits.
//
// Function: a frame is NF words of PE logits, class nf*PE+pe in element pe of word nf. Every word is passed on together with
//   the index of the largest logit seen so far in the frame; in the last word of the frame, marked by out_last_o, that is
//   the frame's class. On a tie the lowest index wins.
// Latency: 1 + $clog2(PE): a stage for each level of comparisons in a word, one for the frame. Initiation interval: 1 word
//   a cycle.
// Encoding: logits Width bits, two's complement. out_data_o = {class (ClassWidth bits), logits (PE * Width bits)}.
module argmax #(
  parameter  int unsigned PE         = 1,  // logits a word
  parameter  int unsigned NF         = 1,  // words a frame
  parameter  int unsigned Width      = 8,  // bits a logit
  localparam int unsigned ClassWidth = (PE * NF > 1) ? $clog2(PE * NF) : 1,
  localparam int unsigned OutWidth   = ClassWidth + PE * Width
) (
  input  logic                clk_i,
  input  logic                rst_ni,       // synchronous, active low
  input  logic                in_valid_i,
  output logic                in_ready_o,
  input  logic [PE*Width-1:0] in_data_i,
  output logic                out_valid_o,
  input  logic                out_ready_i,
  output logic [OutWidth-1:0] out_data_o,
  output logic                out_last_o    // last word of a frame
);
  localparam int unsigned Levels = $clog2(PE);

  if (PE < 1 || NF < 1 || Width < 1) begin : gen_check_size
    $error("argmax: PE, NF and Width must be at least 1");
  end

  // All stages move together.
  logic en, out_valid_q;
  assign en         = out_ready_i || !out_valid_q;
  assign in_ready_o = en;

  // Winner of the word: a tree of comparisons, registered after each level; the left entry has the lower classes and keeps ties.
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    localparam int unsigned Entries    = (PE + (1 << level) - 1) >> level;
    localparam int unsigned IndexWidth = (level > 0) ? level : 1;
    logic                               valid;
    logic [PE*Width-1:0]                logits;
    logic [Entries-1:0][Width-1:0]      value;
    logic [Entries-1:0][IndexWidth-1:0] index;  // within the entry's group of classes

    if (level == 0) begin : gen_input
      assign valid  = in_valid_i;
      assign logits = in_data_i;
      assign value  = in_data_i;
      assign index  = '0;
      logic unused;
      assign unused = ^index;
    end else begin : gen_tree
      logic [Entries-1:0][Width-1:0]      winner;
      logic [Entries-1:0][IndexWidth-1:0] winner_index;
      for (genvar e = 0; e < Entries; e++) begin : gen_entry
        if (((2 * e + 1) << (level - 1)) < PE) begin : gen_node  // the level below has an entry 2e + 1
          logic right;
          // Less-than, not greater-than: Yosys' carry chains give the first as they are, for the second they test equality, too.
          assign right     = $signed(gen_level[level-1].value[2*e]) < $signed(gen_level[level-1].value[2*e+1]);
          assign winner[e] = right ? gen_level[level-1].value[2*e+1] : gen_level[level-1].value[2*e];
          if (level == 1) begin : gen_leaf
            assign winner_index[e] = right;
          end else begin : gen_inner
            assign winner_index[e] = {right, right ? gen_level[level-1].index[2*e+1] : gen_level[level-1].index[2*e]};
          end
        end else begin : gen_pass
          assign winner[e]       = gen_level[level-1].value[2*e];
          assign winner_index[e] = IndexWidth'(gen_level[level-1].index[2*e]);
        end
      end

      always_ff @(posedge clk_i) begin
        if (!rst_ni) begin
          valid <= 1'b0;
        end else if (en) begin
          valid <= gen_level[level-1].valid;
        end
      end
      always_ff @(posedge clk_i) begin
        if (en) begin
          logits <= gen_level[level-1].logits;
          value  <= winner;
          index  <= winner_index;
        end
      end
    end
  end

  // Winner of the frame so far.
  localparam int unsigned TopIndex = (Levels > 0) ? Levels : 1;
  logic                  word_valid, frame_last, out_last_q;
  logic [Width-1:0]      word_best;
  logic [TopIndex-1:0]   word_index;
  logic [ClassWidth-1:0] class_d, class_q;
  logic                  better;
  logic [PE*Width-1:0]   logits_q;

  assign word_valid = gen_level[Levels].valid;
  assign word_best  = gen_level[Levels].value[0];
  assign word_index = gen_level[Levels].index[0];

  if (NF > 1) begin : gen_frame
    logic [ClassWidth-1:0] first_class_q;  // first class of the word
    logic [Width-1:0]      best_q;
    assign frame_last = first_class_q == ClassWidth'((NF - 1) * PE);
    assign better     = first_class_q == '0 || $signed(best_q) < $signed(word_best);
    assign class_d    = (PE > 1) ? first_class_q + ClassWidth'(word_index) : first_class_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        first_class_q <= '0;
      end else if (en && word_valid) begin
        first_class_q <= frame_last ? '0 : first_class_q + ClassWidth'(PE);
      end
    end
    always_ff @(posedge clk_i) begin
      if (en && word_valid && better) begin
        best_q <= word_best;
      end
    end
  end else begin : gen_word
    assign frame_last = 1'b1;
    assign better     = 1'b1;
    assign class_d    = ClassWidth'(word_index);
    logic unused;
    assign unused = ^word_best;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q <= 1'b0;
    end else if (en) begin
      out_valid_q <= word_valid;
    end
  end

  always_ff @(posedge clk_i) begin
    if (en && word_valid) begin
      logits_q   <= gen_level[Levels].logits;
      out_last_q <= frame_last;
      if (better) begin
        class_q <= class_d;
      end
    end
  end

  assign out_valid_o = out_valid_q;
  assign out_last_o  = out_last_q;
  assign out_data_o  = {class_q, logits_q};
endmodule
