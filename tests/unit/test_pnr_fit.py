"""The fold that is proposed where a network does not fit: it fits, and one of twice the speed does not."""

from pathlib import Path

import pytest
from hw_graphs import Net

from flipflow.errors import FlipflowError
from flipflow.hw.boards import PARTS, Board, Part, load_board
from flipflow.hw.build import build
from flipflow.hw.convert import convert
from flipflow.hw.folding import FoldRequest, fold
from flipflow.hw.graph import kernels_of, load_model
from flipflow.hw.pnr import fit
from flipflow.hw.stitch import stitch

FAST = 8


@pytest.fixture
def run(tmp_path: Path) -> Path:
    net = Net([128], "BIPOLAR", 5).linear(64).levels("BIPOLAR").linear(64).levels("BIPOLAR").linear(10)
    net.model().save(str(tmp_path / "streamlined.onnx"))
    build(tmp_path / "streamlined.onnx", tmp_path, FoldRequest(cycles=FAST))
    return tmp_path


def built(run: Path) -> dict[str, int]:
    """LUTs and block RAMs of the fast fold, as built."""
    ops = kernels_of(load_model(run / "folded.onnx"))
    return {key: sum(getattr(op, f"{key}_estimation")("") for op in ops) for key in ("lut", "bram")}


def estimates(run: Path, cycles: int) -> dict[str, int]:
    """LUTs and block RAMs of a fold's kernels, FIFOs at their first depths."""
    model = convert(load_model(run / "streamlined.onnx"))
    fold(model, FoldRequest(cycles=cycles))
    ops = kernels_of(stitch(model))
    return {key: sum(getattr(op, f"{key}_estimation")("") for op in ops) for key in ("lut", "bram")}


def board_with(monkeypatch: pytest.MonkeyPatch, part: Part) -> Board:
    monkeypatch.setitem(PARTS, "LFE5U-25F", part)
    return load_board("ulx3s-25f")


def test_the_fastest_fold_that_fits(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, wanted = built(run), estimates(run, 64)
    part = Part(lut=int(wanted["lut"] / 0.92) + 1, ff=10**6, bram=max(wanted["bram"], fast["bram"]), dsp=9)
    cycles = fit.fitting_cycles(run, part, "ecp5", fast)
    assert cycles is not None
    assert fit.fits(part, estimates(run, cycles))
    assert not fit.fits(part, estimates(run, cycles // 2))
    with pytest.raises(FlipflowError) as caught:
        fit.require_fit(board_with(monkeypatch, part), fast, run, measured=True)
    assert caught.value.code == "E373"
    assert f"--cycles {cycles}`" in caught.value.fix


def test_no_fold_fits_a_part_without_luts(run: Path) -> None:
    assert fit.fitting_cycles(run, Part(10, 10, 0, 0), "ecp5", built(run)) is None


def test_more_than_estimated_scales_the_estimates(run: Path) -> None:
    """Where synthesis takes twice what was estimated, the fold proposed must fit twice its estimate."""
    fast = built(run)
    part = Part(lut=fast["lut"], ff=10**6, bram=10**3, dsp=9)
    cycles = fit.fitting_cycles(run, part, "ecp5", {"lut": 2 * fast["lut"], "bram": fast["bram"]})
    assert cycles is not None
    assert 2 * estimates(run, cycles)["lut"] <= 0.92 * part.lut


def test_a_run_without_its_graph_gets_no_fold(tmp_path: Path) -> None:
    assert fit.fitting_cycles(tmp_path, Part(1, 1, 1, 1), "ecp5", {"lut": 5}) is None
