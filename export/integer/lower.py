"""The canonical QONNX graph, read node by node, as an integer net."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.integer.chain import Reach, window_of
from flipflow.export.integer.epilogue import check_epilogue
from flipflow.export.integer.graph import LAYERS, QUANTIZERS, SUM_POOLS, CanonicalGraph, attributes
from flipflow.export.integer.layers import EXACT_FLOAT32, make_layer, sums_of
from flipflow.export.integer.net import NET_INPUT, ActType, Add, Conv, IntegerNet, Linear, MaxPool, SumPool, Threshold
from flipflow.export.integer.tensors import Border, Fixed, Sums, Tensor, Wiring, begin_chain, spanning
from flipflow.export.integer.thresholds import ChainMeaning, read_off

# Called before a chain is read off, with its nodes, the file's constants, what can reach it, and the quantizer's type and scale.
ChainObserver = Callable[[Sequence[onnx.NodeProto], dict[str, np.ndarray], Reach, ActType, float], None]


def lower(model: onnx.ModelProto, observe: ChainObserver | None = None) -> IntegerNet:
    """Lower a canonical model. `observe` sees every activation chain first, and may correct the constants it is given.

    Raises: FlipflowError E210 (an activation is not monotone), E211 (a sum could pass 2^24), E213 (what follows the last layer
    is not one rising function for all classes), E218 (a quantizer behind the last layer).
    """
    return _Lowering(CanonicalGraph(model), observe, _raise).run()


def obstacles(model: onnx.ModelProto) -> list[FlipflowError]:
    """Everything for which `lower` would refuse a canonical model, not only the first."""
    found: list[FlipflowError] = []
    try:
        _Lowering(CanonicalGraph(model), None, found.append).run()
    except FlipflowError as error:
        found.append(error)
    return found


def _raise(error: FlipflowError) -> None:
    raise error


class _Lowering:
    """Walks the graph behind the first quantizer. Every tensor is known by what it is; so a fork needs nothing of its own."""

    def __init__(
        self, graph: CanonicalGraph, observe: ChainObserver | None, refuse: Callable[[FlipflowError], None]
    ) -> None:
        self.graph = graph
        self.observe = observe
        self.refuse = refuse
        self.net = Wiring()
        self.tensors: dict[str, Tensor] = {}
        self.saturated: set[int] = set()  # Adds that saturate by themselves

    def run(self) -> IntegerNet:
        first, *rest = self.graph.nodes[self.graph.first_quantizer :]
        entry = self._quantized(first, NET_INPUT)
        self.tensors[first.output[0]] = entry
        for node in rest:
            self.tensors[node.output[0]] = self._visit(node)
        logits = self.tensors[self.graph.output]
        operators = self.net.operators
        if not isinstance(logits, Sums) or logits.wire < 0 or not isinstance(operators[logits.wire], Conv | Linear):
            raise FlipflowError(
                "E218", "the network ends in a quantizer, not in sums.", "the output", "Leave the logits unquantized."
            )
        check_epilogue(logits, self.graph.constants)
        # The last layer gives dot products, whatever its kind.
        last = operators[logits.wire]
        assert isinstance(last, Conv | Linear)
        operators[logits.wire] = replace(last, domain="sum")
        shape = entry.shape[1:] if len(entry.shape) == 2 else (*entry.shape[2:], entry.shape[1])
        wires = tuple(self.net.wires)
        return IntegerNet(entry.type, shape, tuple(operators), logits.reach.unit, logits.reach.low.size, wires)

    def _visit(self, node: onnx.NodeProto) -> Tensor:
        tensor = self.tensors[self.graph.data_inputs(node)[0]]
        if node.op_type in QUANTIZERS:
            return self._activation(node, begin_chain(tensor) if isinstance(tensor, Fixed) else tensor)
        if isinstance(tensor, Sums):
            return tensor.then(node, self._alone(node))
        return self._on_integers(node, tensor)

    def _on_integers(self, node: onnx.NodeProto, tensor: Fixed) -> Tensor:
        """A node on integers: an operator of the net, a move that the next one takes in, or the first of a float chain."""
        moved = replace(tensor, shape=self.graph.shapes[node.output[0]], alone=self._alone(node))
        both = [name for name in node.input if name in self.tensors]
        result: Tensor
        if node.op_type in LAYERS:
            result = self._layer(node, tensor)
        elif node.op_type in SUM_POOLS:
            result = self._sum_pool(node, tensor)
        elif node.op_type == "Add" and len(both) == 2:
            result = self._add(node, both)
        elif node.op_type == "MaxPool":
            result = replace(moved, wire=self._max_pool(node, tensor.wire, np.zeros(tensor.shape[1], bool)))
        elif node.op_type == "Pad":
            result = replace(moved, border=self._border(node))
        elif node.op_type == "Flatten":
            result = replace(moved, flat_from=tensor.shape)
        else:
            result = begin_chain(tensor).then(node, self._alone(node))
        return result

    def _alone(self, node: onnx.NodeProto) -> bool:
        return self.graph.readers[node.output[0]] == 1

    def _quantized(self, node: onnx.NodeProto, wire: int) -> Fixed:
        graph = self.graph
        shape = graph.shapes[node.output[0]]
        return Fixed(wire, graph.quantizer_type(node), graph.quantizer_scale(node), shape, self._alone(node))

    # --- operators ---

    def _layer(self, node: onnx.NodeProto, tensor: Fixed) -> Sums:
        weights = self.graph.weights(node)
        layer = make_layer(self.net.name("conv" if node.op_type == "Conv" else "linear"), node, tensor, weights)
        reach = sums_of(layer, tensor.scale * weights.scale)
        bound = max(-reach.start, reach.stop)
        if bound >= EXACT_FLOAT32:
            self.refuse(_inexact(node, bound, "Use fewer bits for its inputs or weights, or a smaller fan-in."))
        popcount_of = int(np.prod(layer.weights.shape[1:])) if layer.domain == "popcount" else None
        wire = self.net.add(layer, tensor.wire)
        return Sums(wire, reach, popcount_of, bound < EXACT_FLOAT32, self._alone(node))

    def _sum_pool(self, node: onnx.NodeProto, tensor: Fixed) -> Sums:
        kernel, stride = window_of(node, tensor.shape)
        count, kind = kernel[0] * kernel[1], tensor.type
        start, stop = count * kind.minimum, count * kind.maximum
        bound = max(-start, stop)
        if bound >= EXACT_FLOAT32:
            self.refuse(_inexact(node, bound, "Use fewer bits for its input, or a smaller window."))
        wire = self.net.add(SumPool(self.net.name("sum"), kernel, stride), tensor.wire)
        low, high = np.full(tensor.shape[1], start, np.int64), np.full(tensor.shape[1], stop, np.int64)
        rank = len(self.graph.shapes[node.output[0]])
        reach = Reach(start, stop, 2 if kind.bipolar else 1, low, high, tensor.scale, rank, kernel)
        return Sums(wire, reach, None, bound < EXACT_FLOAT32, True).then(node, self._alone(node))

    def _add(self, node: onnx.NodeProto, names: list[str]) -> Fixed:
        """The sum in a type that holds all of it; a saturating quantizer behind it narrows that to its own."""
        left, right = self.tensors[names[0]], self.tensors[names[1]]
        assert isinstance(left, Fixed) and isinstance(right, Fixed)
        output = spanning(left.type.minimum + right.type.minimum, left.type.maximum + right.type.maximum)
        wire = self.net.add(Add(self.net.name("add"), output), left.wire, right.wire)
        return Fixed(wire, output, left.scale, left.shape, self._alone(node))

    def _border(self, node: onnx.NodeProto) -> Border:
        amounts = self.graph.constants[node.input[1]]
        value = float(self.graph.constants[node.input[2]])
        pads = (int(amounts[2]), int(amounts[3]), int(amounts[6]), int(amounts[7]))
        return Border(pads, "plus_one" if value > 0 else "minus_one")

    def _max_pool(self, node: onnx.NodeProto, source: int, minimum: np.ndarray) -> int:
        attrs = attributes(node)
        kernel, stride, pads = (tuple(attrs[key]) for key in ("kernel_shape", "strides", "pads"))
        return self.net.add(MaxPool(self.net.name("pool"), kernel, stride, pads, minimum), source)

    # --- activations ---

    def _activation(self, node: onnx.NodeProto, chain: Sums) -> Fixed:
        chain = chain.then(node, True)
        result = self._quantized(node, chain.wire)
        if not chain.exact:
            return result
        try:
            return replace(result, wire=self._threshold(chain, result))
        except FlipflowError as error:
            self.refuse(error)
        return result

    def _threshold(self, chain: Sums, result: Fixed) -> int:
        """The activation that ends a chain, and the pools that stood in it; the last one's number."""
        constants, output = self.graph.constants, result.type
        if self.observe is not None:
            self.observe(chain.nodes, constants, chain.reach, output, result.scale)
        meaning = read_off(chain.nodes, constants, chain.reach, output, result.scale)
        if self._saturates(chain, meaning, result):
            self.net.operators[chain.wire] = Add(self.net.operators[chain.wire].name, output)
            self.saturated.add(chain.wire)
            return chain.wire
        levels = meaning.levels
        if chain.popcount_of is not None:
            # s >= T with s = 2p - K is p >= (T + K) / 2, rounded up.
            levels = -(-(levels + chain.popcount_of) // 2)
        threshold = Threshold(self.net.name("threshold"), levels.astype(np.int32), meaning.invert, output)
        wire = self.net.add(threshold, chain.wire)
        for pool, minimum in zip(chain.pools, meaning.pool_minimum, strict=True):
            wire = self._max_pool(pool, wire, minimum)
        return wire

    def _saturates(self, chain: Sums, meaning: ChainMeaning, result: Fixed) -> bool:
        """Whether the chain only clamps the sum of an Add that nothing else reads: then the Add itself saturates."""
        if chain.wire < 0 or not isinstance(self.net.operators[chain.wire], Add) or not chain.alone or chain.pools:
            return False
        if result.scale != chain.reach.unit or result.type.bipolar or meaning.invert.any():
            return False
        if chain.wire in self.saturated and (
            result.type.minimum < chain.reach.start or result.type.maximum > chain.reach.stop
        ):  # a second quantizer that is wider than the first: the Add must go on to saturate as the first one does
            return False
        values = np.arange(result.type.minimum + 1, result.type.maximum + 1)
        return bool(np.all(meaning.levels == np.clip(values, chain.reach.start, chain.reach.stop + 1)))


def _inexact(node: onnx.NodeProto, bound: int, fix: str) -> FlipflowError:
    what = f"its sums can reach {bound}, and float32 counts exactly only below 2^24."
    return FlipflowError("E211", what, f"{node.op_type} node {node.doc_string!r}", fix)
