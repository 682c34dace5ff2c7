"""What the lowering knows of a canonical QONNX file: stages, from the first quantizer to the logits.

    preamble | first quantizer | stage, stage, ... | epilogue

The preamble and the epilogue run on the host. A stage is a head and the segment behind it. The head is what computes: a
layer, a sum over windows, an addition of two tensors, or nothing. The segment is what stands between the head's result and
the stage's end: elementwise nodes, quantizers, max-pools, a Flatten. Stages end where another head reads, or several read.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import FlipflowError
from flipflow.export.finn.formats import Format

COMPUTE = ("Conv", "MatMul")
SHAPING = ("MaxPool", "Flatten")
SUM_POOLS = ("ReduceSum", "ReduceMean", "GlobalAveragePool", "AveragePool")


@dataclass(frozen=True)
class Layer:
    """A Conv or MatMul.

    weights: int64, Conv [M,C,KH,KW], MatMul [K,M]. x, y: its input (before an explicit Pad) and output in the QONNX
    file. pads: [top,left,bottom,right]. scale: of the weights, real = integer * scale.
    """

    name: str
    weights: NDArray[np.int64]
    format: Format
    x: str
    y: str
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    pad_kind: str

    @property
    def is_conv(self) -> bool:
        """Whether it is a convolution."""
        return self.weights.ndim == 4

    @property
    def columns(self) -> NDArray[np.int64]:
        """Weights as [K,M], conv rows in (c, ky, kx) order."""
        if self.is_conv:
            return self.weights.reshape(self.weights.shape[0], -1).T
        return self.weights


@dataclass(frozen=True)
class WindowSum:
    """A sum or average over windows without padding; `node` in the QONNX file also divides, which the segment takes in."""

    name: str
    node: NodeProto
    y: str
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True)
class Join:
    """An addition of two tensors of one scale."""

    name: str
    y: str


Head = Layer | WindowSum | Join


@dataclass(frozen=True)
class Segment:
    """Nodes behind a head; `thresholds` of them lead to the last quantizer, the rest only pool and flatten."""

    nodes: tuple[NodeProto, ...]
    thresholds: int
    format: Format | None  # of the last quantizer; None where there is none
    source: str  # tensor it starts from


@dataclass(frozen=True)
class Stage:
    """sources: the values that it reads, by their ends' names: two for a Join. end: its result's name in the QONNX file.

    position: index of its first node in the file; a stage without a format gives raw sums (of its head), or what it read.
    """

    head: Head | None
    sources: tuple[str, ...]
    segment: Segment
    end: str
    position: int

    @property
    def raw(self) -> bool:
        """Whether its result are sums that no quantizer has made small."""
        return self.head is not None and self.segment.format is None


@dataclass(frozen=True)
class Network:
    """A canonical network. source: the first quantizer's output, shape NCHW or NC; first: its format.

    stages: producers first, in the file's order. output: the end of the last layer, whose sums are the logits.
    flat: for results that are flattened maps [1,F] in NCHW order: [C,H,W] of the map.
    """

    model: Any
    source: str
    first: Format
    stages: tuple[Stage, ...]
    output: str
    flat: dict[str, tuple[int, int, int]]

    def shape(self, tensor: str) -> list[int]:
        """Shape of a tensor in the QONNX file."""
        return shape_of(self.model, tensor)

    def readers(self, end: str) -> list[Stage]:
        """The stages that read a stage's result; a join may read one twice."""
        return [stage for stage in self.stages for source in stage.sources if source == end]


def shape_of(model: Any, tensor: str) -> list[int]:
    """Shape of a tensor in the QONNX file."""
    return [int(size) for size in model.get_tensor_shape(tensor)]


def label(node: NodeProto) -> str:
    """A node's name for messages."""
    return str(node.name or node.output[0])


def fail(code: str, node: NodeProto, what: str, fix: str) -> FlipflowError:
    """A coded error at a node."""
    return FlipflowError(code, what, f"node {label(node)!r} ({node.op_type})", fix)
