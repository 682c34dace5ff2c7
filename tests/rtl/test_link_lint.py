"""The board tops lint without a warning and elaborate in Yosys, for every family, board and kind of stream."""

from pathlib import Path

import pytest

from flipflow.hw.board_top import board_top
from flipflow.hw.boards import load_board
from flipflow.hw.lint import verilator_lint, yosys_elaborate
from tests import link_accelerators as formats


def sources(form: formats.Format, name: str, clock_mhz: float, folder: Path) -> list[Path]:
    """Files of a board top and a stub of the accelerator, which the test's own one is too lax for."""
    top = board_top(form.describe(), load_board(name), clock_mhz, formats.IDENTITY, baud=1_000_000)
    files = {key: text for key, text in top.items() if key.endswith(".sv")}
    for key, text in (files | {"accelerator.sv": stub(form)}).items():
        (folder / key).write_text(text)
    return [folder / key for key in (*files, "accelerator.sv")]


def stub(form: formats.Format) -> str:
    """A module with an accelerator's ports whose outputs depend on all of its inputs."""
    ends = form.describe()
    width_in, width_out = ends["input"]["tdata_width"], ends["output"]["tdata_width"]
    return f"""
module accelerator (
  input  logic clk_i, input logic rst_ni,
  input  logic [{width_in - 1}:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,
  output logic [{width_out - 1}:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready,
  output logic m_axis_tlast, output logic [0:0] fifo_full_o, output logic [0:0] fifo_empty_o
);
  logic bit_q;
  always_ff @(posedge clk_i) bit_q <= rst_ni && ^s_axis_tdata && s_axis_tvalid && m_axis_tready;
  assign m_axis_tdata = {{{width_out}{{bit_q}}}};
  assign {{s_axis_tready, m_axis_tvalid, m_axis_tlast, fifo_full_o, fifo_empty_o}} = {{5{{bit_q}}}};
endmodule
"""


@pytest.mark.parametrize(
    ("form", "name", "clock_mhz"),
    [
        (formats.NARROW, "ulx3s-85f", 100.0),
        (formats.WIDE, "tang-nano-20k", 100.0),
        (formats.SINGLE_BITS, "ulx3s-25f", 25.0),  # the oscillator's own clock: no PLL
        pytest.param(formats.PIXELS, "orangecrab-85f", 120.0, marks=pytest.mark.slow),
        pytest.param(formats.NINE_BITS, "colorlight-i9", 60.0, marks=pytest.mark.slow),
        (formats.ONE_BEAT, "ulx3s-85f", 100.0),
    ],
    ids=["narrow", "wide", "single_bits", "pixels", "nine_bits", "one_beat"],
)
def test_lint_and_elaboration(form: formats.Format, name: str, clock_mhz: float, tmp_path: Path) -> None:
    files = sources(form, name, clock_mhz, tmp_path)
    assert any(path.name in {"EHXPLLL.sv", "rPLL.sv"} for path in files) == (clock_mhz != 25.0)
    verilator_lint(files, "board_top", {}, tmp_path)
    yosys_elaborate(files, "board_top", {}, tmp_path)
