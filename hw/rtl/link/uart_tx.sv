// Transmitter of an asynchronous serial line (8 data bits, no parity, 1 stop bit, low bit first).
//
// Function: sends the bytes it is given, without a pause where the next one is offered in time.
// Latency: the start bit begins in the cycle after a byte is taken. Initiation interval: 10 * ClocksPerBit.
// Encoding: the line rests high. tx_o comes from a register, so the pin has no glitches.
module uart_tx #(
  parameter int unsigned ClocksPerBit = 100  // clock rate / baud rate, >= 2
) (
  input  logic       clk_i,
  input  logic       rst_ni,   // synchronous, active low
  input  logic       valid_i,
  output logic       ready_o,
  input  logic [7:0] data_i,
  output logic       tx_o      // the pin
);
  localparam int unsigned CountWidth = $clog2(ClocksPerBit);

  if (ClocksPerBit < 2) begin : gen_check_rate
    $error("uart_tx: ClocksPerBit must be at least 2");
  end

  logic [CountWidth-1:0] count_q;
  logic [3:0]            left_q;   // bits to send, the current one included
  logic [8:0]            shift_q;  // the current bit is bit 0

  assign ready_o = left_q == '0;
  assign tx_o    = shift_q[0];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q  <= '0;
      shift_q <= '1;
    end else if (ready_o) begin
      count_q <= CountWidth'(ClocksPerBit - 1);
      if (valid_i) begin
        shift_q <= {data_i, 1'b0};
        left_q  <= 4'd10;
      end
    end else if (count_q != '0) begin
      count_q <= count_q - CountWidth'(1);
    end else begin
      count_q <= CountWidth'(ClocksPerBit - 1);
      shift_q <= {1'b1, shift_q[8:1]};
      left_q  <= left_q - 4'd1;
    end
  end
endmodule
