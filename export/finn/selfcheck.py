"""Executes the streamlined graph against the QONNX file it came from, layer by layer."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import Exit, FlipflowError
from flipflow.export.finn.assemble import COMPUTE_KINDS
from flipflow.export.finn.chain import Chain
from flipflow.export.finn.execute import run_nodes
from flipflow.export.finn.formats import Format
from flipflow.export.finn.ops import annotation
from flipflow.export.finn.rewrite import IntegerChain, flattened


def check_equal(integer: IntegerChain, streamlined: Any, samples: int, seed: int = 0) -> None:
    """Compares every layer's input and the logits on random images of the input's format.

    Raises: FlipflowError E261 naming the first layer that differs.
    """
    rng = np.random.default_rng(seed)
    chain = integer.chain
    levels = np.asarray(chain.first.levels)
    for _ in range(samples):
        image = rng.choice(levels, chain.shape(chain.source)).astype(np.float32)
        expected = _expected(integer, image * np.float32(chain.first.scale))
        found = _found(streamlined, image)
        names = [*(f"input of layer {item.layer.name!r}" for item in integer.layers), "logits"]
        for name, one, two in zip(names, expected, found, strict=True):
            if not np.array_equal(one, two):
                _report(name, one, two)


def _report(name: str, expected: NDArray[Any], found: NDArray[Any]) -> None:
    if expected.shape != found.shape:
        what = f"the streamlined graph has shape {found.shape}, the QONNX file {expected.shape}."
    else:
        where = tuple(int(i) for i in np.argwhere(expected != found)[0])
        count = int((expected != found).sum())
        what = (
            f"{count} of {expected.size} values differ; first at {where}: {found[where]} instead of {expected[where]}."
        )
    fix = "This is a fault of the lowering, not of the model: please report it with the QONNX file."
    raise FlipflowError("E261", what, name, fix, Exit.CHECK_FAILED)


def run_canonical(chain: Chain, quantized: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """All tensors of the QONNX file, from the first quantizer's output (real values, NCHW or NC) on."""
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415

    start = chain.model.find_consumer(chain.source)
    before = list(chain.model.graph.node)[: list(chain.model.graph.node).index(start)]
    skipped = {chain.source: quantized} | _weights(chain, before)
    result: dict[str, NDArray[np.float32]] = execute_onnx(chain.model, skipped, True, start_node=start)
    return result


def _weights(chain: Chain, nodes: list[NodeProto]) -> dict[str, NDArray[np.float32]]:
    """Outputs of weight quantizers that stand before the first executed node."""
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    context: dict[str, NDArray[np.float32]] = {}
    for node in nodes:
        inputs = {name: chain.model.get_initializer(name) for name in node.input if name}
        if all(value is not None for value in inputs.values()):
            getCustomOp(node).execute_node(inputs, chain.model.graph)
            context[node.output[0]] = inputs[node.output[0]]
    return context


def _integers(tensor: NDArray[np.float32], form: Format) -> NDArray[np.float64]:
    values = np.asarray(tensor, np.float64) / form.scale
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def _expected(integer: IntegerChain, quantized: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Each layer's input and the logits, in integers, NHWC."""
    tensors = run_canonical(integer.chain, quantized)
    expected = []
    for item, segment in zip(integer.layers, integer.chain.segments, strict=True):
        values = _integers(tensors[item.layer.x], item.x)
        if shape := flattened(integer.chain, segment):
            values = values.reshape(shape).transpose(1, 2, 0)
        expected.append(values.reshape(-1))
    last = integer.layers[-1]
    logits = np.asarray(tensors[last.layer.y], np.float64) / (last.x.scale * last.layer.format.scale)
    return [*expected, logits.reshape(-1)]


def _found(streamlined: Any, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The same from the streamlined graph."""
    facts = json.loads(streamlined.get_metadata_prop("flipflow"))
    x = image.transpose(0, 2, 3, 1) if image.ndim == 4 else image
    bits = annotation(streamlined.graph, streamlined.graph.input[0].name) == "BINARY" and facts["input"]["bipolar"]
    found = []
    y = before = (x + 1) / 2 if bits else x
    for node, y in run_nodes(streamlined, x):
        if node.op_type in COMPUTE_KINDS:
            found.append((2 * before - 1 if node.op_type == "XnorPopcountMatMul" else before).reshape(-1))
        if node.op_type != "Window":
            before = y
    return [*found, y.reshape(-1) * facts["output"]["scale"] + facts["output"]["offset"]]
