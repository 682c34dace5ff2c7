"""Execution of single ONNX and QONNX nodes in float32: the meaning of a file, node by node.

Standard operators run in onnxruntime, one node a session, so that no graph optimisation reorders float arithmetic; quantizers
run in QONNX's own implementation. This is what `qonnx.core.onnx_exec` does too, without the need for annotated shapes.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from qonnx.custom_op.registry import getCustomOp

QUANT_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
_IR_VERSION = 8
_SMALL = 1 << 16  # elements


def evaluate(node: onnx.NodeProto, inputs: Mapping[str, np.ndarray], opset: int) -> list[np.ndarray]:
    """Outputs of `node` on `inputs` (by tensor name; omitted optional inputs are absent), as version `opset` defines it.

    Raises whatever onnxruntime raises where the node refuses its inputs.
    """
    if node.domain in QUANT_DOMAINS:
        context = {name: inputs[name] for name in node.input if name}
        context.update({name: np.zeros(0, np.float32) for name in node.output})
        getCustomOp(node).execute_node(context, None)
        return [np.asarray(context[name], dtype=np.float32) for name in node.output]
    session, names = _session(node, inputs, opset)
    return cast("list[np.ndarray]", session.run(None, {name: inputs[name] for name in names}))


def _session(
    node: onnx.NodeProto, inputs: Mapping[str, np.ndarray], opset: int
) -> tuple[onnxruntime.InferenceSession, list[str]]:
    names = list(dict.fromkeys(name for name in node.input if name))
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(inputs[name].dtype), [None] * inputs[name].ndim
        )
        for name in names
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "one_node", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = _IR_VERSION
    options = onnxruntime.SessionOptions()
    # Errors come as exceptions; onnxruntime shall not print them as well.
    options.log_severity_level = 4
    if sum(inputs[name].size for name in names) < _SMALL:  # starting threads would take longer than the node
        options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    return session, names
