"""FIFO depths: enough for the schedule, not a beat more where branches meet, and never a deadlock."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.build import execute_folded
from flipflow.hw.fifo_sizing import Timing, shallow_fifos, size_fifos
from flipflow.hw.folding import FoldRequest, fold
from flipflow.hw.graph import kernels_of, pipeline_of
from flipflow.hw.stitch import LEAST_DEPTH, stitch
from flipflow.sim.cycle_model import predict
from tests.residual_graphs import residual_graph

NETWORKS = {
    "pooled": {"seed": 1, "size": 8, "widths": (4, 8), "units": 2},
    "convolved": {"seed": 2, "size": 7, "widths": (4, 6), "units": 1, "convolved": True},
}
CYCLES = (700, 2500)


@cache
def sized(network: str, cycles: int) -> tuple[Any, Timing]:
    model, images, logits = residual_graph(**NETWORKS[network])
    fold(model, FoldRequest(cycles=cycles))
    stitched = stitch(model)
    assert np.array_equal(execute_folded(stitched, images), logits)
    return stitched, size_fifos(stitched)


def depths(model: Any) -> dict[str, int]:
    return {op.name: op.integer("Depth") for op in kernels_of(model) if op.onnx_node.op_type == "Fifo"}


def ends(model: Any) -> tuple[int, int]:
    ops = kernels_of(model)
    return ops[0].in_stream().beats, ops[-1].out_stream().beats


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_slowest_kernel_sets_the_pace(network: str, cycles: int) -> None:
    model, timing = sized(network, cycles)
    pace = max(op.get_exp_cycles() for op in kernels_of(model))
    result = predict(pipeline_of(model), 12, *ends(model))
    assert timing.ii == pace
    assert (np.diff(result.completion)[3:] == pace).all()
    assert result.latency == timing.latency
    # Nor does room for whole frames everywhere make the first one come earlier.
    room = [entry | {"depth": 10_000} if entry["model"] == "fifo" else entry for entry in pipeline_of(model)]
    assert predict(room, 3, *ends(model)).latency == timing.latency


@pytest.mark.parametrize("network", NETWORKS)
def test_no_depth_can_be_lowered(network: str) -> None:
    model, timing = sized(network, CYCLES[0])
    fifos = {op.name: op for op in kernels_of(model) if op.onnx_node.op_type == "Fifo"}
    assert shallow_fifos(model, timing) == []
    lowered = 0
    for name, depth in depths(model).items():
        meets = name.startswith("add") and "width" not in name
        if depth <= LEAST_DEPTH:
            continue
        fifos[name].set_nodeattr("Depth", depth - 1)
        assert name in shallow_fifos(model, timing), name
        fifos[name].set_nodeattr("Depth", depth)
        lowered += meets
    assert lowered >= 1


def test_a_bypass_too_short_is_named() -> None:
    # The branch of a 3x3 convolution with zero padding cannot give its first pixel before it has had two rows.
    model, _ = sized("pooled", CYCLES[1])
    pipeline = pipeline_of(model)
    for entry in pipeline:
        if entry["name"] == "add0_in1_fifo":
            entry["depth"] = 8
    with pytest.raises(FlipflowError, match="'add0' waits for the other branch") as caught:
        predict(pipeline, 2, *ends(model))
    assert (caught.value.code, caught.value.where) == ("E402", "FIFO 'add0_in1_fifo'")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("stall", [0.3, 0.9])
def test_stalls_never_end_in_a_deadlock(network: str, stall: float) -> None:
    # Words come at any distance; a deadlock would raise E402.
    model, timing = sized(network, CYCLES[0])
    for seed in range(3):
        result = predict(pipeline_of(model), 4, *ends(model), stall=stall, seed=seed)
        assert result.latency >= timing.latency


def test_more_room_never_takes_longer() -> None:
    # What bisection and the proof of minimal depths rest on.
    model, _ = sized("convolved", CYCLES[0])
    rng = np.random.default_rng(0)
    before = predict(pipeline_of(model), 5, *ends(model)).completion
    for _ in range(20):
        pipeline = [
            entry | {"depth": entry["depth"] + int(rng.integers(0, 30))} if entry["model"] == "fifo" else entry
            for entry in pipeline_of(model)
        ]
        assert (predict(pipeline, 5, *ends(model)).completion <= before).all()
