"""What FINN's own builder is handed: its graph, folding and configuration; its estimates; what happens with and without Vitis."""

import json
import os
import sys
from pathlib import Path

import pytest
from hw_graphs import Net

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.backends import finn, finn_hls
from flipflow.hw.boards.find import find_board
from flipflow.hw.build import build
from flipflow.hw.folding import FoldRequest


class Reporter:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def message(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, task: str, done: float, total: float, note: str = "") -> None:
        assert 0 <= done <= total
        self.notes.append(note)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finn")
    net = Net([48], "UINT8", 5).linear(24).levels("BIPOLAR", bits=True).linear(16).levels("BIPOLAR").linear(10)
    net.model().save(str(folder / "streamlined.onnx"))
    build(folder / "streamlined.onnx", folder, FoldRequest(cycles=48))
    return folder


def test_finn_takes_graph_and_folding(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FlipflowError) as caught:
        finn_hls(run, find_board("pynq-z1"), 125.0, Reporter())
    assert (caught.value.code, caught.value.exit_code) == ("E390", Exit.TOOL_MISSING)
    assert "vivado, vitis_hls" in caught.value.what and "v++" not in caught.value.what
    folder = run / "bitstream" / "pynq-z1-finn-hls"
    assert {"finn.onnx", "folding.json", "build.yaml"} <= {path.name for path in folder.iterdir()}
    listed = [line.strip() for line in caught.value.what.splitlines()[1:]]
    assert listed == sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    report = folder / "output" / "report"
    # FINN's own cycle model agrees with ours about every layer, so the folding arrived.
    layers = {layer["name"]: layer for layer in json.loads((run / "accelerator.json").read_text())["layers"]}
    products = [layers[name] for name in ("fc0", "fc1", "fc2")]
    cycles = json.loads((report / "estimate_layer_cycles.json").read_text())
    assert [cycles[f"MVAU_hls_{index}"] for index in range(3)] == [layer["cycles"] for layer in products]
    applied = json.loads((report / "applied_folding_config.json").read_text())
    for index, layer in enumerate(products):
        assert (applied[f"MVAU_hls_{index}"]["PE"], applied[f"MVAU_hls_{index}"]["SIMD"]) == (
            layer["pe"],
            layer["simd"],
        )
    config = json.loads((folder / "build.yaml").read_text())
    assert (config["board"], config["synth_clk_period_ns"], config["shell_flow_type"]) == (
        "Pynq-Z1",
        8.0,
        "vivado_zynq",
    )


@pytest.fixture
def written(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same without FINN's slow parts, which the test above has run."""

    def write(run_dir: Path, folder: Path, board: object, clock_mhz: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "build.yaml").write_text("{}")

    monkeypatch.setattr(finn, "_write", write)
    monkeypatch.setattr(finn, "_estimate", lambda folder: {"max_cycles": 48})
    return run


def tools(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


@pytest.mark.parametrize(
    ("board", "found", "missing"),
    [
        ("pynq-z1", ("vivado",), "vitis_hls (or vitis-run, from 2024.2 on)"),
        ("zcu104", ("vitis-run",), "vivado"),
        ("u250", ("vivado", "vitis_hls"), "v++"),
    ],
)
def test_every_missing_tool_is_named(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: str, found: tuple[str, ...], missing: str
) -> None:
    tools(tmp_path, monkeypatch, *found)
    with pytest.raises(FlipflowError, match="E390") as caught:
        finn_hls(written, find_board(board), 100.0, Reporter())
    assert caught.value.what.startswith(f"not on PATH: {missing}. ")


BUILDER = """
import pathlib, sys
assert sys.argv[1:] == ["build", "--batch", "build.yaml", "finn.onnx"], sys.argv
print("[2026-01-01] Running step: step_generate_hardware [3/9]")
pathlib.Path("output/bitfile").mkdir(parents=True)
pathlib.Path("output/bitfile/finn-accel.bit").write_text("x")
"""


def test_with_vitis_finn_builds(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path, monkeypatch, "vivado", "vitis_hls")
    (tmp_path / "builder.py").write_text(BUILDER)
    monkeypatch.setattr(finn, "FINN", (sys.executable, str(tmp_path / "builder.py")))
    reporter = Reporter()
    result = finn_hls(written, find_board("zcu104"), 100.0, reporter)
    assert Path(result["bitfile"]).read_text() == "x"
    assert "step_generate_hardware [3/9]" in reporter.notes


@pytest.mark.parametrize(
    ("body", "said"), [("print('Vitis HLS: no licence'); exit(4)", "Vitis HLS: no licence"), ("", "made no bitstream")]
)
def test_a_builder_that_fails(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    tools(tmp_path, monkeypatch, "vivado", "vitis_hls")
    (tmp_path / "builder.py").write_text(body)
    monkeypatch.setattr(finn, "FINN", (sys.executable, str(tmp_path / "builder.py")))
    with pytest.raises(FlipflowError, match="E392") as caught:
        finn_hls(written, find_board("pynq-z1"), 100.0, Reporter())
    assert said in caught.value.what and "finn.log" in caught.value.fix
    assert (written / "bitstream" / "pynq-z1-finn-hls" / "finn.log").is_file()


def test_boards_that_finn_has_no_flow_for(written: Path, tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match=r"E391 .*ulx3s-85f"):
        finn_hls(written, find_board("ulx3s-85f"), 100.0, Reporter())
    text = find_board("pynq-z1").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('finn_board = "Pynq-Z1"\n', ""))
    with pytest.raises(FlipflowError, match=r"E391 .*finn_board"):
        finn_hls(written, tmp_path / "mine.toml", 100.0, Reporter())


def test_a_clock_that_the_board_cannot_make(written: Path) -> None:
    with pytest.raises(FlipflowError, match=r"E391 .*600 MHz"):
        finn_hls(written, find_board("u250"), 600.0, Reporter())
