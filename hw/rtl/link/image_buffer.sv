// Holds images until they are known to be good, then feeds them to the accelerator.
//
// Function: bytes are collected into beats and written to a slot of the memory. commit_i hands the slot over; rewind_i begins
//   the slot anew. Committed images leave beat after beat, so the accelerator never sees a part of a bad one. Whoever commits
//   makes sure that no more than Slots images are in flight (committed, and their results not yet fetched).
// Latency: 3 from commit_i to out_valid_o. Initiation interval: 1 beat a cycle out; a byte every eighth cycle in.
// Encoding: a beat of Width >= 8 bits comes in ceil(Width / 8) bytes, low one first, unused high bits ignored; of narrower
//   beats a byte holds floor(8 / Width), the first one in the low bits.
module image_buffer #(
  parameter  int unsigned Width        = 8,  // bits a beat
  parameter  int unsigned Beats        = 1,  // beats an image
  parameter  int unsigned Slots        = 2,  // images held at most, a power of two >= 2
  localparam int unsigned BeatsPerByte = (Width >= 8) ? 1 : 8 / Width,
  localparam int unsigned BytesPerBeat = (Width + 7) / 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,        // synchronous, active low
  input  logic             byte_valid_i,
  input  logic [7:0]       byte_i,
  input  logic             rewind_i,
  input  logic             commit_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o,
  output logic             out_first_o    // first beat of an image
);
  localparam int unsigned Depth        = Slots * Beats;
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int unsigned BeatWidth    = (Beats > 1) ? $clog2(Beats) : 1;
  localparam int unsigned SlotWidth    = $clog2(Slots);
  localparam int unsigned FrameWidth   = $clog2(Slots + 1);
  localparam int unsigned PartWidth    = (BytesPerBeat > 1) ? $clog2(BytesPerBeat) : 1;

  if (Width < 1 || Beats < 1 || Slots < 2 || (Slots & (Slots - 1)) != 0) begin : gen_check_size
    $error("image_buffer: Width and Beats must be at least 1, Slots a power of two of at least 2");
  end

  // A slot is never read while it is written.
  (* no_rw_check *)
  logic [Width-1:0]        mem_q [Depth];
  logic                    write;
  logic [Width-1:0]        write_data;
  logic [AddressWidth-1:0] base_q, write_q, read_q;
  logic [SlotWidth-1:0]    write_slot_q;
  logic [FrameWidth-1:0]   frames_q;  // committed and not yet read to the end
  logic [BeatWidth-1:0]    beat_q;    // to be read next
  logic                    fetch, move, last;
  logic                    read_valid_q, read_first_q, valid_q, first_q;
  logic [Width-1:0]        read_data_q, data_q;

  // --- in ---
  if (Width >= 8) begin : gen_wide
    localparam int unsigned ShiftWidth = 8 * BytesPerBeat;
    logic [ShiftWidth-1:0] shift_q;
    logic [PartWidth-1:0]  part_q;
    logic                  write_q_wide;
    always_ff @(posedge clk_i) begin
      write_q_wide <= 1'b0;
      if (!rst_ni || rewind_i) begin
        part_q <= '0;
      end else if (byte_valid_i) begin
        write_q_wide <= part_q == PartWidth'(BytesPerBeat - 1);
        part_q       <= (part_q == PartWidth'(BytesPerBeat - 1)) ? '0 : part_q + PartWidth'(1);
      end
      if (byte_valid_i) begin
        shift_q <= ShiftWidth'({byte_i, shift_q} >> 8);
      end
    end
    assign write      = write_q_wide;
    assign write_data = shift_q[Width-1:0];
    if (ShiftWidth > Width) begin : gen_unused
      logic unused;
      assign unused = &{1'b0, shift_q[ShiftWidth-1:Width]};
    end
  end else begin : gen_narrow
    localparam int unsigned LeftWidth = $clog2(BeatsPerByte + 1);
    localparam int unsigned DoneWidth = $clog2(Beats + 1);
    logic [7:0]           shift_q;
    logic [LeftWidth-1:0] left_q;  // beats of the byte still to be written
    logic [DoneWidth-1:0] done_q;  // beats of the image; the last byte may hold fewer than others
    assign write      = left_q != '0 && done_q != DoneWidth'(Beats);
    assign write_data = shift_q[Width-1:0];
    always_ff @(posedge clk_i) begin
      if (byte_valid_i) begin
        shift_q <= byte_i;
      end else begin
        shift_q <= shift_q >> Width;
      end
      if (!rst_ni || rewind_i) begin
        left_q <= '0;
        done_q <= '0;
      end else begin
        if (byte_valid_i) begin
          left_q <= LeftWidth'(BeatsPerByte);
        end else if (left_q != '0) begin
          left_q <= left_q - LeftWidth'(1);
        end
        if (write) begin
          done_q <= done_q + DoneWidth'(1);
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      base_q       <= '0;
      write_q      <= '0;
      write_slot_q <= '0;
    end else if (commit_i) begin
      base_q       <= (write_slot_q == SlotWidth'(Slots - 1)) ? '0 : base_q + AddressWidth'(Beats);
      write_slot_q <= write_slot_q + SlotWidth'(1);
    end else if (rewind_i) begin
      write_q <= base_q;
    end else if (write) begin
      write_q <= write_q + AddressWidth'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (write) begin
      mem_q[write_q] <= write_data;
    end
  end

  // --- out ---
  // Two steps, as a block RAM's own output is late in its cycle.
  assign move  = read_valid_q && (!valid_q || out_ready_i);
  assign fetch = frames_q != '0 && (!read_valid_q || move);
  assign last  = beat_q == BeatWidth'(Beats - 1);

  always_ff @(posedge clk_i) begin
    if (fetch) begin
      read_data_q <= mem_q[read_q];
    end
    if (move) begin
      data_q <= read_data_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      frames_q     <= '0;
      read_q       <= '0;
      beat_q       <= '0;
      read_valid_q <= 1'b0;
      valid_q      <= 1'b0;
    end else begin
      frames_q     <= frames_q + FrameWidth'(commit_i) - FrameWidth'(fetch && last);
      read_valid_q <= fetch || (read_valid_q && !move);
      valid_q      <= move || (valid_q && !out_ready_i);
      if (move) begin
        first_q <= read_first_q;
      end
      if (fetch) begin
        read_first_q <= beat_q == '0;
        beat_q       <= last ? '0 : beat_q + BeatWidth'(1);
        read_q       <= (read_q == AddressWidth'(Depth - 1)) ? '0 : read_q + AddressWidth'(1);
      end
    end
  end

  assign out_valid_o = valid_q;
  assign out_data_o  = data_q;
  assign out_first_o = first_q;
endmodule
