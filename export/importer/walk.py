"""The walk along a file's data paths that writes the canonical graph.

Every node is also executed once on a blank image: so shapes are known without shape inference, and whatever depends on shapes
alone (the Shape-Gather-Concat-Reshape chains of older exporters) is a constant.
"""

import numpy as np
import onnx

from flipflow.export.evaluate import QUANT_DOMAINS, evaluate
from flipflow.export.importer import operators as ops
from flipflow.export.importer.builder import GraphBuilder
from flipflow.export.importer.join import note_mismatch, write_add
from flipflow.export.importer.quantizers import weight_quantizer
from flipflow.export.importer.read import Source
from flipflow.export.importer.state import Place, WriterState
from flipflow.export.importer.weights import QuantWeight
from flipflow.export.importer.writer import finish, write
from flipflow.export.problems import Problems


class _Abandoned(Exception):
    """The walk cannot go on; the reason is in the problems."""


def canonicalize(source: Source) -> tuple[onnx.ModelProto | None, Problems]:
    """The canonical model of `source`, and all problems found; the model is None where the walk could not finish."""
    walk = _Walk(source)
    try:
        for node in source.nodes:
            walk.visit(node)
        finish(walk.state)
    except _Abandoned:
        return None, walk.problems
    model = None if walk.problems.found else walk.builder.model()
    return model, walk.problems


class _Walk:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems = Problems()
        self.constants: dict[str, np.ndarray] = dict(source.initializers)
        self.weights: dict[str, QuantWeight] = {}
        self.values: dict[str, np.ndarray] = {source.input_name: np.zeros(source.input_shape, np.float32)}
        self.builder = GraphBuilder(source.input_name, source.input_shape)
        self.state = WriterState(self.builder, self.problems, self.constants, self.weights, source.opset)
        # Where each tensor of the source file is in the canonical graph, and the host's tensors that were gone on from.
        self.places: dict[str, Place] = {source.input_name: self.state.place()}
        self.host_read: set[str] = set()

    def visit(self, node: onnx.NodeProto) -> None:
        """Fold or write one node. Whatever a malformed node breaks on the way is its problem, not a traceback."""
        try:
            self._visit(node)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._abandon(node, "E204", f"it is malformed ({error}).", "Check the exporter that wrote it.")

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.domain not in ("", "ai.onnx", *QUANT_DOMAINS):
            self._abandon(node, "E204", f"its operator is of the unknown domain {node.domain!r}.")
        on_data = [name for name in node.input if name in self.values]
        if not on_data:
            self._fold(node)
        elif node.op_type == "Shape":
            self.constants[node.output[0]] = self._run(node)
        else:
            self._step(node, on_data)

    def _fold(self, node: onnx.NodeProto) -> None:
        """A node on constants alone: its value, and the quantization it states or passes on."""
        result = self._run(node)
        self.constants[node.output[0]] = result
        if node.op_type in ops.QUANTIZERS:
            weight = weight_quantizer(self.state, node)
            if weight is not None:
                self.weights[node.output[0]] = weight
            else:
                self.state.refused.add(node.output[0])
        elif not node.input or node.op_type not in ops.MOVES | {"Identity"}:
            return
        elif node.input[0] in self.state.refused:
            self.state.refused.add(node.output[0])
        elif node.input[0] in self.weights:
            before = self.weights[node.input[0]]
            context = dict(self.constants) | {node.input[0]: before.integers}
            moved = evaluate(node, context, self.source.opset)[0]
            self.weights[node.output[0]] = before.reshaped(moved)

    def _step(self, node: onnx.NodeProto, on_data: list[str]) -> None:
        if node.op_type == "Add" and len(on_data) == 2:
            self._require_addable(node, (on_data[0], on_data[1]))
        after = self._run(node)
        self.values[node.output[0]] = after
        if len(on_data) > 1:
            self._join(node, on_data, after)
        else:
            self._go_on(node, on_data[0], after)
        self.places[node.output[0]] = self.state.place()

    def _require_addable(self, node: onnx.NodeProto, names: tuple[str, str]) -> None:
        """Two branches of other sizes are told by name, before the node fails on them."""
        shapes = self.values[names[0]].shape, self.values[names[1]].shape
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            note_mismatch(self.state, node, names, shapes)
            raise _Abandoned from None

    def _go_on(self, node: onnx.NodeProto, source: str, after: np.ndarray) -> None:
        """A node on one tensor; which others read that tensor, too, matters on the host only."""
        place = self.places[source]
        self.state.go(place)
        if place.on_host and node.op_type not in ops.SKIPPED:
            if place.tensor in self.host_read:
                self._abandon(
                    node,
                    "E203",
                    "two paths part here, before the first quantizer: one tensor of integers must enter the hardware.",
                    "Quantize the data before they are read twice.",
                )
            self.host_read.add(place.tensor)
        if not write(self.state, node, self.values[source], after):
            raise _Abandoned

    def _join(self, node: onnx.NodeProto, on_data: list[str], after: np.ndarray) -> None:
        places = [self.places[name] for name in on_data]
        if node.op_type != "Add" or len(places) != 2 or any(place.on_host for place in places):
            self._abandon(
                node,
                "E203",
                "two paths of data meet here; only an Add of two quantized tensors may join them.",
                "Join paths by adding tensors that are quantized to one power-of-two scale.",
            )
        if not write_add(self.state, node, (places[0], places[1]), (on_data[0], on_data[1]), after):
            raise _Abandoned

    def _run(self, node: onnx.NodeProto) -> np.ndarray:
        context = {name: self._value(name) for name in node.input if name}
        if ops.absurd_size(node, context):
            self._abandon(node, "E204", "it asks for a tensor of absurd size.", "Check the exporter that wrote it.")
        try:
            return evaluate(node, context, self.source.opset)[0]
        except Exception as error:  # onnxruntime raises many kinds; all mean that the node is malformed
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            self._abandon(node, "E204", f"it cannot be executed ({reason}).", "Check the exporter that wrote it.")
            raise AssertionError from error

    def _value(self, name: str) -> np.ndarray:
        value = self.values.get(name, self.constants.get(name))
        if value is None:
            self.problems.add("E201", name, "a node reads this tensor, but nothing makes it.", "Export the file again.")
            raise _Abandoned
        return value

    def _abandon(
        self, node: onnx.NodeProto, code: str, what: str, fix: str = "See docs/layers.md for what is supported."
    ) -> None:
        self.problems.add(code, f"{node.op_type} node {node.name or node.output[0]!r}", what, fix)
        raise _Abandoned
