"""Cuts a canonical QONNX file into stages (see `network`): where heads read, where several nodes read, where paths meet."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from onnx import NodeProto

from flipflow.errors import FlipflowError
from flipflow.export.finn.epilogue import check_epilogue
from flipflow.export.finn.formats import QUANTIZERS, Format
from flipflow.export.finn.heads import node_format, read_layer, read_sum
from flipflow.export.finn.network import (
    COMPUTE,
    SHAPING,
    SUM_POOLS,
    Head,
    Join,
    Layer,
    Network,
    Segment,
    Stage,
    fail,
    label,
    shape_of,
)

Flat = tuple[int, int, int]


def read_network(model: Any) -> Network:
    """Splits a canonical QONNX model (ModelWrapper).

    Raises: FlipflowError E251 (quantizer), E252 (paths that part before the first quantizer, or meet otherwise than by an
    Add of one scale), E253 (weights or input not quantized), E254 (convolution, pool or padding out of the supported set),
    E255 (a head's input not quantized), E256 (epilogue).
    """
    nodes = _data_nodes(model)
    readers = Counter(name for node, inputs in nodes for name in inputs)
    start = _first_quantizer(model, nodes, readers)
    walk = _Walk(model, readers, nodes[start][0])
    for index, (node, inputs) in enumerate(nodes[start + 1 :]):
        walk.visit(index, node, inputs)
    return walk.network()


def _data_nodes(model: Any) -> list[tuple[NodeProto, list[str]]]:
    """The nodes that depend on the image, producers first, each with its inputs that do, in order."""
    dynamic, found = {model.graph.input[0].name}, []
    for node in model.graph.node:
        inputs = [name for name in node.input if name in dynamic]
        if inputs:
            dynamic |= set(node.output)
            found.append((node, inputs))
    return found


def _first_quantizer(model: Any, nodes: list[tuple[NodeProto, list[str]]], readers: Counter[str]) -> int:
    """Index of the first quantizer; before it there may only be a chain, which is the host's."""
    for index, (node, inputs) in enumerate(nodes):
        if node.op_type in COMPUTE:
            fix = "Quantize the input first, for instance with an 8-bit unsigned Quant node."
            raise fail("E253", node, "it comes before the first activation quantizer.", fix)
        if len(inputs) > 1 or readers[inputs[0]] > 1:
            fix = "Quantize the image first, then let paths part."
            raise fail("E252", node, "paths part before the first quantizer.", fix)
        if node.op_type in QUANTIZERS:
            return index
    where = f"graph {model.graph.name!r}"
    raise FlipflowError("E253", "it has no activation quantizer.", where, "Quantize the input and the activations.")


@dataclass(frozen=True)
class _Run:
    """A tensor as what a run of nodes makes of the value, or the head's result, `start`."""

    start: str
    nodes: tuple[NodeProto, ...] = ()
    position: int = 0  # of the first of them

    def then(self, node: NodeProto, index: int) -> "_Run":
        return _Run(self.start, (*self.nodes, node), self.position if self.nodes else index)


@dataclass(frozen=True)
class _Head:
    head: Head
    sources: tuple[str, ...]
    position: int


class _Walk:
    """Goes through the nodes behind the first quantizer. `values`: formats of the tensors at which stages end."""

    def __init__(self, model: Any, readers: Counter[str], quantizer: NodeProto) -> None:
        self.model = model
        self.readers = readers
        self.source = quantizer.output[0]
        self.first = node_format(model, quantizer)
        self.values: dict[str, Format] = {self.source: self.first}
        self.runs = {self.source: _Run(self.source)}
        self.heads: dict[str, _Head] = {}
        self.segments: list[tuple[Segment, str, int]] = []
        self.flat: dict[str, Flat] = {}

    def visit(self, index: int, node: NodeProto, inputs: list[str]) -> None:
        """Takes in the node at place `index`, of whose inputs those in `inputs` depend on the image."""
        end = node.output[0]
        if self.readers[end] == 0 and end != self.model.graph.output[0].name:
            raise fail("E252", node, "nothing reads its result.", "Remove the path that leads nowhere.")
        if len(inputs) > 1 and node.op_type != "Add":
            raise fail("E252", node, f"it joins {len(inputs)} paths.", "Paths can only meet in an Add of two tensors.")
        if len(inputs) > 1:
            self._join(index, node, inputs)
        elif node.op_type in COMPUTE:
            self._layer(index, node, inputs[0])
        elif node.op_type in SUM_POOLS:
            source = self._value(inputs[0], node)
            self._head(index, read_sum(self.model, node, source), (source,))
        else:
            self.runs[end] = self.runs[inputs[0]].then(node, index)
            if self.readers[end] > 1 and self._whole(self.runs[end]):
                self._value(end, node)

    # --- heads ---

    def _head(self, index: int, head: Head, sources: tuple[str, ...]) -> None:
        self.heads[head.y] = _Head(head, sources, index)
        self.runs[head.y] = _Run(head.y)

    def _layer(self, index: int, node: NodeProto, tensor: str) -> None:
        run = self.runs[tensor]
        pad = run.nodes[-1] if node.op_type == "Conv" and run.nodes and run.nodes[-1].op_type == "Pad" else None
        source = self._value(tensor if pad is None else pad.input[0], node)
        shape = shape_of(self.model, source)
        if node.op_type == "MatMul" and len(shape) != 2:
            raise fail("E254", node, f"its input has shape {shape}.", "Flatten it first.")
        self._head(index, read_layer(self.model, node, pad, self.values[source]), (source,))

    def _join(self, index: int, node: NodeProto, inputs: list[str]) -> None:
        one, other = (self._value(name, node) for name in inputs)
        first, second = self.values[one].scale, self.values[other].scale
        if first != second:
            what = f"it adds {inputs[0]!r} in steps of {first:g} and {inputs[1]!r} in steps of {second:g}."
            fix = (
                "Quantize both to one power-of-two scale; in [model], residual_fraction sets it for the whole network."
            )
            raise fail("E252", node, what, fix)
        shapes = [shape_of(self.model, name) for name in (one, other)]
        if shapes[0] != shapes[1] or self.flat.get(one) != self.flat.get(other):
            what = f"it adds tensors of shape {shapes[0]} and {shapes[1]}, or flattened in different orders."
            raise fail("E252", node, what, "Bring both paths to the same channels, rows and columns.")
        self._head(index, Join(label(node), node.output[0]), (one, other))
        if one in self.flat:
            self.flat[node.output[0]] = self.flat[one]

    # --- where stages end ---

    def _whole(self, run: _Run) -> bool:
        """Whether a run's result are integers: it ends in a quantizer, or only pools and flattens what is quantized."""
        tail = _last_quantizer(run.nodes)
        return (tail > 0 or run.start in self.values) and all(node.op_type in SHAPING for node in run.nodes[tail:])

    def _value(self, tensor: str, reader: NodeProto) -> str:
        """Ends a stage at a tensor that `reader` (or several) takes as integers; the tensor's name as a value."""
        run = self.runs[tensor]
        if not self._whole(run):
            loose = next((n for n in run.nodes[_last_quantizer(run.nodes) :] if n.op_type not in SHAPING), None)
            if loose is None:
                what = f"no quantizer stands between it and {self.heads[run.start].head.name!r}."
                raise fail("E255", reader, what, "Put a quantizer (BipolarQuant or Quant) between the two.")
            fix = f"Put a quantizer (BipolarQuant or Quant) between it and {label(reader)!r} ({reader.op_type})."
            raise fail("E255", loose, "its output reaches the next layer unquantized.", fix)
        if not run.nodes:
            return run.start
        count = _last_quantizer(run.nodes)
        form = node_format(self.model, run.nodes[count - 1]) if count else None
        self.segments.append((Segment(run.nodes, count, form, run.start), tensor, run.position))
        self.values[tensor] = form or self.values[run.start]
        self._keep_order(run, tensor)
        self.runs[tensor] = _Run(tensor)
        return tensor

    def _keep_order(self, run: _Run, end: str) -> None:
        """Remembers of which map a flattened tensor is made, for the stream goes on in NHWC order."""
        if run.start in self.flat:
            self.flat[end] = self.flat[run.start]
        for node in run.nodes:
            shape = shape_of(self.model, node.input[0])
            if node.op_type == "Flatten" and len(shape) == 4:
                self.flat[end] = (shape[1], shape[2], shape[3])

    # --- the result ---

    def network(self) -> Network:
        """All stages; a head takes in the segment behind it where there is one only."""
        run = self.runs[self.model.graph.output[0].name]
        last = self.heads.get(run.start)
        if not any(isinstance(item.head, Layer) for item in self.heads.values()):
            raise FlipflowError(
                "E253", "it has no Conv or MatMul.", f"graph {self.model.graph.name!r}", "Nothing to lower."
            )
        if last is None or not isinstance(last.head, Layer):
            fix = "End the network with a Conv or MatMul, whose sums are the logits."
            raise FlipflowError("E256", "it does not end in a layer.", f"graph {self.model.graph.name!r}", fix)
        check_epilogue(self.model, list(run.nodes))
        stages = list(self._stages())
        stages.sort(key=lambda stage: stage.position)
        return Network(self.model, self.source, self.first, tuple(stages), last.head.y, self.flat)

    def _stages(self) -> Iterable[Stage]:
        starts = Counter(segment.source for segment, _, _ in self.segments)
        for y, item in self.heads.items():
            if starts[y] != 1:
                yield Stage(item.head, item.sources, Segment((), 0, None, y), y, item.position)
        for segment, end, position in self.segments:
            own = self.heads.get(segment.source) if starts[segment.source] == 1 else None
            if own is not None:
                yield Stage(own.head, own.sources, segment, end, own.position)
            else:
                yield Stage(None, (segment.source,), segment, end, position)


def _last_quantizer(nodes: tuple[NodeProto, ...]) -> int:
    """How many nodes lead up to the last quantizer, it included."""
    return max((index + 1 for index, node in enumerate(nodes) if node.op_type in QUANTIZERS), default=0)
