"""Import checked by execution: the canonical file must give the outputs of the file that it was made from."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.importer.read import Source

_LARGE = 1 << 15  # numbers in an image from which on two images have to do


def require_same_outputs(source: Source, canonical: onnx.ModelProto, path: Path, seed: int = 0) -> None:
    """Execute both on random images, node by node. Raises: FlipflowError E221 where any output differs in any bit."""
    generator = np.random.default_rng(seed)
    given = _Executor(source.nodes, source.initializers, source.input_name, source.opset)
    constants = {init.name: numpy_helper.to_array(init) for init in canonical.graph.initializer}
    opset = next(entry.version for entry in canonical.opset_import if entry.domain in ("", "ai.onnx"))
    made = _Executor(canonical.graph.node, constants, canonical.graph.input[0].name, opset)
    # Pixels in 0..1, signed values, and integers up to 255: whatever range the network was made for is among them.
    spans = (1.0, 2.0, 255.0, 8.0) if np.prod(source.input_shape) < _LARGE else (2.0, 255.0)
    for span in spans:
        image = generator.uniform(-span if span in (2.0, 8.0) else 0.0, span, source.input_shape).astype(np.float32)
        image = np.rint(image) if span == 255.0 else image
        if not np.array_equal(given.output(image).reshape(-1), made.output(image).reshape(-1)):
            raise FlipflowError(
                "E221",
                "the canonical form computes something else than the file it was made from.",
                str(path),
                "Report this as a bug, with the file.",
            )


class _Executor:
    """A graph executed node by node; what does not depend on the image, such as quantized weights, is executed once."""

    def __init__(
        self, nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray], name: str, opset: int
    ) -> None:
        self._constants = dict(constants)
        self._input = name
        self._opset = opset
        moving = {name}
        self._nodes: list[onnx.NodeProto] = []
        for node in nodes:
            if moving.isdisjoint(node.input):
                self._constants[node.output[0]] = self._run(node, self._constants)
            else:
                self._nodes.append(node)
                moving.add(node.output[0])
        self._readers = Counter(name for node in self._nodes for name in set(node.input) & moving)

    def _run(self, node: onnx.NodeProto, values: dict[str, np.ndarray]) -> np.ndarray:
        return evaluate(node, {name: values[name] for name in node.input if name}, self._opset)[0]

    def output(self, image: np.ndarray) -> np.ndarray:
        """Output of the last node; tensors are forgotten after their last reader."""
        values = self._constants | {self._input: image}
        left = Counter(self._readers)
        result = image
        for node in self._nodes:
            result = self._run(node, values)
            values[node.output[0]] = result
            for name in set(node.input) & left.keys():
                left[name] -= 1
                if not left[name]:
                    del values[name]
        return result
