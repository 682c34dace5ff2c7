"""Thresholds of the streamlined graph: read, cut to what can be reached, and put into a kernel of their own."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.hw.conversion.net import Flow, Net, attributes_of, refuse
from flipflow.hw.graph import Attributes

Ints = NDArray[np.int64]
# From so many levels on, a multiplication is cheaper than comparators (two LUTs for every two bits of each).
MANY = 16


@dataclass(frozen=True)
class Levels:
    """Thresholds of a node: levels int64 [C, N], rising; invert [C]; the output's datatype and bias."""

    levels: Ints
    invert: Ints
    dtype: str
    bias: int

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest result."""
        return (-1, 1) if self.dtype == "BIPOLAR" else (self.bias, self.bias + self.levels.shape[1])

    def clipped(self, low: Ints, high: Ints) -> "Levels":
        """With levels cut to low..high + 1 ("never"), [C] each; a lone "never" becomes "always" of the other sense.

        So that a constant channel needs no accumulator bit beyond those that the sums need.
        """
        levels = np.clip(self.levels, low[:, None], high[:, None] + 1)
        invert = self.invert.copy()
        if levels.shape[1] == 1:
            never = levels[:, 0] > high
            levels[never, 0] = low[never]
            invert[never] ^= 1
        return replace(self, levels=levels, invert=invert)

    def of_sums(self, fan_in: int) -> "Levels":
        """Thresholds on popcounts p as thresholds on sums s = 2p - K: p >= T is s >= 2T - K."""
        return replace(self, levels=2 * self.levels - fan_in)


def read_levels(net: Net, node: Any, channels: int) -> Levels:
    """Thresholds of a MultiThreshold or Threshold node, as the streamlined graph has them.

    Raises: FlipflowError E302 where they are not integers in rising order, or the output is encoded otherwise than documented.
    """
    attributes, dtype = attributes_of(node), net.dtype(node.output[0])
    levels = np.asarray(net.model.get_initializer(node.input[1]), dtype=np.float64)
    if not np.array_equal(levels, np.rint(levels)) or (np.diff(levels, axis=1) < 0).any():
        raise refuse(node, "its thresholds are not integers in rising order.")
    falling = net.model.get_initializer(node.input[2]) if node.op_type == "Threshold" else np.zeros(channels)
    scale, bias = float(attributes.get("out_scale", 1.0)), float(attributes.get("out_bias", 0.0))
    declared = attributes["out_dtype"].decode()
    if (scale, bias) != (2.0, -1.0) if declared == "BIPOLAR" else scale != 1.0 or bias != round(bias):
        raise refuse(node, f"output scale {scale} and bias {bias} do not belong to {declared}.")
    wide = np.broadcast_to(levels.astype(np.int64), (channels, levels.shape[1])).copy()
    invert = np.broadcast_to(np.asarray(falling) != 0, (channels,)).astype(np.int64)
    return Levels(wide, invert, dtype, 0 if dtype == "BIPOLAR" else int(bias))


def add_levels(net: Net, flow: Flow, read: Levels) -> Flow:
    """Append what turns the integers of a stream into levels: a line where there are many and one is exact, else comparators.

    read: in the domain of the stream. Returns the stream that leaves.
    """
    channels = flow.shape[-1]
    reach = np.full(channels, flow.low), np.full(channels, flow.high)
    line = find_line(read, *reach)
    return add_requantize(net, flow, read, line) if line is not None else _comparators(net, flow, read.clipped(*reach))


def find_line(read: Levels, low: Ints, high: Ints, step: int = 1) -> Any:
    """The flipflow.hw.requantize.Line that equals thresholds on integers low, low + step, ... high of each channel [C]; None
    where there are few levels, or no line is exact.
    """
    from flipflow.hw.requantize import fit_line  # noqa: PLC0415

    if read.levels.shape[1] < MANY or read.dtype == "BIPOLAR":
        return None
    cut = read.clipped(low, high)
    return fit_line(cut.levels, low, high, cut.invert, cut.bias, step)


def add_requantize(net: Net, flow: Flow, read: Levels, line: Any) -> Flow:
    """Append a Requantize on the integers of a stream, in place of the thresholds `read`."""
    minimum, maximum = read.range
    values: Attributes = _ends(flow, read) | {"Minimum": minimum, "Maximum": maximum} | line.attributes(flow.dtype)
    name = net.name("requant")
    net.add("Requantize", name, values, flow, {"factor": line.factor, "offset": line.offset})
    return replace(flow, port=name, dtype=read.dtype, low=minimum, high=maximum, popcount_of=None)


def _ends(flow: Flow, read: Levels) -> Attributes:
    values: Attributes = {"Channels": flow.shape[-1], "Leading": list(flow.shape[:-1])}
    return values | {"inputDataType": flow.dtype, "outputDataType": read.dtype}


def _comparators(net: Net, flow: Flow, read: Levels) -> Flow:
    """Append a Threshold."""
    from flipflow.hw.kernels.base import is_signed  # noqa: PLC0415
    from flipflow.hw.kernels.rom import signed_width, unsigned_width  # noqa: PLC0415

    top = max(flow.high, int(read.levels.max()))
    low = min(flow.low, int(read.levels.min()))
    width = signed_width(low, top) if is_signed(flow.dtype) else unsigned_width(top)
    values: Attributes = _ends(flow, read) | {"AccWidth": max(width, _bits(flow.dtype))}
    values |= {"Thresholds": read.levels.shape[1], "OutBias": read.bias}
    name = net.name("threshold")
    net.add("Threshold", name, values, flow, {"thresholds": read.levels, "invert": read.invert})
    low, high = read.range
    return replace(flow, port=name, dtype=read.dtype, low=low, high=high, popcount_of=None)


def _bits(dtype: str) -> int:
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    return int(DataType[dtype].bitwidth())


def as_integers(net: Net, flow: Flow) -> Flow:
    """A bipolar stream as one of integers: its bits become -1 and +1 in two's complement."""
    if flow.dtype != "BIPOLAR":
        return flow
    channels = flow.shape[-1]
    both = Levels(np.ones((channels, 2), np.int64), np.zeros(channels, np.int64), "INT2", -1)
    return _comparators(net, flow, both)
