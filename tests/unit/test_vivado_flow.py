"""What becomes of a run where Vivado is missing, works, dies, or finds the accelerator too large or too slow."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hw_graphs import Net

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards.find import board_names, find_board, flow_of
from flipflow.hw.build import build
from flipflow.hw.folding import FoldRequest
from flipflow.hw.graph import kernels_of, load_model
from flipflow.hw.vivado import bitstream
from flipflow.hw.vivado.board import load_vivado_board
from flipflow.hw.vivado.geometry import geometry, word_bits
from flipflow.hw.vivado.reports import accelerator_usage, read_timing, read_usage
from flipflow.hw.vivado.tool import milestone, run_script
from tests.unit.test_vivado_scripts import INSTALLED, MOCK, interpreter
from tests.unit.vivado_runs import write_run


class Reporter:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.notes: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, task: str, done: float, total: float, note: str = "") -> None:
        assert task == "vivado" and 0 <= done <= total
        self.notes.append(note)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """folded.onnx of a network of one layer."""
    folder = tmp_path_factory.mktemp("folded")
    Net([6], "UINT8", 1).linear(3, "INT3").model().save(str(folder / "streamlined.onnx"))
    build(folder / "streamlined.onnx", folder, FoldRequest())
    return (folder / "folded.onnx").read_bytes()


@pytest.fixture
def run(tmp_path: Path, folded: bytes) -> Path:
    place = write_run(tmp_path / "run")
    (place / "folded.onnx").write_bytes(folded)
    return place


def install_vivado(folder: Path, monkeypatch: pytest.MonkeyPatch, reports: Path = MOCK, script: str = "") -> None:
    """Put a `vivado` on PATH: the mock, or a shell script."""
    tool = folder / "bin" / "vivado"
    tool.parent.mkdir()
    command = " ".join(shlex.quote(word) for word in [*interpreter(), str(MOCK / "mock.tcl")])
    body = script or f'for last; do :; done\necho "Starting Placer Task"\nexec {command} "$last"'
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MOCK_BOARDS", INSTALLED)
    monkeypatch.setenv("MOCK_REPORTS", str(reports))
    monkeypatch.delenv("MOCK_LOG", raising=False)


def reports(folder: Path, **changes: tuple[str, str]) -> Path:
    """Copies of the mock's reports with a text replaced in each of the files named."""
    folder.mkdir()
    for name in ("utilization.rpt", "path.txt"):
        text = (MOCK / name).read_text()
        old, new = changes.get(name.split(".")[0], ("", ""))
        assert old in text
        (folder / name).write_text(text.replace(old, new) if old else text)
    return folder


@pytest.mark.parametrize("board", [name for name in board_names() if flow_of(find_board(name)) == "vivado"])
def test_without_vivado_all_is_generated_and_listed(
    tmp_path: Path, board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = write_run(tmp_path / "run")
    with pytest.raises(FlipflowError) as caught:
        bitstream(run, find_board(board), 100.0, Reporter())
    assert (caught.value.code, caught.value.exit_code) == ("E390", Exit.TOOL_MISSING)
    folder = run / "bitstream" / board
    made = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert [line.strip() for line in caught.value.what.splitlines()[1:]] == made
    assert {"flipflow_driver/__init__.py", "rtl/flipflow_axi.v", "network.json", "settings.tcl"} <= set(made)
    assert sorted(item.name for item in run.iterdir() if item.suffix in {".bit", ".hwh"}) == []


def test_with_vivado(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_vivado(tmp_path, monkeypatch)
    reporter = Reporter()
    result = bitstream(run, find_board("pynq-z1"), 100.0, reporter)
    assert json.loads((run / "timing.json").read_text()) == result["timing"]
    assert result["timing"] == {
        "board": "pynq-z1",
        "fmax_mhz": 114.29,  # 1000 / (10 - 1.25)
        "asked_mhz": 100.0,
        "met": True,
        "critical": {
            "kernel": "fc0",
            "path": "flipflow_i/accelerator/inst/u_axi/u_accelerator/u_fc0/acc_q_reg[0]/C -> "
            "flipflow_i/accelerator/inst/u_axi/u_accelerator/u_fc0/out_q_reg[3]/D",
        },
        "tool": "Vivado 2023.2",
    }
    area: dict[str, Any] = json.loads((run / "area.json").read_text())
    assert area["total"] == {"lut": 9000, "ff": 7000, "bram": 2 * 6 + 3, "dsp": 2}
    assert area["accelerator"] == {"lut": 5500, "ff": 3500, "bram": 2 * 4 + 3, "dsp": 2}
    assert (area["board"], area["family"], area["synthesis"]) == ("pynq-z1", "xc7", {"tool": "Vivado 2023.2"})
    ops = {op.name: op for op in kernels_of(load_model(run / "folded.onnx"))}
    assert [row["name"] for row in area["kernels"]] == list(ops)
    rows = {row["name"]: row for row in area["kernels"]}
    assert (rows["fc0_fifo"]["kind"], rows["fc0_fifo"]["lut"]) == ("fifo", 40)
    estimate = ops["fc0"].lut_estimation("xc7"), ops["fc0"].bram_estimation("xc7")
    fc0 = rows["fc0"]
    assert (fc0["kind"], fc0["lut"], fc0["bram"], fc0["estimated_lut"], fc0["estimated_bram"]) == (
        *("mixed_mvtu", 5300, 9), *estimate
    )  # fmt: skip
    assert fc0["lut_error_percent"] == round(100 * (estimate[0] - 5300) / 5300, 1)
    assert area["estimated"]["lut"] == sum(op.lut_estimation("xc7") for op in ops.values())
    assert result["made"] == ["accelerator.bit", "accelerator.hwh"]
    assert (run / "accelerator.bit").read_text().startswith("a bitstream for xc7z020clg400-1")
    assert "accelerator alone: Placer" in reporter.notes
    assert (run / "bitstream" / "pynq-z1" / "logs" / "package_ip.log").is_file()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("SLACK 1.250", "SLACK -2.500"), "80.0 MHz achieved, 100 MHz asked for; critical path in kernel fc0"),
        (("SLACK 0.031", "SLACK -0.004"), "hold is missed by 0.004 ns"),
        (("u_axi/u_accelerator/u_fc0/out_q_reg[3]/D\n", "dma/D\n"), None),
    ],
)
def test_timing_that_is_not_met(
    tmp_path: Path, run: Path, path: tuple[str, str], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_vivado(tmp_path, monkeypatch, reports(tmp_path / "slow", path=path))
    if said is None:
        assert bitstream(run, find_board("pynq-z1"), 100.0, Reporter())["timing"]["critical"]["kernel"] == ""
        return
    with pytest.raises(FlipflowError) as caught:
        bitstream(run, find_board("pynq-z1"), 100.0, Reporter())
    assert (caught.value.code, caught.value.exit_code) == ("E374", Exit.CHECK_FAILED) and said in caught.value.what
    assert (run / "accelerator.bit").is_file()
    assert json.loads((run / "timing.json").read_text())["met"] is False


def test_an_accelerator_larger_than_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_vivado(tmp_path, monkeypatch, reports(tmp_path / "big", utilization=("       9000 |", "      61000 |")))
    with pytest.raises(FlipflowError, match=r"61,000 LUTs of 53,200\.") as caught:
        bitstream(write_run(tmp_path / "run"), find_board("pynq-z1"), 100.0, Reporter())
    assert caught.value.code == "E393"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('echo "INFO: begun"; echo "ERROR: [Synth 8-439] module not found"; echo more; exit 1', "[Synth 8-439]"),
        ('echo "out of memory"; kill -9 $$', "out of memory"),
    ],
)
def test_a_vivado_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str) -> None:
    install_vivado(tmp_path, monkeypatch, script=body)
    run = write_run(tmp_path / "run")
    (run / "accelerator.bit").write_text("of yesterday")
    with pytest.raises(FlipflowError, match="E392") as caught:
        bitstream(run, find_board("pynq-z1"), 100.0, Reporter())
    assert said in caught.value.what and "more" not in caught.value.what
    log = run / "bitstream" / "pynq-z1" / "logs" / "out_of_context.log"
    assert str(log) in caught.value.fix and log.is_file()
    assert caught.value.exit_code == Exit.CHECK_FAILED
    assert not (run / "accelerator.bit").exists()  # none that could be taken for this build's


@pytest.mark.parametrize("text", ["", "slack", "slack x\nhold_slack 0\nperiod 10\nfrom a\nto b\nversion 1\n"])
def test_damaged_timing(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.txt").write_text(text)
    with pytest.raises(FlipflowError, match="E394"):
        read_timing(tmp_path / "summary.txt")


@pytest.mark.parametrize(("old", "new"), [("Total LUTs", "All LUTs"), ("9000", "?"), ("|", " ")])
def test_damaged_utilisation(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "utilization.rpt"
    path.write_text((MOCK / "utilization.rpt").read_text().replace(old, new))
    with pytest.raises(FlipflowError, match="E394"):
        read_usage(path)


def test_a_child_of_vivado_dies_with_it(tmp_path: Path) -> None:
    tool = tmp_path / "vivado"
    tool.write_text("#!/bin/sh\nsleep 60 &\necho $! > child\nwait\n")
    tool.chmod(0o755)
    (tmp_path / "x.tcl").write_text("")
    code = (
        # A test run in the background may have inherited SIGINT ignored.
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\nfrom flipflow.hw.vivado.tool import run_script\n"
        f"p = Path({str(tmp_path)!r})\nrun_script(p / 'vivado', p / 'x.tcl', p / 'log', print)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 30
        while not (tmp_path / "child").is_file() or not (tmp_path / "child").read_text().strip():
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.05)


def test_a_vivado_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "x.tcl").write_text("")
    with pytest.raises(FlipflowError, match="E392"):
        run_script(tmp_path / "nothing", tmp_path / "x.tcl", tmp_path / "log", print)


@pytest.mark.parametrize(
    ("line", "begun"),
    [
        ("Starting Placer Task", "Placer"),
        ("Starting Routing Task", "Routing"),
        ("Phase 2.1 Floorplanning", "2.1 Floorplanning"),
        ("Command: synth_design -top flipflow_axi -part xc7z020clg400-1", "synth_design"),
        ("INFO: [Common 17-83] Releasing license: Synthesis", None),
        ("", None),
    ],
)
def test_milestones(line: str, begun: str | None) -> None:
    assert milestone(line) == begun


@pytest.mark.parametrize("clock", [0.5, 251.0])
def test_a_clock_that_the_board_cannot_make(tmp_path: Path, clock: float) -> None:
    with pytest.raises(FlipflowError, match="E391"):
        bitstream(write_run(tmp_path / "run"), find_board("pynq-z1"), clock, Reporter())


def test_a_run_without_rtl(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match=r"E452 .*accelerator\.json"):
        bitstream(tmp_path, find_board("pynq-z1"), 100.0, Reporter())
    run = write_run(tmp_path / "run")
    (run / "rtl" / "weights.mem").unlink()
    with pytest.raises(FlipflowError, match=r"E406 .*weights\.mem"):
        bitstream(run, find_board("pynq-z1"), 100.0, Reporter())
    (run / "accelerator.json").write_text("{")
    with pytest.raises(FlipflowError, match="E406"):
        bitstream(run, find_board("pynq-z1"), 100.0, Reporter())


@pytest.mark.parametrize(
    ("line", "other"),
    [("stream_bits = 64", "stream_bits = 65"), ('shell = "zynq7000"', 'shell = "zynq"'), ("lut = 53200", "")],
)
def test_a_board_file_with_an_error(tmp_path: Path, line: str, other: str) -> None:
    text = find_board("pynq-z1").read_text()
    assert line in text
    (tmp_path / "mine.toml").write_text(text.replace(line, other))
    with pytest.raises(FlipflowError, match=f"E371 .*{line.partition(' ')[0]}"):
        load_vivado_board(tmp_path / "mine.toml")


def test_words_of_the_streams(tmp_path: Path) -> None:
    assert [word_bits(bits, 8, 64) for bits in (1, 8, 9, 24, 33, 64, 164)] == [8, 8, 16, 32, 64, 64, 64]
    assert word_bits(3, 512, 512) == 512
    accel = json.loads((write_run(tmp_path / "run") / "accelerator.json").read_text())
    size = geometry(accel, 8, 8)
    assert (size.in_words, size.out_words) == (6, 5)
    assert size.parameters == {
        "InWordBits": 8,
        "InBeatBits": 16,
        "InBeats": 3,
        "OutWordBits": 8,
        "OutBeatBits": 38,
        "OutBeats": 1,
        "Classes": 3,
        "NumFifos": 1,
    }


def test_a_report_of_another_design(tmp_path: Path) -> None:
    path = tmp_path / "utilization.rpt"
    path.write_text((MOCK / "utilization.rpt").read_text().replace(" u_accelerator ", " u_other       "))
    with pytest.raises(FlipflowError, match=r"E394 .*u_accelerator"):
        accelerator_usage(read_usage(path), path)
