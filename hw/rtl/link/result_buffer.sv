// Collects the accelerator's answers and hands them on byte by byte, each with its sequence number and two time stamps.
//
// Function: knows of every image in flight its sequence number (image_i) and the cycle in which its first beat went into the
//   accelerator (begin_i). Of each answer it keeps ResultBytes bytes: the beats (ceil(Width / 8) bytes a beat, low one first),
//   the cycle of the first beat in and that of the last beat out (4 bytes each, low one first). Cycles count from reset on and
//   wrap.
// A beat is taken with its last byte, so beats may come every ceil(Width / 8) cycles, and answers 8 cycles apart, without
//   holding the accelerator up. The cycle of the last beat out is the one in which a sink that is always ready had taken it.
// At most Slots images are in flight (committed, answer not yet fetched); whoever commits images makes sure of it.
// Latency: 2 from next_i to the next byte on byte_o. byte_o and sequence_o are valid while answer_o.
module result_buffer #(
  parameter  int unsigned Width       = 8,  // bits a beat
  parameter  int unsigned Beats       = 1,  // beats an answer
  parameter  int unsigned Slots       = 2,  // images in flight at most, a power of two >= 2
  localparam int unsigned BeatBytes   = (Width + 7) / 8,
  localparam int unsigned ResultBytes = Beats * BeatBytes + 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,      // synchronous, active low
  input  logic             image_i,     // one cycle: an image is committed
  input  logic [7:0]       sequence_i,  // its sequence number
  input  logic             begin_i,     // one cycle: the accelerator takes an image's first beat
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [Width-1:0] in_data_i,
  input  logic             in_last_i,   // last beat of an answer
  output logic             busy_o,      // images are in flight
  output logic             full_o,      // Slots of them
  output logic             answer_o,    // a whole answer is here
  output logic [7:0]       sequence_o,  // its image's sequence number
  output logic [7:0]       byte_o,      // its next byte
  input  logic             next_i,      // one cycle: on to the next byte
  input  logic             done_i       // one cycle: the answer has been fetched to its end
);
  localparam int unsigned Depth        = Slots * ResultBytes;
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int unsigned SlotWidth    = $clog2(Slots);
  localparam int unsigned FrameWidth   = $clog2(Slots + 1);
  localparam int unsigned IndexWidth   = $clog2((BeatBytes > 8) ? BeatBytes : 8);

  if (Width < 1 || Beats < 1 || Slots < 2 || (Slots & (Slots - 1)) != 0) begin : gen_check_size
    $error("result_buffer: Width and Beats must be at least 1, Slots a power of two of at least 2");
  end

  logic [31:0]             cycle_q, end_q;
  // What is read counts only once it has been written (answer_o).
  (* no_rw_check *)
  logic [7:0]              mem_q [Depth];
  logic [7:0]              sequences_q [Slots];
  logic [31:0]             begins_q [Slots];
  logic [SlotWidth-1:0]    image_q, begin_q, answer_q, fetch_q;  // slot of the next image, first beat, answer, answer to fetch
  logic [FrameWidth-1:0]   flight_q, ready_q;                    // images in flight; whole answers
  logic [IndexWidth-1:0]   index_q;                              // byte of the beat or of the time stamps
  logic [AddressWidth-1:0] write_q, read_q;
  logic                    stamping_q, waiting_q, write, beat_done, answer_done;
  logic [7:0]              data, read_data_q;
  logic [8*BeatBytes-1:0]  beat;
  logic [63:0]             stamps;

  assign beat        = (8 * BeatBytes)'(in_data_i);
  assign stamps      = {end_q, begins_q[answer_q]};
  assign beat_done   = !stamping_q && in_valid_i && index_q == IndexWidth'(BeatBytes - 1);
  assign answer_done = stamping_q && index_q == IndexWidth'(7);
  assign in_ready_o  = beat_done;
  assign write       = stamping_q || in_valid_i;
  assign data        = stamping_q ? stamps[8*index_q[2:0]+:8] : beat[8*index_q+:8];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      cycle_q    <= '0;
      stamping_q <= 1'b0;
      waiting_q  <= 1'b1;
      index_q    <= '0;
      write_q    <= '0;
    end else begin
      cycle_q <= cycle_q + 32'd1;
      if (write) begin
        index_q <= (beat_done || answer_done) ? '0 : index_q + IndexWidth'(1);
        write_q <= (write_q == AddressWidth'(Depth - 1)) ? '0 : write_q + AddressWidth'(1);
      end
      if (waiting_q && in_valid_i && !stamping_q) begin
        end_q <= cycle_q;
      end
      waiting_q <= beat_done || answer_done || (waiting_q && !write);
      if (beat_done) begin
        stamping_q <= in_last_i;
      end else if (answer_done) begin
        stamping_q <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (write) begin
      mem_q[write_q] <= data;
    end
    read_data_q <= mem_q[read_q];
  end

  always_ff @(posedge clk_i) begin
    if (image_i) begin
      sequences_q[image_q] <= sequence_i;
    end
    if (begin_i) begin
      begins_q[begin_q] <= cycle_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      image_q  <= '0;
      begin_q  <= '0;
      answer_q <= '0;
      fetch_q  <= '0;
      flight_q <= '0;
      ready_q  <= '0;
      read_q   <= '0;
    end else begin
      image_q  <= image_q + SlotWidth'(image_i);
      begin_q  <= begin_q + SlotWidth'(begin_i);
      answer_q <= answer_q + SlotWidth'(answer_done);
      fetch_q  <= fetch_q + SlotWidth'(done_i);
      flight_q <= flight_q + FrameWidth'(image_i) - FrameWidth'(done_i);
      ready_q  <= ready_q + FrameWidth'(answer_done) - FrameWidth'(done_i);
      if (next_i) begin
        read_q <= (read_q == AddressWidth'(Depth - 1)) ? '0 : read_q + AddressWidth'(1);
      end
    end
  end

  assign busy_o     = flight_q != '0;
  assign full_o     = flight_q == FrameWidth'(Slots);
  assign answer_o   = ready_q != '0;
  assign sequence_o = sequences_q[fetch_q];
  assign byte_o     = read_data_q;
endmodule
