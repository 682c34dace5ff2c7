// Reset of a board: active until the clock is stable and the button is released, and for a while after.
//
// Function: brings both conditions into the clock domain (two flip-flops each), then counts HoldCycles in which both hold.
// Latency: HoldCycles + 3 from the last bad cycle to rst_no = 1. rst_no comes from a register.
module reset_control #(
  parameter int unsigned HoldCycles = 255
) (
  input  logic clk_i,
  input  logic locked_i,   // asynchronous: the clock is stable
  input  logic request_i,  // asynchronous: reset is asked for
  output logic rst_no      // synchronous, active low
);
  localparam int unsigned CountWidth = $clog2(HoldCycles + 1);

  // No reset reaches these; they start in reset where the configuration sets registers to 0, and count through it anyway.
  logic [1:0]            locked_q, request_q;
  logic [CountWidth-1:0] count_q;
  logic                  rst_nq;

  assign rst_no = rst_nq;

  always_ff @(posedge clk_i) begin
    locked_q  <= {locked_q[0], locked_i};
    request_q <= {request_q[0], request_i};
    if (!locked_q[1] || request_q[1]) begin
      count_q <= '0;
    end else if (count_q != CountWidth'(HoldCycles)) begin
      count_q <= count_q + CountWidth'(1);
    end
    rst_nq <= locked_q[1] && !request_q[1] && count_q == CountWidth'(HoldCycles);
  end
endmodule
