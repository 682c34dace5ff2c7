"""Graphs of kernels: `flipflow.hw.kernels` nodes as an ONNX model, and back to op objects.

A graph is directed and acyclic, its nodes are in topological order. The first takes the tensor `images`, the last gives
`logits`; every other tensor goes from one kernel to one kernel (a Fork has an output for every consumer). The model's
metadata property `flipflow` (JSON) keeps what the streamlined graph says about its input and output.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.kernels import DOMAIN

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

Attributes = dict[str, int | str | list[int]]
SOURCE, SINK = "images", "logits"  # the graph's input and output


@dataclass(frozen=True)
class KernelNode:
    """A kernel to be put in a graph: op type, unique name, node attributes, constant inputs by name (in input order).

    inputs: the kernels whose outputs it takes, stream by stream: "fork0" or "fork0:1", the second output of fork0; "images"
    is the graph's input. Empty: the kernel before it in the list (the first kernel: the graph's input).
    """

    op_type: str
    name: str
    attributes: Attributes
    params: dict[str, NDArray[Any]] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


def assemble(kernels: list[KernelNode], meta: dict[str, Any]) -> Any:
    """ModelWrapper of kernels in topological order, tensors named after the nodes, with shapes and datatypes annotated.

    A flattening has no node: a consumer's shape may regroup its producer's elements, in stream order.
    Raises: FlipflowError E320 where an input is no output of an earlier kernel, or an output has not one consumer.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

    nodes, ops, initializers = _nodes(kernels)
    shape = meta.get("input", {}).get("shape")
    shape = ops[0].get_normal_input_shape() if shape is None else [1, *shape]
    source = helper.make_tensor_value_info(SOURCE, TensorProto.FLOAT, shape)
    infos = [
        helper.make_tensor_value_info(tensor, TensorProto.FLOAT, op.get_normal_output_shape(index))
        for op, node in zip(ops, nodes, strict=True)
        for index, tensor in enumerate(node.output)
    ]
    graph = helper.make_graph(nodes, "kernels", [source], infos[-1:], initializers, value_info=infos[:-1])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="flipflow"))
    model.set_tensor_datatype(SOURCE, ops[0].get_input_datatype())
    for op in ops:
        op.infer_node_datatype(model)
    model.set_metadata_prop("flipflow", json.dumps(meta))
    return model


def _nodes(kernels: list[KernelNode]) -> "tuple[list[Any], list[KernelOp], list[Any]]":
    """ONNX nodes, their ops, and the initializers of their constants."""
    from onnx import helper, numpy_helper  # noqa: PLC0415
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    nodes, ops, initializers = [], [], []
    free = {SOURCE: SOURCE}  # outputs that no kernel has taken yet, and their tensors
    before = SOURCE
    for item in kernels:
        tensors = [_take(free, name, item) for name in item.inputs or (before,)]
        names = [f"{item.name}.{key}" for key in item.params]
        values = (_exact(value) for value in item.params.values())
        initializers += [numpy_helper.from_array(value, name) for name, value in zip(names, values, strict=True)]
        attributes = {"backend": "fpgadataflow", **item.attributes}
        node = helper.make_node(item.op_type, [*tensors, *names], [], item.name, domain=DOMAIN, **attributes)
        op = getCustomOp(node)
        if len(tensors) != len(op.in_streams()):
            raise _miswired(item, f"it has {len(tensors)} inputs, but takes {len(op.in_streams())} streams.")
        ports = len(op.out_streams())
        node.output.extend([f"{item.name}.out"] if ports == 1 else [f"{item.name}.out{port}" for port in range(ports)])
        if item is kernels[-1]:
            node.output[0] = SINK
        free |= {port_name(item.name, port): tensor for port, tensor in enumerate(node.output)}
        before = item.name
        nodes.append(node)
        ops.append(op)
    left = [name for name, tensor in free.items() if tensor != SINK]
    if left:
        raise _miswired(kernels[-1], f"nothing takes the output {left[0]!r}.")
    return nodes, ops, initializers


def _exact(value: NDArray[Any]) -> NDArray[Any]:
    """Integers as float32, as FINN has them, or as float64 where that would round them."""
    single = np.asarray(value, dtype=np.float32)
    return single if np.array_equal(single.astype(np.float64), value) else np.asarray(value, dtype=np.float64)


def _take(free: dict[str, str], name: str, item: KernelNode) -> str:
    if name.removesuffix(":0") not in free:
        raise _miswired(item, f"its input {name!r} is no output of an earlier kernel, or another kernel takes it, too.")
    return free.pop(name.removesuffix(":0"))


def _miswired(item: KernelNode, what: str) -> FlipflowError:
    fix = "Name every output of an earlier kernel once; a Fork has an output for every consumer."
    return FlipflowError("E320", what, f"kernel {item.name}", fix)


def port_name(kernel: str, port: int) -> str:
    """How other kernels name an output: "fork0" the first of fork0, "fork0:1" its second."""
    return f"{kernel}:{port}" if port else kernel


def kernels_of(model: Any) -> "list[KernelOp]":
    """The graph's ops, in topological order."""
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    return [getCustomOp(node) for node in model.graph.node]


def params_of(model: Any, op: "KernelOp") -> dict[str, NDArray[Any]]:
    """Constant inputs of an op, by name."""
    names = list(op.onnx_node.input)[len(op.in_streams()) :]
    return {key: model.get_initializer(name) for key, name in zip(op.parameter_names(), names, strict=True)}


def inputs_of(model: Any) -> dict[str, tuple[str, ...]]:
    """Where the streams of every kernel come from: kernel name -> outputs as `KernelNode.inputs` names them."""
    outputs = {SOURCE: SOURCE}
    for node in model.graph.node:
        outputs |= {tensor: port_name(node.name, port) for port, tensor in enumerate(node.output)}
    return {node.name: tuple(outputs[name] for name in node.input if name in outputs) for node in model.graph.node}


def node_of(model: Any, op: "KernelOp") -> KernelNode:
    """An op of a model as a node for another graph, its inputs named."""
    from onnx import helper  # noqa: PLC0415

    raw = {item.name: helper.get_attribute_value(item) for item in op.onnx_node.attribute}
    attributes: Attributes = {}
    for key, value in raw.items():
        attributes[key] = value.decode() if isinstance(value, bytes) else value
    return KernelNode(op.onnx_node.op_type, op.name, attributes, params_of(model, op), inputs_of(model)[op.name])


def pipeline_of(model: Any) -> list[dict[str, Any]]:
    """The cycle model's description of a graph; "inputs" only where they are not just the kernel before."""
    inputs = inputs_of(model)
    before, pipeline = SOURCE, []
    for op in kernels_of(model):
        entry = op.schedule()
        if inputs[op.name] != (before,):
            entry["inputs"] = list(inputs[op.name])
        pipeline.append(entry)
        before = op.name
    return pipeline


def meta_of(model: Any) -> dict[str, Any]:
    """What the model's metadata says about input and output."""
    text = model.get_metadata_prop("flipflow")
    return dict(json.loads(text)) if text else {}


def set_pace(model: Any, cycles: int) -> None:
    """Note in the metadata for how many cycles a frame a graph was folded: its width converters need be no faster."""
    model.set_metadata_prop("flipflow", json.dumps({**meta_of(model), "pace": cycles}))


def load_model(path: Path) -> Any:
    """ModelWrapper of an ONNX file.

    Raises: FlipflowError E300 where it is missing or no ONNX file.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

    if not path.is_file():
        raise FlipflowError("E300", "there is no such file.", str(path), "Run `flipflow export` first.")
    try:
        return ModelWrapper(str(path))
    except DecodeError as error:
        what = "it is not an ONNX file, or it is cut short."
        raise FlipflowError("E300", what, str(path), "Run `flipflow export` again.") from error
