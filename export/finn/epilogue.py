"""What may stand behind the last layer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.export.finn.network import fail


def check_epilogue(model: Any, nodes: list[NodeProto]) -> None:
    """After the last layer only a Flatten and positive scalar affines may stand; they keep the order of the logits.

    Raises: FlipflowError E256.
    """
    for node in nodes:
        if node.op_type == "Flatten":
            continue
        constants = [model.get_initializer(name) for name in node.input if name]
        scalar = all(value is None or len(np.unique(value)) == 1 for value in constants)
        if (
            not scalar
            or node.op_type not in ("Mul", "Div", "Add", "Sub", "BatchNormalization")
            or not _rising(node, constants)
        ):
            fix = "After the last layer use at most one positive scale and one bias, the same for all classes."
            raise fail("E256", node, "it is not a positive scalar affine after the last layer.", fix)


def _rising(node: NodeProto, constants: list[NDArray[np.float32] | None]) -> bool:
    if node.op_type == "BatchNormalization":
        return constants[1] is not None and bool(np.all(constants[1] > 0))
    constant = next((value for value in constants if value is not None), None)
    if constant is None or node.op_type == "Add":
        return constant is not None
    if node.op_type == "Sub":
        return constants[0] is None
    return bool(np.all(constant > 0)) and (node.op_type == "Mul" or constants[0] is None)
