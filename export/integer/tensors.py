"""What the lowering knows of a tensor of the canonical graph: integers that an operator gives, or floats on their way to such."""

from dataclasses import dataclass, replace

import numpy as np
import onnx

from flipflow.export.integer.chain import Reach
from flipflow.export.integer.net import ActType, Operator, PadKind


@dataclass(frozen=True)
class Border:
    """A constant border that the next convolution takes in: top, left, bottom, right, and its kind."""

    pads: tuple[int, int, int, int]
    kind: PadKind


@dataclass(frozen=True)
class Fixed:
    """Integers times `scale`: the result of operator number `wire`. shape: as in the file, NCHW or NC.

    alone: the tensor has one reader. flat_from: the shape before a Flatten.
    """

    wire: int
    type: ActType
    scale: float
    shape: tuple[int, ...]
    alone: bool
    border: Border | None = None
    flat_from: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Sums:
    """A tensor behind which a float chain has begun, on the integers that operator number `wire` gives.

    popcount_of: fan-in K where the operator counts matching bits. exact: float32 holds all the sums. nodes: of the chain so far;
    pools: those of them that are MaxPools. alone: every tensor of the chain so far has one reader.
    """

    wire: int
    reach: Reach
    popcount_of: int | None
    exact: bool
    alone: bool
    nodes: tuple[onnx.NodeProto, ...] = ()
    pools: tuple[onnx.NodeProto, ...] = ()

    def then(self, node: onnx.NodeProto, alone: bool) -> "Sums":
        """The chain with one more node, whose output has one reader where `alone`."""
        pools = (*self.pools, node) if node.op_type == "MaxPool" else self.pools
        return replace(self, nodes=(*self.nodes, node), pools=pools, alone=self.alone and alone)


Tensor = Fixed | Sums


def begin_chain(tensor: Fixed) -> Sums:
    """A float chain directly on a tensor of integers."""
    kind, channels = tensor.type, tensor.shape[1]
    low, high = np.full(channels, kind.minimum, np.int64), np.full(channels, kind.maximum, np.int64)
    step = 2 if kind.bipolar else 1
    reach = Reach(kind.minimum, kind.maximum, step, low, high, tensor.scale, len(tensor.shape))
    return Sums(tensor.wire, reach, None, True, tensor.alone)


def spanning(minimum: int, maximum: int) -> ActType:
    """The narrowest type that holds all integers of minimum..maximum."""
    signed = minimum < 0
    bits = max(maximum.bit_length(), (-minimum - 1).bit_length() if signed else 0, 0 if signed else 1) + int(signed)
    return ActType(bits, signed, False, minimum, maximum)


class Wiring:
    """The operators so far, in order, and what each takes; names count up by kind."""

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.wires: list[tuple[int, ...]] = []
        self._counts: dict[str, int] = {}

    def name(self, kind: str) -> str:
        """conv_0, conv_1, ... by kind."""
        index = self._counts.get(kind, 0)
        self._counts[kind] = index + 1
        return f"{kind}_{index}"

    def add(self, operator: Operator, *sources: int) -> int:
        """Append an operator that takes the results of `sources`; its number."""
        self.operators.append(operator)
        self.wires.append(sources)
        return len(self.operators) - 1
