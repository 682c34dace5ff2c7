"""Integer thresholds as the kernels apply them, shared by the units that carry a threshold ROM."""

import numpy as np

from flipflow.hw.kernels.base import Tensor
from flipflow.hw.kernels.rom import bits_of, hex_lines


def apply_thresholds(acc: Tensor, thresholds: Tensor, invert: Tensor, out_bias: int, bipolar: bool) -> Tensor:
    """Quantized activations of accumulators, to the integer.

    acc: int64 [..., C]; thresholds: [C, N], rising; invert: [C], nonzero where the channel falls.
    Returns out_bias + (number of thresholds passed, or N minus it), or -1 / +1 if bipolar (N = 1).
    """
    levels = np.asarray(thresholds).astype(np.int64)
    count = np.zeros_like(acc)
    for step in range(levels.shape[1]):
        count += acc >= levels[:, step]
    passed = np.where(np.asarray(invert) != 0, levels.shape[1] - count, count)
    return 2 * passed - 1 if bipolar else passed + out_bias


def threshold_lines(thresholds: Tensor, invert: Tensor, pe: int, width: int) -> list[str]:
    """Threshold ROM: C / pe words, a PE's field {invert, T_{N-1}, ..., T_0} of `width`-bit thresholds, PE 0 in the low
    bits.
    """
    channels = thresholds.shape[0]
    flags = (np.asarray(invert) != 0).astype(np.uint8).reshape(channels, 1)
    fields = np.concatenate([bits_of(np.asarray(thresholds).astype(np.int64), width), flags], axis=1)
    return hex_lines(fields.reshape(channels // pe, -1))
