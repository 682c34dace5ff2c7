"""What each kind of node on the data path becomes in the canonical chain."""

from dataclasses import dataclass

import numpy as np
import onnx

from flipflow.export.evaluate import evaluate
from flipflow.export.importer import operators as ops
from flipflow.export.importer.builder import ChainBuilder
from flipflow.export.importer.weights import MOST_WEIGHT_BITS, QuantWeight, power_of_two, recognize
from flipflow.export.problems import Problems

_SURVIVED = ("E205", "E206", "E208", "E212", "E217")


@dataclass(frozen=True)
class _Activation:
    """Quantization of the tensor at the chain's end."""

    scale: float
    bipolar: bool


class LayerWriter:
    """Writes node after node of the data path into a ChainBuilder.

    Reshapes and transposes behind the first quantizer are not written: `view` holds, in the shape the source file sees, the
    flat index of every element in the canonical tensor, and a MatMul takes the permutation into its weight rows.
    """

    def __init__(
        self,
        builder: ChainBuilder,
        problems: Problems,
        constants: dict[str, np.ndarray],
        weights: dict[str, QuantWeight],
        opset: int,
    ) -> None:
        self.builder = builder
        self.problems = problems
        self.constants = constants
        self.weights = weights
        self.refused: set[str] = set()  # outputs of weight quantizers that a problem was noted for
        self.opset = opset
        self.activation: _Activation | None = None
        self.on_host = True
        self.layers = 0
        self.view = _indices(builder.shape)
        self.pending_pad: tuple[tuple[int, int, int, int], float] | None = None

    def write(self, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> bool:
        """Write one node of the data path; False (with a problem noted) where the walk cannot go on."""
        count = len(self.problems.found)
        if node.op_type in ops.SKIPPED:
            self._skip(node)
        elif self.pending_pad and node.op_type != "Conv":
            self._problem(node, "E209", "a Pad may only stand before a Conv.", "Let the convolution pad, or move the Pad.")
        elif node.op_type in ops.QUANTIZERS:
            self._quantizer(node)
        elif node.op_type in ops.MOVES:
            self._move(node, after)
        elif node.op_type in ops.UNARY | ops.BINARY or node.op_type in ("Clip", "BatchNormalization"):
            self._elementwise(node, before, after)
        elif self.on_host and node.op_type in ops.HOST_ONLY:
            self._host(node, after)
        elif node.op_type in ("Conv", "Gemm", "MatMul", "MaxPool", "Pad"):
            self._layer(node, before, after)
        else:
            self._problem(
                node, "E204", "this operator is not supported behind the first quantizer.", "See docs/layers.md for what is."
            )
        # A wrong scale or an unquantized weight leaves shapes intact: go on, to report everything at once.
        return all(problem.code in _SURVIVED for problem in self.problems.found[count:])

    def _skip(self, node: onnx.NodeProto) -> None:
        """Nodes that change nothing; a cast to integers would cut fractions off."""
        if node.op_type == "Cast" and ops.attributes(node).get("to") != onnx.TensorProto.FLOAT:
            self._problem(node, "E204", "it casts the data to another type than float32.", "Keep the data in float32.")

    def finish(self) -> None:
        """Check what only the whole file shows, and end the chain with a vector of logits."""
        if self.on_host:
            self.problems.add(
                "E215", "the model", "no activation is quantized (no Quant or BipolarQuant on the data path).",
                "Export a quantized network with brevitas.export.export_qonnx.",
            )
            return
        if not self.layers:
            self.problems.add("E215", "the model", "no Conv, Gemm or MatMul follows the first quantizer.", "Add a layer.")
            return
        size = int(np.prod(self.builder.shape[1:]))
        if size != self.builder.shape[1]:
            self.problems.add(
                "E202", "the output", f"it has the shape {self.builder.shape}, not one score a class.",
                "End the network with one score a class.",
            )
        elif len(self.builder.shape) > 2:
            self.builder.append("Flatten", (), (1, size), "output", attributes={"axis": 1})

    def weight_quantizer(self, node: onnx.NodeProto) -> QuantWeight | None:
        """The integers behind a quantizer on a constant; None (with a problem noted) where its scale will not do."""
        scale = self._scale(node)
        if scale is None:
            return None
        values = evaluate(node, self.constants, self.opset)[0]
        if not np.isfinite(values).all():
            self._problem(node, "E217", "some of the weights are infinite or not a number.", "Train again; lower the rate.")
            return None
        integers = np.rint(values.astype(np.float64) / scale).astype(np.int64)
        if self._is_bipolar(node):
            return QuantWeight(integers, scale, 1, True, False, True, _label(node))
        attrs = ops.attributes(node)
        bits = int(self.constants[node.input[3]].reshape(-1)[0])
        signed, narrow = bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 0))
        if bits > MOST_WEIGHT_BITS:
            self._problem(node, "E206", f"its weights have {bits} bits.", f"Use at most {MOST_WEIGHT_BITS} bits for weights.")
            return None
        return QuantWeight(integers, scale, bits, signed, narrow, False, _label(node))

    # --- quantizers ---

    def _quantizer(self, node: onnx.NodeProto) -> None:
        scale = self._scale(node)
        self.on_host = False
        bipolar = scale is not None and self._is_bipolar(node)
        self.activation = _Activation(scale or 1.0, bipolar)
        if scale is None:
            return
        operands = [self.builder.constant("scale", np.array(scale, np.float32))]
        attrs = {} if bipolar else self._quant_attributes(node)
        if not bipolar:
            bits = self.constants[node.input[3]].astype(np.float32).reshape(())
            operands.append(self.builder.constant("zero_point", np.array(0, np.float32)))
            operands.append(self.builder.constant("bit_width", bits))
        op_type = "BipolarQuant" if bipolar else "Quant"
        self.builder.append(op_type, tuple(operands), self.builder.shape, _label(node), attributes=attrs)
        if self.view.shape != self.builder.shape and self.view.size != int(np.prod(self.builder.shape)):
            self.view = _indices(self.builder.shape)

    def _is_bipolar(self, node: onnx.NodeProto) -> bool:
        """Whether -1 and +1 are all it gives: QONNX takes a signed Quant of one bit as a sign, too."""
        if node.op_type == "BipolarQuant":
            return True
        return bool(ops.attributes(node).get("signed", 1)) and float(self.constants[node.input[3]].reshape(-1)[0]) == 1.0

    def _quant_attributes(self, node: onnx.NodeProto) -> dict[str, object]:
        attrs = ops.attributes(node)
        rounding = attrs.get("rounding_mode", b"ROUND").decode()
        # Any number but 0 is true to QONNX.
        signed, narrow = bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 0))
        return {"signed": int(signed), "narrow": int(narrow), "rounding_mode": rounding}

    def _scale(self, node: onnx.NodeProto) -> float | None:
        """The quantizer's scale, or None with a problem noted (E206 scale or zero point, E212 not constant)."""
        operands = [self.constants.get(name) for name in node.input[1:]]
        if any(operand is None for operand in operands):
            self._problem(node, "E206", "its scale, zero point or bit width is not a constant.", "Freeze it before export.")
            return None
        scales = np.unique(operands[0].astype(np.float32))  # type: ignore[union-attr]
        if scales.size != 1 or not power_of_two(float(scales[0])):
            shown = ", ".join(f"{value:g}" for value in scales[:3]) + (", ..." if scales.size > 3 else "")
            self._problem(
                node, "E206", f"its scale is {shown}; exact integers need one power of two for the whole tensor.",
                "Train with scaling_const=1.0 (binary) or restrict_scaling_type=POWER_OF_TWO (fixed point).",
            )
            return None
        if node.op_type != "BipolarQuant" and np.any(operands[1]):
            self._problem(node, "E206", "its zero point is not 0.", "Use a quantizer with zero point 0.")
            return None
        if node.op_type != "BipolarQuant":
            return self._checked_bits(node, float(scales[0]), operands[2])
        return float(scales[0])

    def _checked_bits(self, node: onnx.NodeProto, scale: float, bit_width: np.ndarray | None) -> float | None:
        bits = np.unique(bit_width) if bit_width is not None else np.zeros(0)
        if bits.size != 1 or bits[0] != np.rint(bits[0]) or not 1 <= bits[0] <= 16:
            self._problem(node, "E206", f"its bit width is {bits.tolist()}.", "Use one whole bit width from 1 to 16.")
            return None
        return scale

    # --- data movement ---

    def _move(self, node: onnx.NodeProto, after: np.ndarray) -> None:
        if after.ndim < 2 or after.shape[0] != 1:
            self._problem(node, "E214", f"it gives the shape {after.shape}: images are mixed.", "Keep axis 0 for the batch.")
            return
        if self.on_host:
            self._host_move(node, after)
            return
        context = dict(self.constants) | {node.input[0]: self.view}
        self.view = evaluate(node, context, self.opset)[0]

    def _host_move(self, node: onnx.NodeProto, after: np.ndarray) -> None:
        if node.op_type == "Transpose":
            attrs = ops.attributes(node)
            if attrs.get("perm", (1,))[0] != 0:
                self._problem(node, "E214", "it moves the batch axis: images are mixed.", "Keep axis 0 for the batch.")
                return
            self.builder.append("Transpose", (), after.shape, _label(node), attributes=attrs)
        else:
            target = self.builder.constant("shape", np.array([-1, *after.shape[1:]], np.int64))
            self.builder.append("Reshape", (target,), after.shape, _label(node))
        self.view = _indices(after.shape)

    def _require_plain(self, node: onnx.NodeProto) -> bool:
        """Whether the source file sees the canonical NCHW tensor itself here."""
        plain = self.view.shape == self.builder.shape and np.array_equal(self.view, _indices(self.builder.shape))
        if not plain:
            self._problem(
                node, "E214", "it sees the data transposed or reshaped.",
                "Keep NCHW between layers; only a flatten before a fully connected layer may reorder.",
            )
        return plain

    # --- elementwise operators ---

    def _elementwise(self, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
        if before.shape != after.shape:
            self._problem(node, "E216", f"it broadcasts {before.shape} to {after.shape}.", "Keep the tensor's shape.")
            return
        data_at = next(i for i, name in enumerate(node.input) if name not in self.constants)
        names = self._operands(node, before, data_at)
        if names is None:
            return
        attrs = {k: v for k, v in ops.attributes(node).items() if k not in ("min", "max", "momentum", "training_mode", "spatial")}
        self.builder.append(node.op_type, names, self.builder.shape, _label(node), data_at, attrs)
        self.activation = None

    def _operands(self, node: onnx.NodeProto, before: np.ndarray, data_at: int) -> tuple[str, ...] | None:
        if node.op_type == "Clip":
            bounds = ops.clip_bounds(node, self.constants)
            return tuple("" if bound is None else self.builder.constant("bound", bound) for bound in bounds)
        names = []
        for position, name in enumerate(node.input):
            if position == data_at:
                continue
            value = self.constants[name]
            if np.isnan(value).any() or (node.op_type == "BatchNormalization" and not np.isfinite(value).all()):
                self._problem(
                    node, "E217", f"its constant {name!r} holds values that are not finite.", "Train again; lower the rate."
                )
                return None
            if node.op_type == "BatchNormalization":
                fitted = self._channel_vector(value.reshape(1, -1, *[1] * (before.ndim - 2)), before.shape)
                fitted = None if fitted is None else np.broadcast_to(fitted.reshape(-1), (self.builder.shape[1],))
            elif self.on_host:
                fitted = value
            else:
                fitted = self._channel_vector(value, before.shape)
            if fitted is None:
                self._problem(
                    node, "E216", f"its constant {name!r} of shape {value.shape} is not one value a channel.",
                    "Use scalars or one value a channel.",
                )
                return None
            names.append(self.builder.constant(node.op_type.lower() + "_constant", fitted.astype(np.float32)))
        return tuple(names)

    def _channel_vector(self, value: np.ndarray, seen: tuple[int, ...]) -> np.ndarray | None:
        """`value`, which broadcasts to the shape the source sees, as [1, C, 1, 1] or [1, C] of the canonical tensor."""
        if value.size == 1:
            return value.reshape(())
        if self.on_host:
            return value
        shape = self.builder.shape
        flat = np.empty(int(np.prod(shape)), value.dtype)
        flat[self.view.reshape(-1)] = np.broadcast_to(value, seen).reshape(-1)
        spread = flat.reshape(1, shape[1], -1)
        if not np.all(spread == spread[:, :, :1]):
            return None
        return spread[:, :, 0].reshape(1, shape[1], *[1] * (len(shape) - 2))

    # --- host layers ---

    def _host(self, node: onnx.NodeProto, after: np.ndarray) -> None:
        """Float layers before the first quantizer stay as they are."""
        data_at = next(i for i, name in enumerate(node.input) if name not in self.constants)
        names = [
            self.builder.constant("host_constant", self.constants[name]) if name else ""
            for i, name in enumerate(node.input)
            if i != data_at
        ]
        self.builder.append(node.op_type, tuple(names), after.shape, _label(node), data_at, ops.attributes(node))
        self.view = _indices(after.shape)

    # --- layers ---

    def _layer(self, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
        if node.op_type == "Pad":
            self._pad(node, after)
        elif node.op_type == "MaxPool":
            self._max_pool(node, before, after)
        elif node.op_type == "Conv":
            self._conv(node, before, after)
        else:
            self._matmul(node, after)

    def _pad(self, node: onnx.NodeProto, after: np.ndarray) -> None:
        pads, value, mode = ops.pad_request(node, self.constants, after.ndim)
        if not any(pads):
            return
        if not self._require_plain(node):
            return
        outer = pads[:2] + pads[4:6]
        known = self.activation is not None and (
            value == 0.0 or (self.activation.bipolar and abs(value) == self.activation.scale)
        )
        if mode != "constant" or len(pads) != 8 or any(outer) or min(pads) < 0 or not known:
            self._problem(
                node, "E209", f"it pads with {value:g} (mode {mode}, pads {pads}).",
                "Pad rows and columns only, with 0, or with -1 or +1 times the scale of a bipolar tensor.",
            )
            return
        self.pending_pad = ((pads[2], pads[3], pads[6], pads[7]), value)
        self.view = _indices(after.shape)

    def _max_pool(self, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
        attrs = ops.attributes(node)
        kernel = tuple(attrs["kernel_shape"])
        if len(kernel) != 2 or any(d != 1 for d in attrs.get("dilations", (1, 1))):
            self._problem(node, "E208", "only two-dimensional pooling without dilation is supported.", "Change the layer.")
            self._now(after.shape)
            return
        if not self._require_plain(node):
            return
        pads = ops.window_pads(node, before.shape[2:], kernel)
        own = {"kernel_shape": kernel, "strides": tuple(attrs.get("strides", (1, 1))), "pads": pads}
        self.builder.append("MaxPool", (), after.shape, _label(node), attributes=own)
        self.view = _indices(after.shape)

    def _conv(self, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
        attrs = ops.attributes(node)
        weight = self._layer_weight(node, node.input[1])
        kernel = tuple(self.constants[node.input[1]].shape[2:]) if node.input[1] in self.constants else ()
        if attrs.get("group", 1) != 1 or any(d != 1 for d in attrs.get("dilations", ())) or len(kernel) != 2:
            self._problem(
                node, "E208", f"it has group={attrs.get('group', 1)}, dilations={attrs.get('dilations')}, kernel {kernel}.",
                "Use two-dimensional convolutions with group 1 and dilation 1.",
            )
            self.pending_pad = None
            self._after_layer(after.shape)
            return
        pads = ops.window_pads(node, before.shape[2:], kernel)
        if self.pending_pad is not None:
            pads = self._merge_pad(node, pads)
        elif not self._require_plain(node):
            return
        if weight is not None:
            strides = tuple(attrs.get("strides", (1, 1)))
            own = {"kernel_shape": kernel, "strides": strides, "pads": pads, "group": 1, "dilations": (1, 1)}
            operand = self._weight_node(weight)
            self.builder.append("Conv", (operand,), after.shape, _label(node), attributes=own)
        self._after_layer(after.shape)
        if weight is not None and len(node.input) > 2 and node.input[2]:
            self._per_output("Add", self.constants[node.input[2]], node)

    def _merge_pad(self, node: onnx.NodeProto, pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        assert self.pending_pad is not None
        outer, value = self.pending_pad
        self.pending_pad = None
        if value == 0.0:
            return (pads[0] + outer[0], pads[1] + outer[1], pads[2] + outer[2], pads[3] + outer[3])
        if any(pads):
            self._problem(node, "E209", "it pads with 0 what a Pad node has padded already.", "Pad in one place.")
            return pads
        _, channels, height, width = self.builder.shape
        shape = (1, channels, height + outer[0] + outer[2], width + outer[1] + outer[3])
        amounts = self.builder.constant("pads", np.array([0, 0, *outer[:2], 0, 0, *outer[2:]], np.int64))
        filler = self.builder.constant("pad_value", np.array(value, np.float32))
        self.builder.append("Pad", (amounts, filler), shape, _label(node), attributes={"mode": "constant"})
        return pads

    def _matmul(self, node: onnx.NodeProto, after: np.ndarray) -> None:
        attrs = ops.attributes(node)
        rank = self.constants[node.input[1]].ndim if node.input[1] in self.constants else 2
        if node.input[0] in self.constants or attrs.get("transA", 0) or self.view.ndim != 2 or rank != 2:
            self._problem(
                node, "E214", f"it multiplies data of shape {self.view.shape} in an unusual order.",
                "Write fully connected layers as x @ W with x of shape [batch, features].",
            )
            return
        weight = self._layer_weight(node, node.input[1])
        if weight is not None:
            rows = weight.integers.T if attrs.get("transB", 0) else weight.integers
            ordered = np.empty_like(rows)
            ordered[self.view.reshape(-1)] = rows
            if len(self.builder.shape) > 2:
                self.builder.append("Flatten", (), (1, rows.shape[0]), _label(node), attributes={"axis": 1})
            operand = self._weight_node(weight.reshaped(ordered))
            self.builder.append("MatMul", (operand,), after.shape, _label(node))
        self._after_layer(after.shape)
        if weight is None:
            return
        if attrs.get("alpha", 1.0) != 1.0:
            self._per_output("Mul", np.array(attrs["alpha"], np.float32), node)
        if len(node.input) > 2 and node.input[2]:
            self._per_output("Add", self.constants[node.input[2]] * np.float32(attrs.get("beta", 1.0)), node)

    def _after_layer(self, shape: tuple[int, ...]) -> None:
        self.layers += 1
        self.activation = None
        self._now(shape)

    def _now(self, shape: tuple[int, ...]) -> None:
        """The canonical tensor has this shape, and the source file sees it as it is."""
        self.builder.shape = shape
        self.view = _indices(shape)

    def _per_output(self, op_type: str, value: np.ndarray, node: onnx.NodeProto) -> None:
        """A bias or factor, scalar or one value a channel, behind the layer."""
        shape = self.builder.shape
        fitted = value.reshape(()) if value.size == 1 else value.reshape(1, shape[1], *[1] * (len(shape) - 2))
        name = self.builder.constant(op_type.lower() + "_constant", fitted.astype(np.float32))
        self.builder.append(op_type, (name,), shape, _label(node))

    def _layer_weight(self, node: onnx.NodeProto, name: str) -> QuantWeight | None:
        if self.activation is None:
            self._problem(
                node, "E212", "its input is not quantized.", "Put a QuantIdentity (sign or fixed point) before every layer."
            )
        weight = self.weights.get(name)
        if weight is None and name in self.refused:
            return None
        if weight is None and name in self.constants:
            weight = recognize(self.constants[name], _label(node))
        if weight is not None and not power_of_two(weight.scale):
            self._problem(
                node, "E206", f"its weights are -{weight.scale:g} and {weight.scale:g}; exact integers need a power of two.",
                "Train with scaling_const=1.0 (binary) or restrict_scaling_type=POWER_OF_TWO (fixed point).",
            )
            return None
        if weight is None:
            self._problem(
                node, "E205", "its weights are not quantized.",
                "Use a quantized layer (binary, or fixed point with a power-of-two scale) and export QONNX.",
            )
        return weight

    def _weight_node(self, weight: QuantWeight) -> str:
        values = (weight.integers * weight.scale).astype(np.float32)
        shape = tuple(values.shape)
        operands = [
            self.builder.constant("weight", values),
            self.builder.constant("scale", np.array(weight.scale, np.float32)),
        ]
        if weight.bipolar:
            return self.builder.side_node("BipolarQuant", operands, shape, weight.source)
        operands.append(self.builder.constant("zero_point", np.array(0, np.float32)))
        operands.append(self.builder.constant("bit_width", np.array(weight.bits, np.float32)))
        return self.builder.side_node(
            "Quant", operands, shape, weight.source,
            signed=int(weight.signed), narrow=int(weight.narrow), rounding_mode="ROUND",
        )

    def _problem(self, node: onnx.NodeProto, code: str, what: str, fix: str) -> None:
        self.problems.add(code, f"{node.op_type} node {_label(node)!r}", what, fix)


def _label(node: onnx.NodeProto) -> str:
    return node.name or (node.output[0] if node.output else node.op_type)


def _indices(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
