"""The state that the writers of the canonical graph share, and what each of them does with it."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import onnx

from flipflow.export.importer.builder import GraphBuilder
from flipflow.export.importer.weights import QuantWeight
from flipflow.export.problems import Problems


@dataclass(frozen=True)
class Activation:
    """Quantization of a tensor, whose integers lie in low..high. summed: of two tensors within both of these ranges, it is the
    sum, and may have left them.
    """

    scale: float
    bipolar: bool
    low: int = -1
    high: int = 1
    summed: tuple[tuple[int, int], tuple[int, int]] | None = None


@dataclass(frozen=True)
class Place:
    """A tensor of the source file as the canonical graph has it: from here a writer goes on. Fields as in WriterState."""

    tensor: str
    shape: tuple[int, ...]
    view: np.ndarray
    activation: Activation | None
    on_host: bool
    pending_pad: tuple[tuple[int, int, int, int], float] | None


def label(node: onnx.NodeProto) -> str:
    """The node's name for messages: its own, or its first output's."""
    name: str = node.name or (node.output[0] if node.output else node.op_type)
    return name


@lru_cache(maxsize=64)
def indices(shape: tuple[int, ...]) -> np.ndarray:
    """The flat index of every element of a tensor of this shape; read-only, and the same array for the same shape."""
    flat = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    flat.flags.writeable = False
    return flat


@dataclass
class WriterState:
    """What is known of the tensor at which the writer stands.

    Reshapes and transposes behind the first quantizer are not written: `view` holds, in the shape the source file sees, the
    flat index of every element in the canonical tensor, and a MatMul takes the permutation into its weight rows.
    """

    builder: GraphBuilder
    problems: Problems
    constants: dict[str, np.ndarray]
    weights: dict[str, QuantWeight]
    opset: int
    refused: set[str] = field(default_factory=set)  # outputs of weight quantizers that a problem was noted for
    activation: Activation | None = None
    on_host: bool = True
    layers: int = 0
    view: np.ndarray = field(init=False)
    pending_pad: tuple[tuple[int, int, int, int], float] | None = None

    def __post_init__(self) -> None:
        self.view = indices(self.builder.shape)

    def place(self) -> Place:
        """Where the writer stands now."""
        builder = self.builder
        return Place(builder.current, builder.shape, self.view, self.activation, self.on_host, self.pending_pad)

    def go(self, place: Place) -> None:
        """Stand where another part of the network left off."""
        self.builder.current, self.builder.shape = place.tensor, place.shape
        self.view, self.activation = place.view, place.activation
        self.on_host, self.pending_pad = place.on_host, place.pending_pad

    def problem(self, node: onnx.NodeProto, code: str, what: str, fix: str) -> None:
        """Note a problem of this node; the walk goes on or not as its code says."""
        self.problems.add(code, f"{node.op_type} node {label(node)!r}", what, fix)

    @property
    def is_plain(self) -> bool:
        """Whether the source file sees the canonical tensor itself here, neither transposed nor reshaped."""
        own = indices(self.builder.shape)
        return self.view is own or np.array_equal(self.view, own)

    def require_plain(self, node: onnx.NodeProto) -> bool:
        """Whether the source file sees the canonical NCHW tensor itself here."""
        plain = self.is_plain
        if not plain:
            self.problem(
                node,
                "E214",
                "it sees the data transposed or reshaped.",
                "Keep NCHW between layers; only a flatten before a fully connected layer may reorder.",
            )
        return plain

    def now(self, shape: tuple[int, ...]) -> None:
        """The canonical tensor has this shape, and the source file sees it as it is."""
        self.builder.shape = shape
        self.view = indices(shape)

    def channel_vector(self, value: np.ndarray, seen: tuple[int, ...]) -> np.ndarray | None:
        """`value`, which broadcasts to the shape the source sees, as [1, C, 1, 1] or [1, C] of the canonical tensor."""
        if value.size == 1:
            return value.reshape(())
        if self.on_host:
            return value
        shape = self.builder.shape
        own = (1, shape[1], *[1] * (len(shape) - 2))
        if value.shape == own and self.is_plain:
            return value
        flat = np.empty(int(np.prod(shape)), value.dtype)
        flat[self.view.reshape(-1)] = np.broadcast_to(value, seen).reshape(-1)
        spread = flat.reshape(1, shape[1], -1)
        if not np.all(spread == spread[:, :, :1]):
            return None
        return spread[:, :, 0].reshape(own)
