"""What each kind of node on the data path becomes in the canonical graph, and how the graph ends."""

import numpy as np
import onnx

from flipflow.export.importer import operators as ops
from flipflow.export.importer.elementwise import write_elementwise, write_host, write_move
from flipflow.export.importer.layers import write_layer
from flipflow.export.importer.quantizers import write_quantizer
from flipflow.export.importer.state import WriterState

_SURVIVED = ("E205", "E206", "E208", "E212", "E217", "E224")


def write(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> bool:
    """Write one node of the data path; False (with a problem noted) where the walk cannot go on."""
    count = len(state.problems.found)
    if node.op_type in ops.SKIPPED:
        _skip(state, node)
    elif state.pending_pad and node.op_type != "Conv":
        state.problem(node, "E209", "a Pad may only stand before a Conv.", "Let the convolution pad, or move the Pad.")
    elif node.op_type in ops.QUANTIZERS:
        write_quantizer(state, node)
    elif node.op_type in ops.MOVES:
        write_move(state, node, after)
    elif node.op_type in ops.UNARY | ops.BINARY or node.op_type in ("Clip", "BatchNormalization"):
        write_elementwise(state, node, before, after)
    elif state.on_host and node.op_type in ops.HOST_ONLY:
        write_host(state, node, after)
    elif node.op_type in ops.SUM_POOLS | {"Conv", "Gemm", "MatMul", "MaxPool", "Pad"}:
        write_layer(state, node, before, after)
    else:
        state.problem(
            node,
            "E204",
            "this operator is not supported behind the first quantizer.",
            "See docs/layers.md for what is.",
        )
    # A wrong scale or an unquantized weight leaves shapes intact: go on, to report everything at once.
    return all(problem.code in _SURVIVED for problem in state.problems.found[count:])


def _skip(state: WriterState, node: onnx.NodeProto) -> None:
    """Nodes that change nothing; a cast to integers would cut fractions off."""
    if node.op_type == "Cast" and ops.attributes(node).get("to") != onnx.TensorProto.FLOAT:
        state.problem(node, "E204", "it casts the data to another type than float32.", "Keep the data in float32.")


def finish(state: WriterState) -> None:
    """Check what only the whole file shows, and end the graph with a vector of logits."""
    if state.on_host:
        state.problems.add(
            "E215",
            "the model",
            "no activation is quantized (no Quant or BipolarQuant on the data path).",
            "Export a quantized network with brevitas.export.export_qonnx.",
        )
        return
    if not state.layers:
        state.problems.add("E215", "the model", "no Conv, Gemm or MatMul follows the first quantizer.", "Add a layer.")
        return
    size = int(np.prod(state.builder.shape[1:]))
    if size != state.builder.shape[1]:
        state.problems.add(
            "E202",
            "the output",
            f"it has the shape {state.builder.shape}, not one score a class.",
            "End the network with one score a class.",
        )
    elif len(state.builder.shape) > 2:
        state.builder.append("Flatten", (), (1, size), "output", attributes={"axis": 1})
