"""Which unit a matrix product takes, and how wide its sums are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.hw.kernels.mvtu import sum_dtype, sum_range
from flipflow.hw.kernels.rom import signed_width, unsigned_width


@dataclass(frozen=True)
class SumPlan:
    """A unit for a matrix product.

    low, high: reachable accumulator values, int64 [M], in the unit's domain (popcounts for XNOR). sum_dtype: of raw
    sums.
    """

    op_type: str
    weight_dtype: str
    sum_dtype: str
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def acc_width(self, levels: NDArray[np.int64] | None) -> int:
        """Accumulator bits that hold every sum of every channel and every threshold."""
        tops = [int(self.high.max())] + ([int(levels.max())] if levels is not None else [])
        if self.op_type == "XnorMvtu":
            return unsigned_width(max(tops))
        return signed_width(int(self.low.min()), max(tops))


def plan_sums(weights: NDArray[Any], weight_dtype: str, act_dtype: str, masked: bool) -> SumPlan | None:
    """Plan for weights [K, M] (bipolar ones as -1, +1) on a stream of `act_dtype`.

    None where the weights' datatype does not hold them.
    """
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    fan_in = weights.shape[0]
    bipolar_weights = weight_dtype in ("BIPOLAR", "BINARY")
    low, high = sum_range(weights, act_dtype)
    raw = sum_dtype(int(low.min()), int(high.max()))
    if bipolar_weights and act_dtype == "BIPOLAR":
        if not np.isin(weights, (-1, 1)).all():
            return None
        top = 2 * fan_in if masked else fan_in
        bounds = np.zeros_like(low), np.full_like(high, top)
        return SumPlan("XnorMvtu", "BIPOLAR", raw, *bounds)
    dtype = "BIPOLAR" if bipolar_weights else weight_dtype
    fits = np.isin(weights, (-1, 1)).all() if bipolar_weights else _holds(DataType[weight_dtype], weights)
    return SumPlan("MixedMvtu", _twos_complement(dtype), raw, low, high) if fits else None


def _holds(dtype: Any, weights: NDArray[Any]) -> bool:
    return bool(
        weights.min() >= dtype.min() and weights.max() <= dtype.max() and np.array_equal(weights, np.rint(weights))
    )


def _twos_complement(dtype: str) -> str:
    """The signed datatype that holds `dtype` (TERNARY: INT2, UINTk: INT(k+1)), or BIPOLAR itself."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    if dtype == "BIPOLAR":
        return dtype
    kind = DataType[dtype]
    return f"INT{max(2, signed_width(int(kind.min()), int(kind.max())))}"
