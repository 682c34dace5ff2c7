"""What every kernel's FINN op shares: its streams, and from these FINN's shapes, widths and datatypes.

Tensors on the edges hold the integers that the stream means, as float32 (exact below 2^24), channels last: bipolar
streams hold -1 and +1 (hardware bit 1 = +1, 0 = -1). A stream with a mask bit marks padded taps; in the tensor they
hold `mask_value` of the datatype.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from numpy.typing import NDArray
from qonnx.core.datatype import DataType

Tensor = NDArray[Any]
Schedule = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """One side of a kernel: `elems` elements of `dtype` a beat (element 0 in the low bits), above them a mask bit if
    `mask`.

    side: further bits above these that are no tensor elements (class and last beside the logits).

    shape: the tensor of one frame as FINN sees it, batch 1, channels last; a beat covers `elems` neighbours of its last
    axis.
    """

    shape: tuple[int, ...]
    elems: int
    dtype: str
    mask: bool = False
    side: int = 0

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return int(DataType[self.dtype].bitwidth())

    @property
    def width(self) -> int:
        """Bits of one beat."""
        return self.elems * self.bits + int(self.mask) + self.side

    @property
    def beats(self) -> int:
        """Beats of one frame."""
        return int(np.prod(self.shape)) // self.elems


@dataclass(frozen=True)
class Bits:
    """Value of a parameter that is a vector of `width` bits."""

    value: int
    width: int


def flag(value: bool | int) -> Bits:
    """Value of a one-bit parameter."""
    return Bits(int(bool(value)), 1)


Parameters = dict[str, int | str | Bits]


@dataclass(frozen=True)
class RtlModule:
    """An instance of an RTL kernel: its module, parameter values, and memory files (name -> hexadecimal lines).

    A parameter is an int, a vector of bits, or a str, which names a memory file of the instance.
    """

    name: str
    parameters: Parameters
    memory: dict[str, list[str]] = field(default_factory=dict)


def mask_value(dtype: str) -> int:
    """What a masked tap holds in a tensor: 0 for bipolar data, one below the smallest value otherwise."""
    return 0 if dtype == "BIPOLAR" else int(DataType[dtype].min()) - 1


def is_signed(dtype: str) -> bool:
    """True where elements are two's complement numbers (bipolar ones are not: they are single bits)."""
    return dtype != "BIPOLAR" and bool(DataType[dtype].min() < 0)


class KernelOp(HWCustomOp):  # type: ignore[misc]
    """Base of the kernels' ops. A subclass states its streams, its RTL instance, its cycle model and its meaning.

    A kernel with several streams on a side states `in_streams` or `out_streams`, too; its RTL has then one valid and one
    ready bit for each of them, stream 0 in bit 0. Its node's inputs are these streams, then its constants.
    """

    @abstractmethod
    def in_stream(self) -> Stream:
        """The stream this kernel takes; of several, the first."""

    @abstractmethod
    def out_stream(self) -> Stream:
        """The stream this kernel makes; of several, the first."""

    def in_streams(self) -> tuple[Stream, ...]:
        """All streams this kernel takes, in the order of the node's inputs."""
        return (self.in_stream(),)

    def out_streams(self) -> tuple[Stream, ...]:
        """All streams this kernel makes, in the order of the node's outputs."""
        return (self.out_stream(),)

    @abstractmethod
    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The RTL instance. params: the op's constant inputs by name (weights, thresholds, ...)."""

    @abstractmethod
    def schedule(self) -> Schedule:
        """The cycle model's description of this kernel (see flipflow.sim.cycle_model)."""

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The kernel's meaning on integers, where it takes one stream: int64 tensor [N, ...] (channels last) to int64
        tensor. What leaves by several streams is the same on each. Kernels of several inputs state `run_many` instead.
        """
        raise NotImplementedError(f"{self.name} takes {len(self.in_streams())} streams: call run_many")

    def run_many(self, tensors: tuple[Tensor, ...], params: dict[str, Tensor]) -> Tensor:
        """The kernel's meaning on integers: an int64 tensor [N, ...] for each input stream to an int64 tensor."""
        (tensor,) = tensors
        return self.run(tensor, params)

    @abstractmethod
    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """The op's own node attributes, in qonnx's form: name -> (type, required, default)."""

    def parameter_names(self) -> tuple[str, ...]:
        """Names of the constant inputs, in input order after the streams."""
        return ()

    # helpers

    def integer(self, name: str) -> int:
        """An integer attribute."""
        # Folding asks for millions: where the node has it, qonnx's look at its definition is left out.
        for item in self.onnx_node.attribute:
            if item.name == name:
                return int(item.i)
        return int(self.get_nodeattr(name))

    def text(self, name: str) -> str:
        """A string attribute."""
        for item in self.onnx_node.attribute:
            if item.name == name:
                return str(item.s.decode())
        return str(self.get_nodeattr(name))

    def pair(self, name: str) -> tuple[int, int]:
        """An attribute of two integers, (height, width)."""
        first, second = self.get_nodeattr(name)
        return int(first), int(second)

    @property
    def name(self) -> str:
        """The node's name: also the RTL instance's and the memory files' stem."""
        return str(self.onnx_node.name)

    # qonnx and FINN

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes of FINN's base class and this kernel's."""
        return {**super().get_nodeattr_types(), **self.kernel_attributes()}

    def execute_node(self, context: dict[str, Tensor], graph: Any) -> None:
        """Run on the tensors of `context`; any batch size; a producer's tensor may group a frame's elements
        otherwise.
        """
        inputs, streams = list(self.onnx_node.input), self.in_streams()
        constants = inputs[len(streams) :]
        params = {key: np.asarray(context[name]) for key, name in zip(self.parameter_names(), constants, strict=True)}
        tensors = tuple(
            np.rint(context[name]).astype(np.int64).reshape(-1, *stream.shape[1:])
            for name, stream in zip(inputs, streams, strict=False)
        )
        result = self.run_many(tensors, params).astype(np.float32)
        for name in self.onnx_node.output:
            context[name] = result

    def infer_node_datatype(self, model: Any) -> None:
        """Annotate the outputs with their datatypes."""
        for index, name in enumerate(self.onnx_node.output):
            model.set_tensor_datatype(name, self.get_output_datatype(index))

    def verify_node(self) -> list[str]:
        """Nothing beyond what the conversion has already made sure of."""
        return []

    def get_input_datatype(self, ind: int = 0) -> Any:
        """Datatype of the elements of input stream `ind`."""
        return DataType[self.in_streams()[ind].dtype]

    def get_output_datatype(self, ind: int = 0) -> Any:
        """Datatype of the elements of output stream `ind`; TERNARY for bipolar elements among which there are masked
        taps.
        """
        stream = self.out_streams()[ind]
        return DataType["TERNARY"] if stream.mask and stream.dtype == "BIPOLAR" else DataType[stream.dtype]

    def get_normal_input_shape(self, ind: int = 0) -> list[int]:
        """Tensor shape of one frame."""
        return list(self.in_streams()[ind].shape)

    def get_normal_output_shape(self, ind: int = 0) -> list[int]:
        """Tensor shape of one frame."""
        return list(self.out_streams()[ind].shape)

    def get_folded_input_shape(self, ind: int = 0) -> list[int]:
        """Shape with the last axis split into beats and elements."""
        return _folded(self.in_streams()[ind])

    def get_folded_output_shape(self, ind: int = 0) -> list[int]:
        """Shape with the last axis split into beats and elements."""
        return _folded(self.out_streams()[ind])

    def get_instream_width(self, ind: int = 0) -> int:
        """Bits of an input beat, 0 for constant inputs."""
        streams = self.in_streams()
        return streams[ind].width if ind < len(streams) else 0

    def get_outstream_width(self, ind: int = 0) -> int:
        """Bits of an output beat."""
        return self.out_streams()[ind].width


def _folded(stream: Stream) -> list[int]:
    *outer, last = stream.shape
    # Beats may span the pixels of a map that the next kernel flattens: then the whole frame is split.
    if last % stream.elems == 0:
        return [*outer, last // stream.elems, stream.elems]
    return [1, stream.beats, stream.elems]
