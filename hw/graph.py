"""Graphs of kernels: a chain of `flipflow.hw.kernels` nodes as an ONNX model, and back to op objects.

The model's metadata property `flipflow` (JSON) keeps what the streamlined graph says about its input and output.
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


@dataclass(frozen=True)
class KernelNode:
    """A kernel to be put in a chain: op type, unique name, node attributes, constant inputs by name (in input
    order).
    """

    op_type: str
    name: str
    attributes: Attributes
    params: dict[str, NDArray[Any]] = field(default_factory=dict)


def assemble(chain: list[KernelNode], meta: dict[str, Any]) -> Any:
    """ModelWrapper of a chain, tensors named after the nodes, with shapes and datatypes annotated.

    A flattening has no node: a consumer's shape may regroup its producer's elements, in stream order.
    """
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    nodes, initializers, infos = [], [], []
    tensor = "images"
    for item in chain:
        names = [f"{item.name}.{key}" for key in item.params]
        initializers += [
            numpy_helper.from_array(np.asarray(value, dtype=np.float32), name)
            for name, value in zip(names, item.params.values(), strict=True)
        ]
        output = "logits" if item is chain[-1] else f"{item.name}.out"
        attributes = {"backend": "fpgadataflow", **item.attributes}
        nodes.append(helper.make_node(item.op_type, [tensor, *names], [output], item.name, domain=DOMAIN, **attributes))
        tensor = output
    ops = [getCustomOp(node) for node in nodes]
    shape = meta.get("input", {}).get("shape")
    shape = ops[0].get_normal_input_shape() if shape is None else [1, *shape]
    source = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    for op, node in zip(ops, nodes, strict=True):
        infos.append(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, op.get_normal_output_shape()))
    graph = helper.make_graph(nodes, "kernels", [source], infos[-1:], initializers, value_info=infos[:-1])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="flipflow"))
    model.set_tensor_datatype("images", ops[0].get_input_datatype())
    for op in ops:
        op.infer_node_datatype(model)
    model.set_metadata_prop("flipflow", json.dumps(meta))
    return model


def kernels_of(model: Any) -> "list[KernelOp]":
    """The chain's ops, in stream order."""
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    return [getCustomOp(node) for node in model.graph.node]


def params_of(model: Any, op: "KernelOp") -> dict[str, NDArray[Any]]:
    """Constant inputs of an op, by name."""
    names = list(op.onnx_node.input)[1:]
    return {key: model.get_initializer(name) for key, name in zip(op.parameter_names(), names, strict=True)}


def node_of(model: Any, op: "KernelOp") -> KernelNode:
    """An op of a model as a node for another chain."""
    from onnx import helper  # noqa: PLC0415

    raw = {item.name: helper.get_attribute_value(item) for item in op.onnx_node.attribute}
    attributes: Attributes = {}
    for key, value in raw.items():
        attributes[key] = value.decode() if isinstance(value, bytes) else value
    return KernelNode(op.onnx_node.op_type, op.name, attributes, params_of(model, op))


def meta_of(model: Any) -> dict[str, Any]:
    """What the model's metadata says about input and output."""
    text = model.get_metadata_prop("flipflow")
    return dict(json.loads(text)) if text else {}


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
