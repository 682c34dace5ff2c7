"""Every kernel passes Verilator's lint and elaborates in Yosys, with its defaults and in all simulated shapes."""

from pathlib import Path

import pytest
import test_kernel_mvtu
import test_kernel_residual
import test_kernel_streams
import test_kernel_window
from kernel_cases import RTL

from flipflow.errors import FlipflowError
from flipflow.hw.lint import verilator_lint, yosys_elaborate
from flipflow.sim.kernel_bench import top_source

MEMORIES = {
    "WeightFile": "weights.mem",
    "ThresholdFile": "thresholds.mem",
    "MemFile": "rom.mem",
    "LineFile": "lines.mem",
}
CASES = [
    *test_kernel_mvtu.CASES,
    *test_kernel_residual.CASES,
    *test_kernel_streams.CASES,
    *test_kernel_window.CASES,
]


def memories(module: str, workdir: Path) -> dict[str, int | str]:
    """File parameters of a kernel, with files of zeros to read."""
    text = next(path for path in RTL if path.stem == module).read_text()
    used: dict[str, int | str] = {
        name: file for name, file in MEMORIES.items() if f" {name} " in text.partition(");")[0]
    }
    for file in used.values():
        (workdir / str(file)).write_text("0\n" * (2 if module == "rom" else 1))
    return used


@pytest.mark.parametrize("module", [path.stem for path in RTL])
def test_defaults(module: str, tmp_path: Path) -> None:
    params = memories(module, tmp_path)
    verilator_lint(RTL, module, params, tmp_path)
    yosys_elaborate(RTL, module, params, tmp_path)


def test_all_shapes(tmp_path: Path) -> None:
    top = tmp_path / "kernel_bench.sv"
    top.write_text(top_source([case.instance for case in CASES]))
    for case in CASES:
        for name, text in case.instance.files.items():
            (tmp_path / name).write_text(text)
    verilator_lint([*RTL, top], "kernel_bench", {}, tmp_path)
    yosys_elaborate([*RTL, top], "kernel_bench", {}, tmp_path)


REFUSED: list[tuple[str, dict[str, int | str]]] = [
    ("fifo", {"Depth": 1}),
    ("width_converter", {"InElems": 0}),
    ("window", {"PadTop": 3}),
    ("window", {"Rows": 2}),
    ("xnor_mvtu", {"SIMD": 3}),
    ("xnor_mvtu", {"AccWidth": 3}),
    ("xnor_mvtu", {"NumThresholds": 0, "OutBits": 4}),
    ("xnor_mvtu", {"NumThresholds": 2, "OutBits": 1}),
    ("mixed_mvtu", {"PE": 3}),
    ("mixed_mvtu", {"HasMask": 1}),
    ("mixed_mvtu", {"ActBipolar": 1}),
    ("threshold", {"AccWidth": 7}),
    ("pool", {"Taps": 0}),
    ("argmax", {"PE": 0}),
    ("rom", {"Style": 3}),
    ("rom", {"Stages": 3}),
    ("rom", {"Stages": 2, "Depth": 5, "RowWords": 3}),
    ("rom", {"Stages": 2, "Depth": 4, "RowWords": 4}),
    ("rom", {"Depth": 4, "RowWords": 2}),
    ("mvtu_control", {"SumStages": 0}),
    ("mvtu_control", {"ReadStages": 0}),
    ("skid_buffer", {"Width": 0}),
    ("fork_stream", {"Outputs": 0}),
    ("residual_add", {"Maximum": 128}),
    ("requantize", {"AccWidth": 4}),
    ("requantize", {"Even": 1, "AccWidth": 5}),
    ("sum_pool", {"SumBits": 7}),
    ("channel_pad", {"Pass": 0}),
    ("saturate", {"Minimum": -129}),
    ("multiplier", {"ABits": 0}),
]


@pytest.mark.parametrize(("module", "wrong"), REFUSED)
def test_impossible_parameters(module: str, wrong: dict[str, int | str], tmp_path: Path) -> None:
    """Elaboration names the kernel and the rule, in both tools."""
    params = memories(module, tmp_path) | wrong
    for tool, code in ((verilator_lint, "E351"), (yosys_elaborate, "E352")):
        with pytest.raises(
            FlipflowError, match=rf"(?s){code}.*{module if module != 'xnor_mvtu' else ''}.*: "
        ) as caught:
            tool(RTL, module, params, tmp_path)
        assert "must" in str(caught.value) or "cannot hold" in str(caught.value) or "need" in str(caught.value)


def test_a_latch_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "latch.sv"
    source.write_text(
        "module latch (input logic en_i, d_i, output logic q_o);\n  always_latch if (en_i) q_o = d_i;\nendmodule\n"
    )
    with pytest.raises(FlipflowError, match="E352"):
        yosys_elaborate([source], "latch", {}, tmp_path)


def test_a_warning_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "unused.sv"
    source.write_text("module unused (input logic a_i, b_i, output logic q_o);\n  assign q_o = a_i;\nendmodule\n")
    with pytest.raises(FlipflowError, match=r"(?s)E351.*UNUSEDSIGNAL"):
        verilator_lint([source], "unused", {}, tmp_path)
