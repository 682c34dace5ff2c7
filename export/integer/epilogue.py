"""What follows the last layer: floats that may scale and shift the sums, but not reorder them."""

import numpy as np

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.integer.tensors import Sums

_SAMPLES = 1 << 16
_OPSET = 13


def check_epilogue(logits: Sums, constants: dict[str, np.ndarray]) -> None:
    """Raises FlipflowError E213 where the nodes behind the last layer are not one rising function for all classes.

    Such a function ranks the classes as the integer sums do.
    """
    if not logits.nodes:
        return
    if logits.pools:
        raise _no_ranking(logits, "a pool stands behind the last layer")
    reach = logits.reach
    count = min(_SAMPLES, reach.stop - reach.start + 1)
    sums = np.unique(np.linspace(reach.start, reach.stop, count).astype(np.int64))
    shape = (sums.size, reach.low.size, *(1,) * (reach.rank - 2))
    value = np.broadcast_to((sums * reach.unit).astype(np.float32).reshape(-1, *(1,) * (len(shape) - 1)), shape).copy()
    for node in logits.nodes:
        if node.op_type == "Flatten":
            value = value.reshape(sums.size, -1)
            continue
        data = next(name for name in node.input if name not in constants)
        value = evaluate(node, {**constants, data: value}, _OPSET)[0]
    value = value.reshape(sums.size, -1)
    if np.any(value != value[:, :1]) or not np.all(np.diff(value[:, 0]) > 0):
        raise _no_ranking(logits, "it is not one rising function for all classes")


def _no_ranking(logits: Sums, reason: str) -> FlipflowError:
    return FlipflowError(
        "E213",
        f"{reason}, so the integer sums do not decide the class.",
        f"{logits.nodes[0].op_type} node {logits.nodes[0].doc_string!r}, behind the last layer",
        "Use one positive scale and one bias for all classes, or none (no bias in the last layer).",
    )
