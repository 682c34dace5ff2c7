// Index of the largest logit of a frame, sent along with the logits.
//
// Function: a frame is NF words of PE logits, class nf*PE+pe in element pe of word nf. Every word is passed on together with
//   the index of the largest logit seen so far in the frame; in the last word of the frame, marked by out_last_o, that is
//   the frame's class. On a tie the lowest index wins.
// Latency: 1. Initiation interval: 1 word a cycle.
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
  if (PE < 1 || NF < 1 || Width < 1) begin : gen_check_size
    $error("argmax: PE, NF and Width must be at least 1");
  end

  // First class of the current word, and whether it starts or ends a frame.
  logic [ClassWidth-1:0] first_class_q;
  logic                  frame_first, frame_last, en, fire, out_valid_q, out_last_q;
  logic [PE*Width-1:0]   logits_q;

  assign en          = out_ready_i || !out_valid_q;
  assign fire        = en && in_valid_i;
  assign in_ready_o  = en;
  assign frame_first = first_class_q == '0;
  assign frame_last  = first_class_q == ClassWidth'((NF - 1) * PE);

  // Winner of the word: a tree of comparisons; the left entry has the lower classes and keeps ties.
  localparam int unsigned Levels = (PE > 1) ? $clog2(PE) : 0;
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    localparam int unsigned Entries = (PE + (1 << level) - 1) >> level;
    logic [Entries-1:0][Width-1:0]      value;
    logic [Entries-1:0][ClassWidth-1:0] index;  // within the word
    for (genvar e = 0; e < Entries; e++) begin : gen_entry
      if (level == 0) begin : gen_leaf
        assign value[e] = in_data_i[e*Width+:Width];
        assign index[e] = ClassWidth'(e);
      end else if (((2 * e + 1) << level) < 2 * PE) begin : gen_node  // the level below has an entry 2e + 1
        logic right;
        assign right    = $signed(gen_level[level-1].value[2*e+1]) > $signed(gen_level[level-1].value[2*e]);
        assign value[e] = right ? gen_level[level-1].value[2*e+1] : gen_level[level-1].value[2*e];
        assign index[e] = right ? gen_level[level-1].index[2*e+1] : gen_level[level-1].index[2*e];
      end else begin : gen_pass
        assign value[e] = gen_level[level-1].value[2*e];
        assign index[e] = gen_level[level-1].index[2*e];
      end
    end
  end

  // Winner of the frame so far.
  logic [Width-1:0]      word_best, best_q;
  logic [ClassWidth-1:0] word_class, class_q;
  logic                  better;

  assign word_best  = gen_level[Levels].value[0];
  assign word_class = first_class_q + gen_level[Levels].index[0];
  assign better     = frame_first || $signed(word_best) > $signed(best_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      first_class_q <= '0;
      out_valid_q   <= 1'b0;
    end else if (en) begin
      out_valid_q <= in_valid_i;
      if (in_valid_i) begin
        first_class_q <= frame_last ? '0 : first_class_q + ClassWidth'(PE);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (fire) begin
      logits_q   <= in_data_i;
      out_last_q <= frame_last;
      if (better) begin
        best_q  <= word_best;
        class_q <= word_class;
      end
    end
  end

  assign out_valid_o = out_valid_q;
  assign out_last_o  = out_last_q;
  assign out_data_o  = {class_q, logits_q};
endmodule
