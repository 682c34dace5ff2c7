"""Whole boards in simulation, at their pins: every stream format, both families' clocks, lines of other rates, damage."""

from pathlib import Path

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.host import Accelerator
from flipflow.sim.board import Line, SimulatedBoard
from tests import link_accelerators as formats
from tests.board_bench import BAUD, SECONDS, simulated_board

slow = pytest.mark.slow


def check_images(board: SimulatedBoard, form: formats.Format, run: Path, count: int) -> Accelerator:
    """Logits, classes and latencies of `count` images."""
    images = form.images(count, seed=count)
    logits = form.logits(images)
    with board, Accelerator.open(board.port, run, timeout=SECONDS) as fpga:
        answers = fpga.infer_integers(images)
        counters = fpga.counters()
    np.testing.assert_array_equal(answers.logits, logits)
    np.testing.assert_array_equal(answers.classes, logits.argmax(axis=1))
    assert counters.answers >= count
    return fpga


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (formats.NARROW, "ulx3s-85f"),
        pytest.param(formats.WIDE, "tang-nano-20k", marks=slow),
        pytest.param(formats.SINGLE_BITS, "ulx3s-85f", marks=slow),
        pytest.param(formats.PIXELS, "orangecrab-85f", marks=slow),
        pytest.param(formats.NINE_BITS, "colorlight-i9", marks=slow),
        pytest.param(formats.ONE_BEAT, "ulx3s-25f", marks=slow),
    ],
    ids=["narrow", "wide", "single_bits", "pixels", "nine_bits", "one_beat"],
)
def test_every_format_and_board(form: formats.Format, name: str, tmp_path: Path) -> None:
    """An undisturbed line: nothing is sent twice. The Tang Nano's PLL makes 100.286 MHz: its bits are a little shorter."""
    board = simulated_board(form, tmp_path, name)
    fpga = check_images(board, form, tmp_path, 40)
    assert fpga.statistics.troubles - fpga.statistics.silences == 0
    assert fpga.device.clock_khz == (100_286 if name == "tang-nano-20k" else 100_000)


@pytest.mark.parametrize("mismatch", [-0.02, 0.02])
def test_a_line_two_per_cent_off(mismatch: float, tmp_path: Path) -> None:
    """At 8 clocks a bit, the fewest, so the sampling point is as coarse as it gets."""
    board = simulated_board(formats.NARROW, tmp_path, line=Line(BAUD * (1 + mismatch)))
    fpga = check_images(board, formats.NARROW, tmp_path, 60)
    assert fpga.statistics.troubles - fpga.statistics.silences == 0
    assert board.traffic is not None and board.traffic.breaks == 0


@pytest.mark.parametrize(("fault_in", "fault_out", "seed"), [(0.01, 0.0, 1), (0.0, 0.01, 2), (0.01, 0.01, 3)])
def test_random_damage_both_ways(fault_in: float, fault_out: float, seed: int, tmp_path: Path) -> None:
    """Bytes dropped, doubled and flipped (start and stop bits too): every answer is right all the same."""
    board = simulated_board(formats.NARROW, tmp_path, line=Line(BAUD, fault_in, fault_out, seed))
    fpga = check_images(board, formats.NARROW, tmp_path, 60)
    traffic = board.traffic
    assert traffic is not None
    assert min(traffic.faults_in) > 0 if fault_in else sum(traffic.faults_in) == 0
    assert min(traffic.faults_out) > 0 if fault_out else sum(traffic.faults_out) == 0
    assert fpga.statistics.resent > 0


def test_the_latency_is_the_accelerators(tmp_path: Path) -> None:
    """From the first beat in to the last beat out: 11 beats in, one cycle, 3 beats out; the link's share is not in it.

    The link takes 6 cycles for each beat of 41 bits, so the last beat is offered 12 cycles after the first.
    """
    board = simulated_board(formats.NARROW, tmp_path)
    with board, Accelerator.open(board.port, tmp_path, timeout=SECONDS) as fpga:
        answers = fpga.infer_integers(formats.NARROW.images(5, seed=9))
    assert answers.latency.tolist() == [11 + 12] * 5
    assert answers.interval[0] == -1


def test_the_wrong_network_and_the_wrong_build(tmp_path: Path) -> None:
    board = simulated_board(formats.NARROW, tmp_path / "right")
    other, rebuilt = formats.NARROW.run_dir(tmp_path / "other"), formats.WIDE.run_dir(tmp_path / "rebuilt")
    (other / "integer.npz").write_bytes(b"another")
    with board:
        with pytest.raises(FlipflowError, match="E385") as caught:
            Accelerator.open(board.port, other, timeout=SECONDS)
        assert caught.value.exit_code == 2
        with pytest.raises(FlipflowError, match=r"E386 .*1 elements a beat.*says 196 .*49 and 10"):
            Accelerator.open(board.port, rebuilt, timeout=SECONDS)
        Accelerator.open(board.port, tmp_path / "right" / "accelerator.json", timeout=SECONDS).close()
