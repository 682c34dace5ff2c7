"""Executes the streamlined graph against the QONNX file it came from, tensor by tensor."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import Exit, FlipflowError
from flipflow.export.finn.assemble import Assembled
from flipflow.export.finn.execute import run_nodes
from flipflow.export.finn.formats import Format
from flipflow.export.finn.network import Network
from flipflow.export.finn.ops import annotation
from flipflow.export.finn.rewrite import IntegerNetwork, nhwc_order

Values = NDArray[np.float64]


def check_equal(integer: IntegerNetwork, assembled: Assembled, samples: int, seed: int = 0) -> None:
    """Compares what every layer and addition reads, and the logits, on random images of the input's format.

    Raises: FlipflowError E261 naming the first layer or addition that differs.
    """
    rng = np.random.default_rng(seed)
    network = integer.network
    levels = np.asarray(network.first.levels)
    for _ in range(samples):
        image = rng.choice(levels, network.shape(network.source)).astype(np.float32)
        expected = run_canonical(network, image * np.float32(network.first.scale))
        found = _found(integer, assembled, image)
        for item in integer.stages:
            kind = "layer" if item.layer is not None else "node"
            name = item.stage.head.name if item.stage.head is not None else item.stage.segment.nodes[-1].name
            for source in item.stage.sources:
                if _form(integer, source) is not None:
                    _compare(f"input of {kind} {name!r}", _integers(integer, expected[source], source), found[source])
        facts = assembled.report.output
        _compare("logits", _logits(integer, expected), found[network.output] * facts.scale + facts.offset)


def _compare(name: str, expected: Values, found: Values) -> None:
    expected, found = expected.reshape(-1), found.reshape(-1)
    if np.array_equal(expected, found):
        return
    if expected.shape != found.shape:
        what = f"the streamlined graph has shape {found.shape}, the QONNX file {expected.shape}."
    else:
        where = int(np.flatnonzero(expected != found)[0])
        count = int((expected != found).sum())
        what = (
            f"{count} of {expected.size} values differ; first at {where}: {found[where]} instead of {expected[where]}."
        )
    fix = "This is a fault of the lowering, not of the model: please report it with the QONNX file."
    raise FlipflowError("E261", what, name, fix, Exit.CHECK_FAILED)


def run_canonical(network: Network, quantized: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """All tensors of the QONNX file, from the first quantizer's output (real values, NCHW or NC) on."""
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415

    nodes = list(network.model.graph.node)
    start = next(index for index, node in enumerate(nodes) if network.source in node.input)
    given = {network.source: quantized} | _weights(network, nodes[:start])
    result: dict[str, NDArray[np.float32]] = execute_onnx(network.model, given, True, start_node=nodes[start])
    return result


def _weights(network: Network, nodes: list[NodeProto]) -> dict[str, NDArray[np.float32]]:
    """Outputs of weight quantizers that stand before the first executed node."""
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    context: dict[str, NDArray[np.float32]] = {}
    for node in nodes:
        inputs = {name: network.model.get_initializer(name) for name in node.input if name}
        if all(value is not None for value in inputs.values()):
            getCustomOp(node).execute_node(inputs, network.model.graph)
            context[node.output[0]] = inputs[node.output[0]]
    return context


def _form(integer: IntegerNetwork, end: str) -> Format | None:
    """Format of a value; None for raw sums."""
    if end == integer.network.source:
        return integer.network.first
    item = integer.stage_of(end)
    return None if item.stage.raw else item.thresholds.format


def _integers(integer: IntegerNetwork, tensor: NDArray[np.float32], end: str) -> Values:
    """A value's integers in stream order."""
    form = _form(integer, end)
    assert form is not None
    values = np.asarray(tensor, np.float64) / form.scale
    flat = integer.network.flat.get(end)
    if flat is not None:
        return values[:, nhwc_order(flat)]
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def _logits(integer: IntegerNetwork, tensors: dict[str, NDArray[np.float32]]) -> Values:
    last = integer.stage_of(integer.network.output)
    assert last.layer is not None
    assert last.x is not None
    return np.asarray(tensors[last.layer.y], np.float64) / (last.x.scale * last.layer.format.scale)


def _found(integer: IntegerNetwork, assembled: Assembled, image: NDArray[np.float32]) -> dict[str, Values]:
    """By stage end, the tensors of the streamlined graph, bipolar ones as -1 and +1."""
    model = assembled.model
    stream = image.transpose(0, 2, 3, 1) if image.ndim == 4 else image
    outputs = list(run_nodes(model, stream))
    found = {}
    for end, index in assembled.nodes.items():
        node, value = outputs[index] if index >= 0 else (None, stream)
        form = _form(integer, end)
        bipolar = form is not None and form.bipolar
        bits = bipolar and node is not None and annotation(model.graph, node.output[0]) == "BINARY"
        found[end] = np.asarray(2 * value - 1 if bits else value, np.float64)
    return found
