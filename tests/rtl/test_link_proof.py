"""A proof that the serial line carries every byte, and that one disturbed clock cycle does not matter to it."""

import subprocess
import sys
from pathlib import Path

import pytest

LINK = Path(__file__).parents[2] / "hw" / "rtl" / "link"
# Transmitter and receiver at 8 clocks a bit, the fewest. Any byte, and any cycle in which the line is inverted, once.
TOP = """
module loopback (
  input logic clk_i, input logic [7:0] byte_i, input logic [6:0] glitch_i, input logic glitches_i, output logic good_o
);
  logic [6:0] cycle_q, glitch_q;
  logic [7:0] byte_q, data;
  logic       glitches_q, sent_q, got_q, rst_n, line, ready, valid, error;
  assign rst_n = cycle_q > 7'd6;
  always_ff @(posedge clk_i) begin
    cycle_q <= cycle_q + 7'd1;
    if (cycle_q == 0) begin
      byte_q     <= byte_i;
      glitch_q   <= glitch_i;
      glitches_q <= glitches_i;
    end
    sent_q <= rst_n && (sent_q || ready);
    got_q  <= rst_n && (got_q || (valid && data == byte_q && !error));
  end
  uart_tx #(.ClocksPerBit(8)) u_tx (
    .clk_i, .rst_ni(rst_n), .valid_i(rst_n && !sent_q), .ready_o(ready), .data_i(byte_q), .tx_o(line)
  );
  uart_rx #(.ClocksPerBit(8)) u_rx (
    .clk_i, .rst_ni(rst_n), .rx_i(line ^ (WIDE_GLITCH)), .valid_o(valid), .data_o(data), .error_o(error)
  );
  assign good_o = got_q;
endmodule
"""
YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""
ARRIVED = 100  # cycles by which the byte must be there: reset, 80 of the byte, and the receiver's own


def prove(disturbance: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Whether Yosys' SAT solver proves that the byte arrives, for all bytes and times of the disturbance."""
    (folder / "loopback.sv").write_text(TOP.replace("WIDE_GLITCH", disturbance))
    commands = [
        f"read_slang --top loopback loopback.sv {LINK}/uart_rx.sv {LINK}/uart_tx.sv",
        *("hierarchy -top loopback", "proc", "flatten", "opt -full"),
        f"sat -verify -set-init cycle_q 0 -seq {ARRIVED} -prove-skip {ARRIVED - 1} -prove good_o 1 loopback",
    ]
    command = [sys.executable, "-c", YOSYS, *commands]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_byte_arrives_whatever_cycle_is_disturbed(tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    done = prove("glitches_q && cycle_q == glitch_q", tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "SUCCESS" in done.stdout


def test_the_proof_can_fail(tmp_path: Path) -> None:
    """Four disturbed cycles in a row are half a bit: no majority saves that."""
    pytest.importorskip("pyosys")
    assert prove("glitches_q && cycle_q[6:2] == glitch_q[6:2]", tmp_path).returncode != 0
