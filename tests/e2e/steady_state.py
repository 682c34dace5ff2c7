"""The steady state of an accelerator: an image every so many cycles as the largest fold takes."""

from math import prod
from typing import Any

import numpy as np

from flipflow.hw.fifo_sizing import size_fifos
from flipflow.hw.folding import FoldRequest, fold
from flipflow.hw.graph import kernels_of, pipeline_of
from flipflow.hw.stitch import stitch
from flipflow.sim.cycle_model import predict

# Cycles an image that the papers' networks are folded for.
FOLDS = {
    "cresnet20": 131_072,
    "cresnet18": 262_144,
    "vggsmall": 262_144,
    "resnet18": 2_000_000,
    "resnet34": 2_000_000,
}


def largest_fold(stitched: Any) -> int:
    """(inputs / SIMD) x (outputs / PE) x pixels of the matrix unit for which that is most."""
    units = [op for op in kernels_of(stitched) if op.onnx_node.op_type in ("XnorMvtu", "MixedMvtu")]
    return max(
        prod(int(size) for size in op.get_nodeattr("Leading"))
        * (op.integer("MW") // op.integer("SIMD"))
        * (op.integer("MH") // op.integer("PE"))
        for op in units
    )


def check_steady_state(kernels: Any, cycles: int) -> None:
    """Folds an unfolded kernel graph: all images but the first few come out one largest fold after another, to the cycle."""
    fold(kernels, FoldRequest(cycles=cycles))
    stitched = stitch(kernels)
    timing = size_fifos(stitched)
    ops = kernels_of(stitched)
    largest = max(op.get_exp_cycles() for op in ops)
    assert largest_fold(stitched) <= largest <= cycles
    # Windows and pools are the slower ones in some foldings, by their own count of words; products nearly always.
    slowest = {op.onnx_node.op_type for op in ops if op.get_exp_cycles() == largest}
    assert largest == largest_fold(stitched) or slowest <= {"Window", "Pool", "SumPool", "Fifo", "WidthConverter"}
    assert timing.ii == largest
    result = predict(pipeline_of(stitched), 10, ops[0].in_stream().beats, ops[-1].out_stream().beats)
    assert result.latency == timing.latency
    assert (np.diff(result.completion)[4:] == largest).all()
