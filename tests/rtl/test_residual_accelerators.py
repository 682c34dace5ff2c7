"""Whole residual accelerators in RTL: logits, class, and every cycle that the model foresees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.build import build_kernels
from flipflow.hw.folding import FoldRequest
from flipflow.hw.graph import kernels_of, load_model
from flipflow.hw.lint import verilator_lint, yosys_elaborate
from flipflow.sim.accelerator import simulate
from flipflow.sim.verify import compare_cycles
from tests.residual_graphs import residual_graph

NETWORKS = {
    "pooled": ({"seed": 1, "size": 8, "widths": (4, 8), "units": 2}, 900),
    "convolved": ({"seed": 2, "size": 7, "widths": (4, 6), "units": 1, "convolved": True}, 700),
}


@pytest.mark.parametrize("network", ["convolved", pytest.param("pooled", marks=pytest.mark.slow)])
def test_residual_network(network: str, tmp_path: Path) -> None:
    options, cycles = NETWORKS[network]
    model, images, logits = residual_graph(**options)
    report = build_kernels(model, tmp_path, FoldRequest(cycles=cycles))
    sources = sorted((tmp_path / "rtl").glob("*.sv"))
    verilator_lint(sources, "accelerator", {}, tmp_path / "rtl")
    yosys_elaborate(sources, "accelerator", {}, tmp_path / "rtl")
    about = json.loads((tmp_path / "accelerator.json").read_text())
    assert report.ii == max(op.get_exp_cycles() for op in kernels_of(load_model(tmp_path / "folded.onnx")))
    result = simulate(tmp_path / "rtl", about, images, quick=True)
    assert np.array_equal(result.logits, logits)
    assert np.array_equal(result.classes, logits.argmax(axis=1))
    assert (result.ii, result.latency) == (report.ii, report.latency)
    assert compare_cycles(about, result).equal
    stalled = simulate(tmp_path / "rtl", about, images, stall=0.5, seed=3, quick=True)
    assert np.array_equal(stalled.logits, logits)


def test_the_watchdog_names_a_bypass_too_short(tmp_path: Path) -> None:
    model, images, _ = residual_graph(seed=1, size=6, widths=(2,), units=1)
    build_kernels(model, tmp_path, FoldRequest(cycles=800))
    about: dict[str, Any] = json.loads((tmp_path / "accelerator.json").read_text())
    top = tmp_path / "rtl" / "accelerator.sv"
    before, found, after = top.read_text().partition(") u_add0_in1_fifo (")
    depth = next(item["depth"] for item in about["fifos"] if item["name"] == "add0_in1_fifo")
    head, _, tail = before.rpartition(f".Depth({depth})")
    assert found and depth > 4
    top.write_text(f"{head}.Depth(4){tail}{found}{after}")
    with pytest.raises(FlipflowError, match="'add0' waits for the other branch") as caught:
        simulate(tmp_path / "rtl", about, images, quick=True)
    assert (caught.value.code, caught.value.where) == ("E403", "FIFO 'add0_in1_fifo'")
