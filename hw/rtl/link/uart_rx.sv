// Receiver of an asynchronous serial line (8 data bits, no parity, 1 stop bit, low bit first).
//
// Function: two flip-flops bring the line into the clock domain; every decision takes the majority of three samples a clock
//   apart, so that a glitch of one clock does nothing. A start bit that is not low in its middle is none. Bits are sampled in
//   their middle, counted from the falling edge of the start bit.
// A stop bit that is low gives error_o instead of valid_o; then the line must be high before the next start bit.
// Latency: valid_o comes in the middle of the stop bit, so that the next start bit may come half a bit early.
// Encoding: the line rests high.
module uart_rx #(
  parameter int unsigned ClocksPerBit = 100  // clock rate / baud rate, >= 8
) (
  input  logic       clk_i,
  input  logic       rst_ni,   // synchronous, active low
  input  logic       rx_i,     // the pin
  output logic       valid_o,  // one cycle: data_o is a byte
  output logic [7:0] data_o,
  output logic       error_o   // one cycle: a byte came without its stop bit
);
  localparam int unsigned CountWidth = $clog2(ClocksPerBit);
  localparam int unsigned LastBit    = 9;  // start bit 0, data bits 1..8, stop bit 9
  // When the count begins, the middle one of the three samples is one clock after the falling edge.
  localparam int unsigned FirstCount = ClocksPerBit / 2 - 1;

  if (ClocksPerBit < 8) begin : gen_check_rate
    $error("uart_rx: ClocksPerBit must be at least 8");
  end

  logic [4:0]            line_q;  // youngest sample in bit 0; bit 0 may be metastable
  logic                  level, level_q;
  logic                  busy_q, valid_q, error_q;
  logic [CountWidth-1:0] count_q;
  logic [3:0]            bit_q;
  logic [7:0]            data_q;

  assign level   = (line_q[2] && line_q[3]) || (line_q[3] && line_q[4]) || (line_q[2] && line_q[4]);
  assign valid_o = valid_q;
  assign error_o = error_q;
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    line_q <= {line_q[3:0], rx_i};
    if (!rst_ni) begin
      line_q  <= '1;
      level_q <= 1'b1;
      busy_q  <= 1'b0;
      valid_q <= 1'b0;
      error_q <= 1'b0;
    end else begin
      level_q <= level;
      valid_q <= 1'b0;
      error_q <= 1'b0;
      if (!busy_q) begin
        busy_q  <= level_q && !level;
        count_q <= CountWidth'(FirstCount);
        bit_q   <= '0;
      end else if (count_q != '0) begin
        count_q <= count_q - CountWidth'(1);
      end else begin
        count_q <= CountWidth'(ClocksPerBit - 1);
        bit_q   <= bit_q + 4'd1;
        if (bit_q == '0) begin
          busy_q <= !level;
        end else if (bit_q == 4'(LastBit)) begin
          busy_q  <= 1'b0;
          valid_q <= level;
          error_q <= !level;
        end else begin
          data_q <= {level, data_q[7:1]};
        end
      end
    end
  end
endmodule
