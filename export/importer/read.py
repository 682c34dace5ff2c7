"""Reading an ONNX file: errors a person understands, dead nodes dropped, nodes in order."""

import heapq
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from flipflow.errors import FlipflowError

OLDEST_OPSET = 9
_MOST_ELEMENTS = 1 << 26  # of one input image


@dataclass(frozen=True)
class Source:
    """A file's graph as read: nodes that matter in topological order, initializers, its one input and output, its opset."""

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    initializers: dict[str, np.ndarray]
    input_name: str
    input_shape: tuple[int, ...]
    output_name: str
    opset: int


def read_model(path: Path) -> Source:
    """Read `path`; batch size becomes 1.

    Raises: FlipflowError E200 (missing or unreadable), E201 (not a whole ONNX model), E202 (inputs, outputs or shapes).
    """
    model = _load(path)
    initializers = _initializers(model, path)
    inputs = [info for info in model.graph.input if info.name not in initializers]
    outputs = list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise FlipflowError(
            "E202",
            f"the model has {len(inputs)} inputs and {len(outputs)} outputs.",
            str(path),
            "Export a model with one image input and one logits output.",
        )
    nodes = _live_nodes(model.graph, outputs[0].name, path)
    return Source(
        name=path.name,
        nodes=tuple(nodes),
        initializers=initializers,
        input_name=inputs[0].name,
        input_shape=_input_shape(inputs[0], path),
        output_name=outputs[0].name,
        opset=_opset(model, path),
    )


def _load(path: Path) -> onnx.ModelProto:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlipflowError(
            "E200", f"{error.strerror or error}.", str(path), "Name an existing, readable .onnx file."
        ) from error
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise FlipflowError(
            "E201", "this is not an ONNX model, or it is cut short.", str(path), "Export or copy the file again."
        ) from error
    if not model.graph.node:
        raise FlipflowError("E201", "the model holds no nodes.", str(path), "Export or copy the file again.")
    return model


def _initializers(model: onnx.ModelProto, path: Path) -> dict[str, np.ndarray]:
    """Constants by name; those that the exporter put into a file beside the model are read from there."""
    values = {}
    for init in model.graph.initializer:
        try:
            values[init.name] = numpy_helper.to_array(init, str(path.parent))
        except Exception as error:  # onnx and numpy raise many kinds; all mean that the tensor is damaged or missing
            raise FlipflowError(
                "E201", f"constant {init.name!r} cannot be read ({error}).", str(path), "Export or copy the file again."
            ) from error
    return values


def _opset(model: onnx.ModelProto, path: Path) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    opset = versions[0] if versions else 13
    if opset < OLDEST_OPSET:
        raise FlipflowError(
            "E201",
            f"the model uses ONNX opset {opset}.",
            str(path),
            f"Export it with opset {OLDEST_OPSET} or newer.",
        )
    return opset


def _input_shape(info: onnx.ValueInfoProto, path: Path) -> tuple[int, ...]:
    dims = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in info.type.tensor_type.shape.dim]
    if len(dims) < 2 or any(size <= 0 for size in dims[1:]):
        raise FlipflowError(
            "E202",
            f"input {info.name!r} has the shape {dims or 'unknown'}; all but the batch must be known.",
            str(path),
            "Export with a fixed image size.",
        )
    if int(np.prod(dims[1:], dtype=object)) > _MOST_ELEMENTS:
        raise FlipflowError(
            "E202",
            f"input {info.name!r} has the shape {dims}, which no image has.",
            str(path),
            "Export the file again.",
        )
    return (1, *dims[1:])


def _live_nodes(graph: onnx.GraphProto, output: str, path: Path) -> list[onnx.NodeProto]:
    """Nodes on which `output` depends, producers first, else in the file's order (which nothing forces to be sound)."""
    producer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs: dict[int, set[int]] = {}
    wanted = [producer[output]] if output in producer else []
    while wanted:
        index = wanted.pop()
        if index not in needs:
            needs[index] = {producer[name] for name in graph.node[index].input if name in producer}
            wanted.extend(needs[index])
    readers: dict[int, list[int]] = {index: [] for index in needs}
    for index, sources in needs.items():
        for source in sources:
            readers[source].append(index)
    ready = [index for index, sources in needs.items() if not sources]
    heapq.heapify(ready)
    order: list[onnx.NodeProto] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(graph.node[index])
        for reader in readers[index]:
            needs[reader].discard(index)
            if not needs[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(needs):
        stuck = next(graph.node[index] for index, sources in needs.items() if sources)
        raise FlipflowError(
            "E201", f"tensor {stuck.output[0]!r} depends on itself.", str(path), "Export or copy the file again."
        )
    return order
