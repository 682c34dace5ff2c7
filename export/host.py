"""The host's share of a network: the float preamble up to the first quantizer, and the affine behind the last layer.

All integer levels (reference, FINN graph, RTL) get their inputs from here, so that a difference between them is theirs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.integer.graph import QUANTIZERS, Chain

_OPSET = 13
BATCH = 250


@dataclass(frozen=True)
class CanonicalModel:
    """model.qonnx.onnx, executed node by node in QONNX's semantics."""

    chain: Chain
    input_name: str
    input_shape: tuple[int, ...]

    @classmethod
    def load(cls, path: Path) -> "CanonicalModel":
        """Raises FlipflowError E200 where the file is missing or damaged."""
        try:
            model = onnx.load(path)
            info = model.graph.input[0]
            shape = tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
            return cls(Chain(model), info.name, shape)
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
        last = self.chain.first_quantizer
        scale = self.chain.quantizer_scale(self.chain.nodes[last])
        parts = [self._run(images[i : i + BATCH], 0, last + 1) for i in range(0, len(images), BATCH)]
        value = np.rint(np.concatenate(parts).astype(np.float64) / scale).astype(np.int32)
        return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value

    def logits(self, images: np.ndarray, logit_scale: float) -> np.ndarray:
        """Integer logits int64 [N, classes] by executing the file in float32 up to the last layer's sums.

        Raises: FlipflowError E451 where a sum is not a whole multiple of `logit_scale`.
        """
        stop = self.last_layer + 1
        parts = [self._run(images[i : i + BATCH], 0, stop) for i in range(0, len(images), BATCH)]
        sums = np.concatenate(parts).reshape(len(images), -1).astype(np.float64) / logit_scale
        whole = np.rint(sums)
        if not np.array_equal(sums, whole):
            raise FlipflowError("E451", "the float sums are no integers.", "model.qonnx.onnx", "Report this as a bug.")
        return whole.astype(np.int64)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Float outputs of the whole file."""
        parts = [self._run(images[i : i + BATCH], 0, len(self.chain.nodes)) for i in range(0, len(images), BATCH)]
        return np.concatenate(parts)

    def epilogue(self, sums: np.ndarray) -> np.ndarray:
        """What the file makes of the last layer's real sums, float32 [N, classes]."""
        value = sums.reshape(*sums.shape, *(1,) * (len(self.chain.shapes[self._last_tensor]) - 2))
        return self._run(value, self.last_layer + 1, len(self.chain.nodes)).reshape(len(sums), -1)

    @property
    def _last_tensor(self) -> str:
        return str(self.chain.nodes[self.last_layer].output[0])

    def activations(self, images: np.ndarray) -> list[tuple[onnx.NodeProto, np.ndarray]]:
        """Every node of the data path behind the preamble with its float32 output (NCHW), for a small batch."""
        value = self._run(images, 0, self.chain.first_quantizer)
        result = []
        for node in self.chain.nodes[self.chain.first_quantizer :]:
            value = self._node(node, value)
            result.append((node, value))
        return result

    @property
    def last_layer(self) -> int:
        """Index of the last Conv or MatMul of the data path."""
        return max(i for i, node in enumerate(self.chain.nodes) if node.op_type in ("Conv", "MatMul", "Gemm"))

    def _run(self, value: np.ndarray, start: int, stop: int) -> np.ndarray:
        for node in self.chain.nodes[start:stop]:
            value = self._node(node, value)
        return value

    def _node(self, node: onnx.NodeProto, value: np.ndarray) -> np.ndarray:
        constants = self.chain.constants
        context = {}
        for name in node.input:
            if name in constants:
                context[name] = constants[name]
            elif name:
                quantizer = self.chain.producer(name)
                is_weight = (
                    quantizer is not None and quantizer.op_type in QUANTIZERS and quantizer.input[0] in constants
                )
                context[name] = evaluate(quantizer, constants, _OPSET)[0] if is_weight and quantizer else value
        return evaluate(node, context, _OPSET)[0]


def _same_order(images: np.ndarray, wanted: tuple[int, ...]) -> bool:
    """Whether reshaping `images` to [N, *wanted] keeps the meaning of the axes: only axes of size 1 may be missing."""
    given = tuple(size for size in images.shape[1:] if size != 1)
    return given in (tuple(size for size in wanted if size != 1), (int(np.prod(wanted)),), ())
