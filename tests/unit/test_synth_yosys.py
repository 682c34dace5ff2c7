"""Synthesis of small designs whose netlists can be counted by hand, and what becomes of failures."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hw_graphs import Net

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.build import build
from flipflow.hw.folding import FoldRequest
from flipflow.hw.synth import kernel, process
from flipflow.hw.synth.area import Area, total
from flipflow.hw.synth.kernel import synthesise_kernel
from flipflow.hw.synth.random_kernel import random_kernel
from flipflow.hw.synth.run import synthesise_run
from flipflow.hw.synth.yosys import Literal, synthesise

RTL = Path(kernel.__file__).parents[1] / "rtl"
# A registered XNOR of Width bits: a LUT and a flip-flop a bit, whatever the family.
PAIR = """
module pair #(parameter int Width = 1, parameter bit [Width-1:0] Init = '0) (
  input logic clk_i, input logic [Width-1:0] a_i, b_i, output logic [Width-1:0] q_o
);
  always_ff @(posedge clk_i) q_o <= a_i ~^ b_i ^ Init;
endmodule
"""
# Two kernels, and 2 LUTs of glue.
TOP = """
module top (input logic clk_i, input logic [7:0] a_i, b_i, output logic [1:0] x_o, output logic [9:0] q_o);
  pool #(.Width(8)) u_first (.clk_i, .a_i, .b_i, .q_o(q_o[7:0]));
  if (1) begin : gen_here
    argmax #(.Width(2)) u_second (.clk_i, .a_i(a_i[1:0]), .b_i(b_i[1:0]), .q_o(q_o[9:8]));
  end
  assign x_o = a_i[3:2] & b_i[3:2];
endmodule
"""


def write(folder: Path, **modules: str) -> list[Path]:
    for name, text in modules.items():
        (folder / f"{name}.sv").write_text(text)
    return [folder / f"{name}.sv" for name in modules]


@pytest.mark.parametrize("name", ["ecp5", "gowin", pytest.param("xc7", marks=pytest.mark.slow)])
def test_area_by_instance(name: str, tmp_path: Path) -> None:
    parts = {module: PAIR.replace("pair", module) for module in ("pool", "argmax")}
    seen: list[tuple[float, str]] = []
    out = tmp_path / "a folder with blanks"
    netlist = synthesise(write(tmp_path, top=TOP, **parts), "top", name, out, progress=lambda *step: seen.append(step))
    assert netlist.areas == {"": Area(lut=2), "u_first": Area(8, 8), "gen_here.u_second": Area(2, 2)}
    assert netlist.area == Area(12, 10)
    # The Verilog keeps the kernels, the JSON is flat and names them.
    names = re.findall(r"^module \\?([^\s(]+)", netlist.verilog.read_text(), re.M)
    assert sorted(names) == ["argmax$top.gen_here.u_second", "pool$top.u_first", "top"]
    modules = json.loads(netlist.json.read_text())["modules"]
    cells = [key for key, cell in modules["top"]["cells"].items() if cell["type"] not in ("GND", "VCC")]
    assert sum(key.startswith("u_first.") for key in cells) == 16
    assert sum(key.startswith("gen_here.u_second.") for key in cells) == 4
    assert sorted(path.name for path in out.iterdir()) == ["netlist.json", "netlist.v", "yosys.log"]
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] >= 0.0 and shares[-1] <= 1.0 and len(shares) > 8
    # Yosys' own memory, not that of the test's process, which has torch in it.
    assert netlist.usage.cpu_seconds > 0.1 and 20 < netlist.usage.memory_mb < 250


def test_many_kernels(tmp_path: Path) -> None:
    """More kernels than are mapped at a time, each of another width, and glue that is mapped after them."""
    widths = range(1, 15)
    ports = "input logic clk_i, input logic [15:0] a_i, b_i, output logic [1:0] x_o, output logic [15:0] q_o [1:14]"
    kernels = "".join(
        f"  pool #(.Width({width})) u_{width} (.clk_i, .a_i(a_i[{width - 1}:0]), .b_i(b_i[{width - 1}:0]),"
        f" .q_o(q_o[{width}][{width - 1}:0]));\n  assign q_o[{width}][15:{width}] = '0;\n"
        for width in widths
    )
    text = f"module top ({ports});\n{kernels}  assign x_o = a_i[1:0] & b_i[1:0];\nendmodule\n"
    netlist = synthesise(write(tmp_path, top=text, pool=PAIR.replace("pair", "pool")), "top", "ecp5", tmp_path / "out")
    assert netlist.areas == {"": Area(lut=2)} | {f"u_{width}": Area(width, width) for width in widths}
    cells = json.loads(netlist.json.read_text())["modules"]["top"]["cells"]
    flipflops = [key for key, cell in cells.items() if cell["type"] == "TRELLIS_FF"]
    assert [sum(key.startswith(f"u_{width}.") for key in flipflops) for width in widths] == list(widths)


def test_parameters(tmp_path: Path) -> None:
    """By number and by literal: an inverted XNOR bit is still one LUT, so the LUTs' tables tell."""
    sources = write(tmp_path, pair=PAIR)
    params = {"Width": 3, "Init": Literal("3'h5")}
    netlist = synthesise(sources, "pair", "ecp5", tmp_path / "out", params=params, keep=())
    cells = json.loads(netlist.json.read_text())["modules"]["pair"]["cells"].values()
    tables = sorted(cell["parameters"]["INIT"] for cell in cells if cell["type"] == "LUT4")
    assert len(tables) == 3 and len(set(tables)) == 2  # two XORs, one XNOR


@pytest.mark.parametrize(("name", "block"), [("ecp5", "DP16KD"), ("gowin", "SPX9")])
def test_memory_contents_are_in_the_netlist(name: str, block: str, tmp_path: Path) -> None:
    """Every bit of a ROM that fills a block RAM is in the block's initial contents."""
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**36, 512) & rng.integers(0, 2**36, 512)  # about a quarter of the bits are 1
    (tmp_path / "words.mem").write_text("".join(f"{word:09x}\n" for word in words))
    params = {"Width": 36, "Depth": 512, "MemFile": "words.mem"}
    netlist = synthesise([RTL / "rom.sv"], "rom", name, tmp_path / "o", params=params, memories=tmp_path, keep=())
    assert netlist.area.bram == 1 and netlist.area.lut == 0
    cells = json.loads(netlist.json.read_text())["modules"]["rom"]["cells"].values()
    (ram,) = [cell for cell in cells if cell["type"] == block]
    contents = "".join(value for key, value in ram["parameters"].items() if re.fullmatch(r"INIT(VAL|_RAM)_..", key))
    assert contents.count("1") == sum(int(word).bit_count() for word in words)


def test_refused_rtl_leaves_its_log_and_nothing_else(tmp_path: Path) -> None:
    sources = write(
        tmp_path, bad="module bad (input logic a_i, output logic q_o);\n  assign q_o = missing;\nendmodule\n"
    )
    with pytest.raises(FlipflowError, match=r"(?s)E360.*undeclared identifier 'missing'") as caught:
        synthesise(sources, "bad", "ecp5", tmp_path / "out")
    assert caught.value.exit_code == Exit.CHECK_FAILED
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["yosys.log"]
    assert str(tmp_path / "out/yosys.log") in caught.value.where


def test_a_missing_memory_file_is_named(tmp_path: Path) -> None:
    params = {"Width": 8, "Depth": 4, "MemFile": "weights.mem"}
    with pytest.raises(FlipflowError, match=r"(?s)E360.*weights\.mem"):
        synthesise([RTL / "rom.sv"], "rom", "ecp5", tmp_path / "out", params=params, keep=())


def children() -> list[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


def test_ctrl_c_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    def interrupt(share: float, note: str) -> None:
        if note == "coarse":
            raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        synthesise(write(tmp_path, pair=PAIR), "pair", "ecp5", tmp_path / "out", progress=interrupt)
    assert list((tmp_path / "out").iterdir()) == []
    assert children() == before


def test_a_killed_synthesis_says_so(tmp_path: Path) -> None:
    """As the kernel does when memory runs out."""
    before = children()

    def kill(share: float, note: str) -> None:
        for child in set(children()) - set(before):
            os.kill(child, signal.SIGKILL)

    with pytest.raises(FlipflowError, match=r"E363.*killed.*memory"):
        synthesise(write(tmp_path, pair=PAIR), "pair", "ecp5", tmp_path / "out", progress=kill)


def test_without_pyosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FlipflowError, match=r'E350.*pip install "flipflow\[board\]"') as caught:
        synthesise(write(tmp_path, pair=PAIR), "pair", "ecp5", tmp_path / "out")
    assert caught.value.exit_code == Exit.TOOL_MISSING


def test_a_kernel_is_synthesised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time its area comes from the cache; other contents, or another family, are another kernel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    op, params = random_kernel("pool", {"Channels": 4, "SIMD": 2}, 0)
    area = synthesise_kernel(op, params, "ecp5")
    assert 10 < area.lut < 60 and area.ff > 4

    def refuse(*args: object, **more: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(kernel, "synthesise", refuse)
    assert synthesise_kernel(op, params, "ecp5") == area
    for other, name in ((params, "gowin"), ({"minimum": np.array([0, 1, 0, 0])}, "ecp5")):
        with pytest.raises(RuntimeError):
            synthesise_kernel(op, other, name)


def test_a_run(tmp_path: Path) -> None:
    """Every instance of the accelerator is a kernel of area.json; a run without RTL, or with a part of it, is refused."""
    with pytest.raises(FlipflowError, match=r"E452.*flipflow build"):
        synthesise_run(tmp_path, "ecp5")
    net = Net([6], "BIPOLAR", 3).linear(4).levels("BIPOLAR").linear(3)
    net.model().save(str(tmp_path / "streamlined.onnx"))
    build(tmp_path / "streamlined.onnx", tmp_path, FoldRequest(cycles=24))
    netlist, about = synthesise_run(tmp_path, "ecp5")
    place = tmp_path / "synth/ecp5"
    assert json.loads((place / "area.json").read_text()) == about
    assert about["accelerator"] == about["total"]
    names = {row["name"] for row in about["kernels"]}
    assert {path for path, area in netlist.areas.items() if area != Area()} - {""} == {f"u_{name}" for name in names}
    measured = total(Area(row["lut"], row["ff"], row["bram"], row["dsp"]) for row in about["kernels"])
    assert about["total"]["ff"] == measured.ff and about["total"]["lut"] - measured.lut == netlist.areas[""].lut
    (tmp_path / "rtl/fc0_weights.mem").unlink()
    with pytest.raises(FlipflowError, match=r"E406.*not there"):
        synthesise_run(tmp_path, "ecp5")
    (tmp_path / "accelerator.json").write_text('{"sources": ')
    with pytest.raises(FlipflowError, match=r"E406.*damaged"):
        synthesise_run(tmp_path, "ecp5")


def flipflow(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "flipflow", "synth", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_verb_on_a_kernel(tmp_path: Path) -> None:
    words = ["--kernel", "mvu", "--mw", "16", "--mh", "4", "--pe", "2", "--simd", "8", "--family", "ecp5", "--json"]
    about = json.loads(flipflow(*words, folder=tmp_path).stdout)
    (row,) = about["kernels"]
    assert (row["kind"], row["pe"], row["simd"], about["family"], about["seed"]) == ("xnor_mvtu", 2, 8, "ecp5", 0)
    assert row["lut"] == about["total"]["lut"] > 16
    assert about["lut_per_binary_op"] == round(row["lut"] / 32, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "E106"),
        (("runs/x", "--kernel", "mvu"), "E106"),
        (("runs/x", "--pe", "4"), "E106"),
        (("runs/x",), "E112"),
        (("--kernel", "mvu", "--family", "ecp5", "--board", "ulx3s-85f"), "E106"),
        (("--kernel", "mvu", "--force"), "E106"),
        (("--kernel", "fifo", "--attribute", "Depth"), "E364"),
        (("--kernel", "fifo", "--board", "ulx3s-58f"), r"(?s)E370.*ulx3s-85f"),
    ],
)
def test_wrong_words(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = flipflow(*words, folder=tmp_path)
    assert done.returncode == Exit.BAD_INPUT and re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
