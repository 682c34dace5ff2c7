"""The host's share of a network: the float preamble up to the first quantizer, and the affine behind the last layer.

All integer levels (reference, FINN graph, RTL) get their inputs from here, so that a difference between them is theirs.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.integer.graph import CanonicalGraph

_OPSET = 13
_BATCH = 250
_BATCH_ELEMENTS = 1 << 25  # of the largest tensor: 128 MiB


@dataclass(frozen=True)
class CanonicalModel:
    """model.qonnx.onnx, executed node by node in QONNX's semantics."""

    graph: CanonicalGraph
    input_name: str
    input_shape: tuple[int, ...]

    @classmethod
    def load(cls, path: Path) -> "CanonicalModel":
        """Raises FlipflowError E200 where the file is missing or damaged."""
        try:
            model = onnx.load(path)
            info = model.graph.input[0]
            shape = tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
            return cls(CanonicalGraph(model), info.name, shape)
        except Exception as error:  # protobuf, onnx and the operating system raise many kinds
            reason = str(error) or "it is cut short"
            raise FlipflowError("E200", f"{reason}.", str(path), "Run `flipflow export` again.") from error

    def accept(self, images: np.ndarray) -> np.ndarray:
        """`images` as float32 [N, ...] in the shape the model takes.

        uint8 and other numbers are cast as they are; a missing channel axis of size 1 is added; any order-preserving
        flattening of the model's shape is taken. Raises FlipflowError E450 where the sizes differ.
        """
        wanted = self.input_shape[1:]
        if images.ndim < 1 or int(np.prod(images.shape[1:])) != int(np.prod(wanted)) or not _same_order(images, wanted):
            raise FlipflowError(
                "E450",
                f"the images have the shape {images.shape}, and the model takes [N, {', '.join(map(str, wanted))}].",
                "images",
                "Give channels first (NCHW), as the model does.",
            )
        return images.astype(np.float32).reshape(len(images), *wanted)

    def integers(self, images: np.ndarray) -> np.ndarray:
        """Integers behind the first quantizer, int32 [N, H, W, C] or [N, K], of accepted images."""
        quantizer = self.graph.nodes[self.graph.first_quantizer]
        value = self._tensor(images, quantizer.output[0])
        value = np.rint(value.astype(np.float64) / self.graph.quantizer_scale(quantizer)).astype(np.int32)
        return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value

    def logits(self, images: np.ndarray, logit_scale: float) -> np.ndarray:
        """Integer logits int64 [N, classes] by executing the file in float32 up to the last layer's sums.

        Raises: FlipflowError E451 where a sum is not a whole multiple of `logit_scale`.
        """
        sums = self._tensor(images, self._last_tensor).reshape(len(images), -1).astype(np.float64) / logit_scale
        whole = np.rint(sums)
        if not np.array_equal(sums, whole):
            raise FlipflowError("E451", "the float sums are no integers.", "model.qonnx.onnx", "Report this as a bug.")
        return whole.astype(np.int64)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Float outputs of the whole file."""
        return self._tensor(images, self.graph.output)

    def epilogue(self, sums: np.ndarray) -> np.ndarray:
        """What the file makes of the last layer's real sums, float32 [N, classes]."""
        value = sums.reshape(*sums.shape, *(1,) * (len(self.graph.shapes[self._last_tensor]) - 2))
        for _, result in self._run({self._last_tensor: value}, self.graph.last_layer + 1):
            value = result
        return value.reshape(len(sums), -1)

    def activations(self, images: np.ndarray) -> Iterator[tuple[onnx.NodeProto, np.ndarray]]:
        """Every node of the data path behind the preamble with its float32 output (NCHW), in order, for a small batch."""
        for index, step in enumerate(self._run({self.input_name: images}, 0)):
            if index >= self.graph.first_quantizer:
                yield step

    @property
    def _last_tensor(self) -> str:
        return str(self.graph.nodes[self.graph.last_layer].output[0])

    def _tensor(self, images: np.ndarray, name: str) -> np.ndarray:
        """The tensor `name` of accepted images, batch by batch."""
        batch = self.batch
        parts = [self._one_batch(images[i : i + batch], name) for i in range(0, len(images), batch)]
        return np.concatenate(parts)

    def _one_batch(self, images: np.ndarray, name: str) -> np.ndarray:
        if name == self.input_name:
            return images
        for node, value in self._run({self.input_name: images}, 0):
            if node.output[0] == name:
                found: np.ndarray = value
                return found
        raise KeyError(name)

    @cached_property
    def batch(self) -> int:
        """How many images to run at once: as many as keep the largest tensor of floats within bounds."""
        largest = max(int(np.prod(self.graph.shapes[node.output[0]][1:])) for node in self.graph.nodes)
        return max(1, min(_BATCH, _BATCH_ELEMENTS // largest))

    def _run(self, values: dict[str, np.ndarray], start: int) -> Iterator[tuple[onnx.NodeProto, np.ndarray]]:
        """Execute the nodes from number `start` on, one after the other; a tensor is forgotten after its last reader."""
        left = Counter(self.graph.readers)
        for node in self.graph.nodes[start:]:
            read = set(self.graph.data_inputs(node))
            result = evaluate(node, {name: self._operand(name, values) for name in node.input if name}, _OPSET)[0]
            values[node.output[0]] = result
            yield node, result
            left.subtract(read)
            for name in read:
                if left[name] == 0:
                    values.pop(name, None)

    def _operand(self, name: str, values: dict[str, np.ndarray]) -> np.ndarray:
        if name in values:
            return values[name]
        if name in self.graph.constants:
            constant: np.ndarray = self.graph.constants[name]
            return constant
        if name not in self._weights:
            self._weights[name] = evaluate(self.graph.weight_quantizer(name), self.graph.constants, _OPSET)[0]
        return self._weights[name]

    @cached_property
    def _weights(self) -> dict[str, np.ndarray]:
        """Quantized weights by tensor, as they are first needed."""
        return {}


def _same_order(images: np.ndarray, wanted: tuple[int, ...]) -> bool:
    """Whether reshaping `images` to [N, *wanted] keeps the meaning of the axes: only axes of size 1 may be missing."""
    given = tuple(size for size in images.shape[1:] if size != 1)
    return given in (tuple(size for size in wanted if size != 1), (int(np.prod(wanted)),), ())
