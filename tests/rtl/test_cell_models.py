"""Models of block RAMs and multipliers: vectors worked out by hand from the vendors' documentation, run in Verilator."""

import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest

import flipflow.hw.cells
from flipflow.sim.verilator import Toolchain, find_toolchain
from flipflow.sim.verilator_runtime import Model

BENCH = Path(__file__).parent / "benches" / "cell_models.sv"
MODELS = sorted(Path(flipflow.hw.cells.__file__).parent.glob("*.v"))
WAIVED = ("WIDTH", "PINMISSING", "DECLFILENAME", "MULTITOP")
SETTINGS = (
    *("CFG_CXXFLAGS_STD=-std=gnu++20", "CFG_CXXFLAGS_PCH_I=-include", "CFG_LDLIBS_THREADS=-pthread"),
    *("OPT_SLOW=-O0", "OPT_GLOBAL=-O1", "OPT_FAST=-O0"),  # as a board's, to share its runtime library
)


def _run(command: list[str], folder: Path, tools: Toolchain) -> None:
    environment = {**os.environ, "VERILATOR_ROOT": str(tools.root)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def run_bench(folder: Path, bench: str, models: list[Path]) -> str:
    source = folder / "cell_models.sv"
    source.write_text(bench)
    tools = find_toolchain()
    flags = ("--main", "--exe", "--timing", "--output-split", "0", "--top-module", "cell_models", "--Mdir", "objects")
    sources = [str(source), *map(str, models)]
    _run([str(tools.verilator), "--cc", *flags, *(f"-Wno-{name}" for name in WAIVED), *sources], folder, tools)
    coroutines = "" if "clang" in tools.versions[1] else "-fcoroutines"
    make = (tools.make, f"CXX={tools.cxx}", f"CFG_CXXFLAGS_COROUTINES={coroutines}")
    run = partial(_run, folder=folder, tools=tools)
    Model(folder / "objects", "Vcell_models", tools.versions, make, SETTINGS, run, precompile=True).compile()
    program = folder / "objects" / "Vcell_models"
    return subprocess.run([str(program)], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_by_hand(tmp_path: Path) -> None:
    said = run_bench(tmp_path, BENCH.read_text(), MODELS)
    assert re.search(r"^\d\d checks, 0 failures$", said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("instance", "setting"),
    [
        ("DP16KD", '.REGMODE_B("OUTREG")'),
        ("SDPB", ".READ_MODE(1'b1)"),
        ("RAMB36E1", '.RAM_EXTENSION_A("LOWER")'),
        ("MULT18X18D", '.REG_OUTPUT_CLK("CLK0")'),
    ],
)
def test_what_is_not_modelled_is_refused(instance: str, setting: str, tmp_path: Path) -> None:
    """Rather no answer than a wrong one."""
    top = tmp_path / "top.sv"
    top.write_text(f"module top;\n  {instance} #({setting}) u_cell ();\nendmodule\n")
    tools = find_toolchain()
    done = subprocess.run(
        [str(tools.verilator), "--lint-only", "--top-module", "top", "-Wno-PINMISSING", str(top), *map(str, MODELS)],
        env={**os.environ, "VERILATOR_ROOT": str(tools.root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"{instance}: " in done.stderr
