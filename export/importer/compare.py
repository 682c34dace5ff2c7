"""Import checked by execution: the canonical file must give the outputs of the file that it was made from."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.importer.read import Source

_IMAGES = 4


def require_same_outputs(source: Source, canonical: onnx.ModelProto, path: Path, seed: int = 0) -> None:
    """Execute both on random images, node by node. Raises: FlipflowError E221 where any output differs in any bit."""
    generator = np.random.default_rng(seed)
    for index in range(_IMAGES):
        # Pixels in 0..1, signed values, and integers up to 255: whatever range the network was made for is among them.
        span = (1.0, 2.0, 255.0, 8.0)[index % 4]
        image = generator.uniform(-span if index % 2 else 0.0, span, source.input_shape).astype(np.float32)
        image = np.rint(image) if span == 255.0 else image
        wanted = _execute(source.nodes, source.initializers, source.input_name, image, source.opset)
        given = _execute_model(canonical, image)
        if not np.array_equal(wanted.reshape(-1), given.reshape(-1)):
            raise FlipflowError(
                "E221",
                "the canonical form computes something else than the file it was made from.",
                str(path),
                "Report this as a bug, with the file.",
            )


def _execute_model(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    constants = {init.name: numpy_helper.to_array(init) for init in model.graph.initializer}
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return _execute(model.graph.node, constants, model.graph.input[0].name, image, opset)


def _execute(
    nodes: Iterable[onnx.NodeProto], constants: dict[str, np.ndarray], name: str, image: np.ndarray, opset: int
) -> np.ndarray:
    """Output of the last node."""
    values = {**constants, name: image}
    result = image
    for node in nodes:
        result = evaluate(node, {source: values[source] for source in node.input if source}, opset)[0]
        values[node.output[0]] = result
    return result
