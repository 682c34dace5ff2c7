"""`flipflow bitstream` as a stage of a run: what is skipped, what is redone, what is kept. The tools are stood in for."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flipflow.cli import bitstream as verb
from flipflow.errors import FlipflowError
from flipflow.hw.pnr import flow
from flipflow.hw.pnr.report import Utilisation
from flipflow.hw.synth import report

OPTIONS = verb.BitstreamOptions()
CLOCKS = {"clk": {"achieved_mhz": 90.0, "constraint_mhz": 80.0}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    (run / "rtl").mkdir(parents=True)
    for name in ("rtl/accelerator.sv", "accelerator.json", "folded.onnx", "integer.json", "integer.npz"):
        (run / name).write_text("{}")
    (run / "config.toml").write_text('[export]\nmodel = "none.onnx"\n')
    return run


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Boards that a bitstream was made for, by a stand-in of the tools."""
    boards: list[str] = []

    def make(run_dir: Path, workdir: Path, request: flow.Request, reporter: object) -> Any:
        workdir.mkdir(parents=True, exist_ok=True)
        boards.append(request.board.name)
        file = workdir / "accelerator.bit"
        file.write_text(f"{request.board.name} {len(boards)}")
        used = {key: {"used": 1, "available": 2} for key in ("lut", "ff", "bram", "dsp")}
        timing = {
            "board": request.board.name, "fmax_mhz": 90.0, "asked_mhz": request.clock_mhz, "met": request.clock_mhz <= 90.0,
            "critical": {"kernel": "fc0"}, "clocks": CLOCKS, "seed": 1, "utilisation": used, "bitstream": file.name,
        }  # fmt: skip
        return SimpleNamespace(
            file=file, timing=timing, netlist=None, routed=SimpleNamespace(utilisation=Utilisation(1, 1, 1, 1))
        )

    monkeypatch.setattr(flow, "make_bitstream", make)
    monkeypatch.setattr(report, "write_area", lambda run_dir, *_, **__: (run_dir / "area.json").write_text("{}"))
    return boards


def call(run: Path, board: str | None, clock: float | None = None, force: bool = False) -> dict[str, Any]:
    return verb.bitstream(run, verb.target_overrides(board, clock), OPTIONS, "rtl", force, True)


def test_the_same_again_is_skipped(run: Path, made: list[str]) -> None:
    assert not call(run, "ulx3s-85f", 80.0)["skipped"]
    assert call(run, None)["skipped"]  # board and clock are kept with the run
    assert made == ["ulx3s-85f"]
    assert not call(run, None, force=True)["skipped"]
    (run / "rtl" / "accelerator.sv").write_text("changed")
    assert not call(run, None)["skipped"]
    (run / "accelerator.bit").unlink()
    assert not call(run, None)["skipped"]
    assert (run / "accelerator.bit").read_text() == "ulx3s-85f 4"


def test_another_board_has_a_folder_of_its_own(run: Path, made: list[str]) -> None:
    call(run, "ulx3s-85f", 80.0)
    assert not call(run, "colorlight-i9")["skipped"]
    assert json.loads((run / "timing.json").read_text())["board"] == "colorlight-i9"
    assert (run / "bitstream" / "ulx3s-85f" / "accelerator.bit").is_file()


def test_a_clock_that_is_not_met_keeps_what_was_made(run: Path, made: list[str]) -> None:
    for _ in range(2):  # the second time skipped, and still not good
        with pytest.raises(FlipflowError, match="E374"):
            call(run, "ulx3s-85f", 100.0)
    assert made == ["ulx3s-85f"]
    assert (run / "accelerator.bit").is_file()


def test_a_failure_leaves_no_old_bitstream(run: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    call(run, "ulx3s-85f", 80.0)

    def fail(*_: object) -> None:
        raise FlipflowError("E377", "no routing.", "log", "Try again.")

    monkeypatch.setattr(flow, "make_bitstream", fail)
    (run / "accelerator.json").write_text('{"other": 1}')
    with pytest.raises(FlipflowError, match="E377"):
        call(run, None)
    assert not (run / "accelerator.bit").exists()
    assert not (run / "timing.json").exists()


@pytest.mark.parametrize(("missing", "verb_"), [("integer.npz", "export"), ("rtl", "build")])
def test_what_is_missing_names_its_stage(run: Path, made: list[str], missing: str, verb_: str) -> None:
    path = run / missing
    (path / "accelerator.sv").unlink() if path.is_dir() else None
    path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(FlipflowError, match=f"E452.*flipflow {verb_}"):
        call(run, "ulx3s-85f")


def test_options_that_do_not_go_together(run: Path) -> None:
    with pytest.raises(FlipflowError, match="E106"):
        call(run, None)
    for options, code in (
        (verb.BitstreamOptions(router="router9"), "E378"),
        (verb.BitstreamOptions(placer="hope"), "E378"),
    ):
        with pytest.raises(FlipflowError, match=code):
            verb.bitstream(run, verb.target_overrides("ulx3s-85f", None), options, "rtl", False, True)
    with pytest.raises(FlipflowError, match="E106"):
        verb.bitstream(run, verb.target_overrides("pynq-z1", None), verb.BitstreamOptions(seeds=3), "rtl", False, True)
