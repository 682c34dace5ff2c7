"""How lean the matrix-vector units are: what synthesis needs for a binary operation, and for weights that are constants."""

import numpy as np
import pytest

from flipflow.hw.kernels.base import RtlModule
from flipflow.hw.kernels.rom import hex_lines
from flipflow.hw.synth.area import Area
from flipflow.hw.synth.kernel import kernel_synthesis


def unit(mw: int, mh: int, pe: int, simd: int, acc_width: int) -> RtlModule:
    """An XNOR unit with random weights and thresholds, its ROMs in block RAM where they have more than a word."""
    rng = np.random.default_rng(0)
    steps, folds = mw // simd * (mh // pe), mh // pe
    memory = {
        "w.mem": hex_lines(rng.integers(0, 2, (steps, pe * simd), np.uint8)),
        "t.mem": hex_lines(rng.integers(0, 2, (folds, pe * (1 + acc_width)), np.uint8)),
    }
    values = {"MW": mw, "MH": mh, "PE": pe, "SIMD": simd, "AccWidth": acc_width, "WeightStyle": 1, "ThresholdStyle": 1}
    return RtlModule("xnor_mvtu", {**values, "WeightFile": "w.mem", "ThresholdFile": "t.mem"}, memory)


def area(mw: int, mh: int, pe: int, simd: int, acc_width: int, family: str) -> Area:
    return kernel_synthesis(unit(mw, mh, pe, simd, acc_width), family).area


def test_weights_of_an_unrolled_layer_are_constants() -> None:
    """One word of weights: no ROM, no XNOR, no replay, no control, and nothing to accumulate."""
    folded, unrolled = area(32, 4, 2, 16, 6, "ecp5"), area(16, 2, 2, 16, 5, "ecp5")
    assert folded.bram > 0
    assert unrolled.bram == 0
    assert unrolled.lut < 0.6 * folded.lut


@pytest.mark.slow
@pytest.mark.parametrize(("pe", "simd"), [(16, 64), (32, 32)])
@pytest.mark.parametrize(("family", "most"), [("ecp5", 1.75), ("xc7", 1.25), ("gowin", 1.70)])
def test_lut_per_binary_op(pe: int, simd: int, family: str, most: float) -> None:
    """512 x 512 with 2,048 binary operations a cycle, control, replay, accumulators and comparators included."""
    assert area(512, 512, pe, simd, 10, family).lut / (2 * pe * simd) <= most
