"""Executes `streamlined.onnx` on batches: every node through its own operator, products through BLAS in float32.

Float32 is exact here: every value is an integer below 2^24 (`thresholds.layer_reach` refuses others).
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import FlipflowError
from flipflow.export.finn.ops import (
    MaxMinPool,
    SaturatingAdd,
    SumPool,
    Threshold,
    Window,
    annotation,
    count_passed,
    scaled,
)

Floats = NDArray[np.float32]
BATCH_BYTES = 2**26  # of the largest tensor of a batch


def load(streamlined: Any) -> Any:
    """A ModelWrapper from a path or a ModelWrapper."""
    if not isinstance(streamlined, (str, Path)):
        return streamlined
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

    try:
        return ModelWrapper(str(streamlined))
    except Exception as error:
        fix = "Run the export stage again."
        raise FlipflowError("E262", f"it is not a readable ONNX file ({error}).", str(streamlined), fix) from error


def execute(streamlined: Any, images: NDArray[Any]) -> NDArray[np.int64]:
    """Logits of integer images.

    streamlined: path or ModelWrapper. images: integers [N,H,W,C] or [N,K] in the input's format (bipolar: -1 and +1).
    Returns: int64 [N,classes], the dot products of the last layer.
    Raises: FlipflowError E262 (unreadable), E263 (images of another shape or range).
    """
    model = load(streamlined)
    facts = _facts(model)
    images = check_images(images, facts["input"])
    size = 4 * max((int(np.prod(model.get_tensor_shape(node.output[0]))) for node in model.graph.node), default=1)
    batch = max(1, BATCH_BYTES // size)
    out = np.empty((len(images), facts["output"]["classes"]), np.int64)
    for begin in range(0, len(images), batch):
        *_, (_, y) = run_nodes(model, images[begin : begin + batch])
        out[begin : begin + batch] = np.rint(y).astype(np.int64)
    logits: NDArray[np.int64] = out * facts["output"]["scale"] + facts["output"]["offset"]
    return logits


def _facts(model: Any) -> dict[str, Any]:
    text = model.get_metadata_prop("flipflow")
    if text is None:
        fix = "Only files written by flipflow's export stage can be executed here."
        raise FlipflowError("E262", "it lacks the metadata property `flipflow`.", "streamlined graph", fix)
    facts: dict[str, Any] = json.loads(text)
    return facts


def check_images(images: NDArray[Any], form: dict[str, Any]) -> NDArray[Any]:
    """Images that fit the input's format {"shape","bits","signed","bipolar"}, else FlipflowError E263."""
    if list(images.shape[1:]) != list(form["shape"]):
        what = f"images of shape {list(images.shape[1:])} do not fit the input {list(form['shape'])}."
        raise FlipflowError("E263", what, "images", "Pass [N,H,W,C] or [N,K], channels last.")
    low = -(2 ** (form["bits"] - 1)) if form["signed"] else 0
    high = low + 2 ** form["bits"] - 1
    whole = np.array_equal(images, np.rint(images))
    inside = (
        bool(np.isin(images, (-1, 1)).all())
        if form["bipolar"]
        else not images.size or (images.min() >= low and images.max() <= high)
    )
    if not whole or not inside:
        what = f"values lie outside {'-1 and +1' if form['bipolar'] else f'the integers {low}..{high}'}."
        raise FlipflowError("E263", what, "images", "Pass the integers that the input quantizer produces.")
    return images


def run_nodes(model: Any, images: NDArray[Any]) -> Iterator[tuple[NodeProto, Floats]]:
    """Executes a batch; yields each node with its output, producers first. Bipolar images: -1 and +1, also for a BINARY input."""
    x = np.ascontiguousarray(images, np.float32)
    if annotation(model.graph, model.graph.input[0].name) == "BINARY" and _facts(model)["input"]["bipolar"]:
        x = (x + np.float32(1)) * np.float32(0.5)
    tensors = {model.graph.input[0].name: x}
    constants = {item.name for item in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for node in model.graph.node:
        given = [name for name in node.input if name not in constants]
        y = tensors[node.output[0]] = _run(model, node, [tensors[name] for name in given])
        for name in given:
            readers[name] -= 1
            if not readers[name]:
                tensors.pop(name, None)
        yield node, y


def _run(model: Any, node: NodeProto, inputs: list[Floats]) -> Floats:
    x = inputs[0]
    own: dict[str, Any] = {"MaxMinPool": MaxMinPool, "SumPool": SumPool, "SaturatingAdd": SaturatingAdd}
    if node.op_type in own:
        result: Floats = own[node.op_type](node).compute(*inputs)
        return result
    constants = [model.get_initializer(name) for name in node.input[1:]]
    if node.op_type in ("XnorPopcountMatMul", "MatMul"):
        return _matmul(node, x, constants[0])
    if node.op_type == "MultiThreshold":
        values = {a.name: a.f for a in node.attribute}
        return scaled(count_passed(x, constants[0]), values.get("out_scale", 1.0), values.get("out_bias", 0.0))
    if node.op_type == "Threshold":
        return Threshold(node).compute(x, *constants)
    if node.op_type == "Window":
        return Window(node).compute(x, annotation(model.graph, node.input[0]) == "BINARY")
    return x.reshape(len(x), -1)


def _matmul(node: NodeProto, x: Floats, weights: Floats) -> Floats:
    flat = x.reshape(-1, x.shape[-1])
    if node.op_type == "MatMul":
        y = flat @ weights
    else:
        # a one-bit sum is popcount(xnor) = (s + K) / 2 with s the dot product of the signs
        y = ((2 * flat - 1) @ (2 * weights - 1) + np.float32(len(weights))) * np.float32(0.5)
    return y.reshape(*x.shape[:-1], weights.shape[1])
