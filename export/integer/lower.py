"""The canonical QONNX chain, read node by node, as an integer net."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.integer.graph import LAYERS, QUANTIZERS, Chain, LayerWeights, attributes
from flipflow.export.integer.net import ActType, Conv, Domain, IntegerNet, Linear, MaxPool, Operator, PadKind, Threshold
from flipflow.export.integer.thresholds import Reach, read_off

EXACT_FLOAT32 = 2**24
_EPILOGUE_SAMPLES = 1 << 16


# Called before a chain is read off, with its nodes, the file's constants, what can reach it, and the quantizer's type and scale.
ChainObserver = Callable[[Sequence[onnx.NodeProto], dict[str, np.ndarray], Reach, ActType, float], None]


def lower(model: onnx.ModelProto, observe: ChainObserver | None = None) -> IntegerNet:
    """Lower a canonical model. `observe` sees every activation chain first, and may correct the constants it is given.

    Raises: FlipflowError E210 (an activation is not monotone), E211 (a sum could pass 2^24), E213 (what follows the last layer
    is not one rising function for all classes), E218 (a quantizer behind the last layer).
    """
    return _Lowering(Chain(model), observe, _raise).run()


def obstacles(model: onnx.ModelProto) -> list[FlipflowError]:
    """Everything for which `lower` would refuse a canonical model, not only the first."""
    found: list[FlipflowError] = []
    try:
        _Lowering(Chain(model), None, found.append).run()
    except FlipflowError as error:
        found.append(error)
    return found


def _raise(error: FlipflowError) -> None:
    raise error


@dataclass
class _Open:
    """A tensor of sums (or of integers) on which a float chain has begun. exact: float32 holds all of them."""

    reach: Reach
    popcount_of: int | None
    exact: bool = True
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    pools: list[onnx.NodeProto] = field(default_factory=list)


class _Lowering:
    def __init__(self, chain: Chain, observe: ChainObserver | None, refuse: Callable[[FlipflowError], None]) -> None:
        self.chain = chain
        self.observe = observe
        self.refuse = refuse
        self.operators: list[Operator] = []
        self.type: ActType | None = None
        self.scale = 1.0
        self.shape: tuple[int, ...] = ()
        self.pad: tuple[tuple[int, int, int, int], PadKind] | None = None
        self.flat_from: tuple[int, ...] | None = None
        self.open: _Open | None = None
        self.counts: dict[str, int] = {}

    def run(self) -> IntegerNet:
        first = self.chain.nodes[self.chain.first_quantizer]
        self._take_quantizer(first)
        input_type, input_shape = self.type, self.shape
        assert input_type is not None
        for node in self.chain.nodes[self.chain.first_quantizer + 1 :]:
            self._visit(node)
        if self.open is None or not isinstance(self.operators[-1], Conv | Linear):
            raise FlipflowError(
                "E218", "the network ends in a quantizer, not in sums.", "the output", "Leave the logits unquantized."
            )
        self._check_epilogue(self.open)
        self.operators[-1] = _as_sums(self.operators[-1])
        shape = input_shape[1:] if len(input_shape) == 2 else (*input_shape[2:], input_shape[1])
        return IntegerNet(input_type, shape, tuple(self.operators), self.open.reach.unit, self.open.reach.low.size)

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.op_type in LAYERS:
            self._layer(node)
        elif node.op_type in QUANTIZERS:
            self._activation(node)
        elif node.op_type == "Pad":
            self._pad(node)
        elif node.op_type == "MaxPool" and self.open is None:
            self.operators.append(self._pool(node, np.zeros(self.shape[1], bool)))
        elif node.op_type == "Flatten" and self.open is None:
            self.flat_from = self.shape
        else:
            self._extend(node)
        self.shape = self.chain.shapes[node.output[0]]

    def _take_quantizer(self, node: onnx.NodeProto) -> None:
        self.type = self.chain.quantizer_type(node)
        self.scale = self.chain.quantizer_scale(node)
        self.shape = self.chain.shapes[node.output[0]]

    # --- layers ---

    def _layer(self, node: onnx.NodeProto) -> None:
        assert self.type is not None
        weights = self.chain.weights(node)
        layer = self._conv(node, weights) if node.op_type == "Conv" else self._linear(node, weights)
        self.operators.append(layer)
        reach = self._reach(node, layer, weights)
        self.open = _Open(reach, _popcount_of(layer), max(-reach.start, reach.stop) < EXACT_FLOAT32)
        self.flat_from = None

    def _conv(self, node: onnx.NodeProto, weights: LayerWeights) -> Conv:
        assert self.type is not None
        attrs = attributes(node)
        pads, kind = tuple(attrs["pads"]), "zero" if any(attrs["pads"]) else "none"
        if self.pad is not None:
            pads, kind = self.pad
            self.pad = None
        binary = self.type.bipolar and weights.type.bipolar
        return Conv(
            name=self._name("conv"),
            weights=weights.integers.transpose(0, 2, 3, 1).astype(np.int16),
            stride=tuple(attrs["strides"]),
            pads=pads,
            pad_kind=kind,  # type: ignore[arg-type]
            input=self.type,
            weight_bits=weights.type.bits,
            weight_bipolar=weights.type.bipolar,
            domain="popcount" if binary and kind != "zero" else "sum",
        )

    def _linear(self, node: onnx.NodeProto, weights: LayerWeights) -> Linear:
        assert self.type is not None
        rows = weights.integers
        if self.flat_from is not None and len(self.flat_from) == 4:
            _, channels, height, width = self.flat_from
            rows = rows.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(rows.shape)
        domain: Domain = "popcount" if self.type.bipolar and weights.type.bipolar else "sum"
        return Linear(
            self._name("linear"), rows.T.astype(np.int16), self.type, weights.type.bits, weights.type.bipolar, domain
        )

    def _reach(self, node: onnx.NodeProto, layer: Conv | Linear, weights: LayerWeights) -> Reach:
        """All sums the layer can give, from its actual weights."""
        rows = layer.weights.reshape(layer.weights.shape[0], -1).astype(np.int64)
        extremes = np.stack([rows * layer.input.minimum, rows * layer.input.maximum])
        low, high = extremes.min(axis=0).sum(axis=1), extremes.max(axis=0).sum(axis=1)
        bound = int(max(-low.min(), high.max()))
        if bound >= EXACT_FLOAT32:
            self.refuse(
                FlipflowError(
                    "E211",
                    f"its sums can reach {bound}, and float32 counts exactly only below 2^24.",
                    f"{node.op_type} node {node.doc_string!r}",
                    "Use fewer bits for its inputs or weights, or a smaller fan-in.",
                )
            )
        # Sums of K signs have K's parity, unless padding leaves some of them out.
        step = 2 if layer.domain == "popcount" else 1
        rank = 4 if isinstance(layer, Conv) else 2
        return Reach(int(low.min()), int(high.max()), step, low, high, self.scale * weights.scale, rank)

    def _pad(self, node: onnx.NodeProto) -> None:
        amounts = self.chain.constants[node.input[1]]
        value = float(self.chain.constants[node.input[2]])
        kind: PadKind = "plus_one" if value > 0 else "minus_one"
        self.pad = ((int(amounts[2]), int(amounts[3]), int(amounts[6]), int(amounts[7])), kind)

    def _pool(self, node: onnx.NodeProto, minimum: np.ndarray) -> MaxPool:
        attrs = attributes(node)
        return MaxPool(
            self._name("pool"), tuple(attrs["kernel_shape"]), tuple(attrs["strides"]), tuple(attrs["pads"]), minimum
        )

    # --- activations ---

    def _extend(self, node: onnx.NodeProto) -> None:
        """A float operator on sums, or directly on a quantized tensor."""
        if self.open is None:
            assert self.type is not None
            low = np.full(self.shape[1], self.type.minimum, np.int64)
            high = np.full(self.shape[1], self.type.maximum, np.int64)
            step = 2 if self.type.bipolar else 1
            reach = Reach(self.type.minimum, self.type.maximum, step, low, high, self.scale, len(self.shape))
            self.open = _Open(reach, None)
        self.open.nodes.append(node)
        if node.op_type == "MaxPool":
            self.open.pools.append(node)

    def _activation(self, node: onnx.NodeProto) -> None:
        if self.open is None:
            self._extend(node)
        else:
            self.open.nodes.append(node)
        chain, self.open = self.open, None
        assert chain is not None
        self._take_quantizer(node)
        assert self.type is not None
        if not chain.exact:
            return
        try:
            self._threshold(chain, self.type)
        except FlipflowError as error:
            self.refuse(error)

    def _threshold(self, chain: _Open, output: ActType) -> None:
        """The activation that ends a chain, and the pools that stood in it."""
        if self.observe is not None:
            self.observe(chain.nodes, self.chain.constants, chain.reach, output, self.scale)
        meaning = read_off(chain.nodes, self.chain.constants, chain.reach, output, self.scale)
        levels = meaning.levels
        if chain.popcount_of is not None:
            # s >= T with s = 2p - K is p >= (T + K) / 2, rounded up.
            levels = -(-(levels + chain.popcount_of) // 2)
        self.operators.append(Threshold(self._name("threshold"), levels.astype(np.int32), meaning.invert, output))
        for pool, minimum in zip(chain.pools, meaning.pool_minimum, strict=True):
            self.operators.append(self._pool(pool, minimum))

    def _check_epilogue(self, chain: _Open) -> None:
        """What follows the last layer must rise, and be the same for every class: then the integers decide."""
        if not chain.nodes:
            return
        reach = chain.reach
        if chain.pools:
            raise _no_ranking(chain, "a pool stands behind the last layer")
        count = min(_EPILOGUE_SAMPLES, reach.stop - reach.start + 1)
        sums = np.unique(np.linspace(reach.start, reach.stop, count).astype(np.int64))
        shape = (sums.size, reach.low.size, *(1,) * (reach.rank - 2))
        value = np.broadcast_to(
            (sums * reach.unit).astype(np.float32).reshape(-1, *(1,) * (len(shape) - 1)), shape
        ).copy()
        for node in chain.nodes:
            if node.op_type == "Flatten":
                value = value.reshape(sums.size, -1)
                continue
            data = next(name for name in node.input if name not in self.chain.constants)
            value = evaluate(node, {**self.chain.constants, data: value}, 13)[0]
        value = value.reshape(sums.size, -1)
        if np.any(value != value[:, :1]) or not np.all(np.diff(value[:, 0]) > 0):
            raise _no_ranking(chain, "it is not one rising function for all classes")

    def _name(self, kind: str) -> str:
        index = self.counts.get(kind, 0)
        self.counts[kind] = index + 1
        return f"{kind}_{index}"


def _no_ranking(chain: _Open, reason: str) -> FlipflowError:
    return FlipflowError(
        "E213",
        f"{reason}, so the integer sums do not decide the class.",
        f"{chain.nodes[0].op_type} node {chain.nodes[0].doc_string!r}, behind the last layer",
        "Use one positive scale and one bias for all classes, or none (no bias in the last layer).",
    )


def _popcount_of(layer: Conv | Linear) -> int | None:
    """Fan-in K where the layer counts matching bits."""
    return int(np.prod(layer.weights.shape[1:])) if layer.domain == "popcount" else None


def _as_sums(layer: Operator) -> Operator:
    """The last layer gives dot products, whatever its kind."""
    assert isinstance(layer, Conv | Linear)
    return type(layer)(**{**vars(layer), "domain": "sum"})
