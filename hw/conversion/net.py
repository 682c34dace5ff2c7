"""The kernel graph under construction: kernels so far, and what each tensor of the streamlined graph has become."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.graph import SOURCE, Attributes, KernelNode

MATMULS = ("MatMul", "XnorPopcountMatMul")
LEVELS = ("MultiThreshold", "Threshold")
_PASSIVE = ("Window", "MaxMinPool", "Flatten")


@dataclass(frozen=True)
class Flow:
    """A tensor as the stream of a kernel. port: the kernel's output that carries it, as KernelNode.inputs names it.

    shape: of a frame, [1, ..., C]; dtype: of its elements; low, high: all of them lie within; masked: it has a mask bit.
    popcount_of: fan-in K where the streamlined graph has popcounts p for what here are sums s = 2p - K.
    """

    port: str
    shape: tuple[int, ...]
    dtype: str
    low: int
    high: int
    masked: bool = False
    popcount_of: int | None = None


@dataclass
class Net:
    """The streamlined graph (ModelWrapper), and the kernels made of it so far. flows: by tensor; ports: outputs of a tensor's
    fork that no reader has taken yet.
    """

    model: Any
    kernels: list[KernelNode] = field(default_factory=list)
    flows: dict[str, Flow] = field(default_factory=dict)
    ports: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Count who reads what."""
        self.readers = Counter(name for node in self.model.graph.node for name in node.input)

    def name(self, kind: str) -> str:
        """Next free name of a kind: conv0, conv1, fc0, ..."""
        return f"{kind}{sum(1 for item in self.kernels if item.name.rstrip('0123456789') == kind)}"

    def take(self, tensor: str) -> Flow:
        """The stream of a tensor for one of its readers: an output of its own of the fork behind it, if there are several."""
        flow = self.flows[tensor]
        if self.readers[tensor] == 1:
            return flow
        if tensor not in self.ports:
            self.ports[tensor] = self._fork(flow, self.readers[tensor])
        return replace(flow, port=self.ports[tensor].pop(0))

    def _fork(self, flow: Flow, outputs: int) -> list[str]:
        name = self.name("fork")
        values: Attributes = {"Shape": list(flow.shape), "Elems": 1, "Outputs": outputs, "dataType": flow.dtype}
        self.kernels.append(KernelNode("Fork", name, values | {"HasMask": int(flow.masked)}, {}, (flow.port,)))
        return [f"{name}:{index}" for index in range(outputs)]

    def give(self, tensor: str, flow: Flow) -> None:
        """Say what a tensor has become."""
        self.flows[tensor] = flow

    def add(
        self, op: str, name: str, values: Attributes, flow: Flow, params: dict[str, Any] | None = None, *others: Flow
    ) -> None:
        """Append a kernel that takes `flow`, and `others` behind it."""
        self.kernels.append(KernelNode(op, name, values, params or {}, tuple(item.port for item in (flow, *others))))

    def dtype(self, tensor: str) -> str:
        """FINN's datatype of a tensor's elements; BINARY ones are bipolar bits where an XNOR layer reads them, else 0 and 1."""
        dtype = str(self.model.get_tensor_datatype(tensor).name)
        return "BIPOLAR" if dtype == "BINARY" and self._xnor_reads(tensor) else dtype

    def _xnor_reads(self, tensor: str) -> bool:
        for node in self.model.find_consumers(tensor) or []:
            if node.op_type == "XnorPopcountMatMul" or (node.op_type in _PASSIVE and self._xnor_reads(node.output[0])):
                return True
        return False

    def following(self, node: Any) -> Any:
        """The node that reads a node's output, if there is one and only one."""
        readers = self.model.find_consumers(node.output[0]) or []
        return readers[0] if len(readers) == 1 and self.readers[node.output[0]] == 1 else None


def start(model: Any) -> Net:
    """The net with nothing but the graph's input."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    net, source = Net(model), model.graph.input[0].name
    dtype = net.dtype(source)
    low, high = int(DataType[dtype].min()), int(DataType[dtype].max())
    net.give(source, Flow(SOURCE, tuple(model.get_tensor_shape(source)), dtype, low, high))
    return net


def attributes_of(node: Any) -> dict[str, Any]:
    """A node's attributes by name."""
    from onnx import helper  # noqa: PLC0415

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def unsupported(node: Any, what: str) -> FlipflowError:
    """E301 at a node."""
    fix = "Export the network again, or see the list of operators in docs."
    return FlipflowError("E301", f"no kernel does {what}.", f"node {node.name or node.output[0]}", fix)


def refuse(node: Any, what: str, fix: str = "Export the network again.") -> FlipflowError:
    """E302 at a node."""
    return FlipflowError("E302", what, f"node {node.name or node.output[0]}", fix)
