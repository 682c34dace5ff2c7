"""From training to the serial line: `flipflow host` against a simulated board that holds the run's own accelerator."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flipflow.hw.board_top import board_top
from flipflow.hw.boards import load_board
from flipflow.hw.host.network import network_identity
from flipflow.sim.board import Line, SimulatedBoard, build_board

pytestmark = pytest.mark.slow  # trains, exports, builds an accelerator and a simulator

SMALL = """
[model]
network = "cnn"
layers = [{channels = 8, pool = 2}, {channels = 8}]
first_weight_bits = 4

[data]
dataset = "digits"

[train]
epochs = 2
threads = 1

[fold]
cycles = 1200
"""
BAUD = 12_500_000


def flipflow(*words: str, cwd: Path, check: int = 0) -> tuple[str, str]:
    """stdout and stderr of a command whose exit code must be `check`."""
    done = subprocess.run(
        [sys.executable, "-m", "flipflow", *words], cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small network on digits, built."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "small.toml").write_text(SMALL)
    flipflow("train", "small.toml", cwd=folder)
    for verb in ("export", "build"):
        flipflow(verb, "runs/small", cwd=folder)
    return folder / "runs" / "small"


def board_of(run: Path, line: Line) -> SimulatedBoard:
    """An ULX3S with the run's accelerator."""
    board = load_board("ulx3s-85f")
    accel = json.loads((run / "accelerator.json").read_text())
    top = board_top(accel, board, 100.0, network_identity(run), baud=BAUD, silence_cycles=20_000)
    binary = build_board(top, sorted((run / "rtl").glob("*.sv")), button=True)
    return SimulatedBoard(binary, run / "rtl", board.clock_mhz, line)


@pytest.mark.parametrize("damage", [0.0, 0.003])
def test_the_reference_over_the_line(run: Path, damage: float) -> None:
    predicted = json.loads((run / "accelerator.json").read_text())["predicted"]
    with board_of(run, Line(BAUD, damage, damage, seed=4)) as board:
        words = ("host", str(run), "--port", board.port, "--samples", "48", "--timeout", "3", "--json")
        out, _ = flipflow(*words, cwd=run)
    result = json.loads(out)
    assert (result["images"], result["mismatches"], result["host"]["answered"]) == (48, 0, 48)
    assert result["latency_cycles"] == [predicted["latency"]]
    assert board.traffic is not None
    if damage:
        assert sum(board.traffic.faults_in) > 0 and sum(board.traffic.faults_out) > 0
        assert result["host"]["resent"] > 0
    else:
        assert result["host"]["damaged"] == 0
        assert not any(result["host"]["reported"].values())


def test_refusals_are_told_in_words(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("accelerator.json", "integer.json", "integer.npz", "config.toml"):
        (other / name).write_bytes((run / name).read_bytes())
    (other / "integer.npz").write_bytes(b"another network")
    with board_of(run, Line(BAUD)) as board:
        _, message = flipflow("host", str(other), "--port", board.port, cwd=run, check=2)
        assert "E385" in message and network_identity(run).hex()[:16] in message
    _, message = flipflow("host", str(run), "--port", "/dev/no-such-port", cwd=run, check=2)
    assert "E383" in message
