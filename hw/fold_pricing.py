"""From a kernel graph to the problem of folding it: every choice priced by the kernels' own estimates."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from flipflow.hw.fold_cost import Cost
from flipflow.hw.fold_layers import Knobs, Layer, combinations, edges_of, layers_of
from flipflow.hw.fold_problem import Choice, Edge, Joint, Problem
from flipflow.hw.graph import KernelNode, kernels_of
from flipflow.hw.kernels import DOMAIN
from flipflow.hw.lag import waits_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp, Stream

Fixed = Mapping[str, Mapping[str, int | str]]

_FOREVER = 1 << 62  # cycles; any gearbox is fast enough for it


def fold_problem(model: Any, fixed: Fixed, limit: int | None = None) -> Problem:
    """The problem of a kernel graph (its folding is changed in place).

    fixed: knobs by layer that are not free. limit: cycles a frame above which a choice is of no interest; a layer of which every
    choice is slower keeps its fastest ones.
    """
    return _Pricing(model, fixed, limit).problem()


class _Pricing:
    """Prices the choices of one graph."""

    def __init__(self, model: Any, fixed: Fixed, limit: int | None) -> None:
        self.layers = layers_of(model)
        self.edges = list(edges_of(model, self.layers))
        self.fixed = fixed
        self.limit = limit
        self.waits = waits_of(model)
        self.prices = Prices()
        self.alike: dict[Any, tuple[Choice, ...]] = {}  # choices of layers that differ in nothing but their names

    def problem(self) -> Problem:
        """All choices and joints."""
        choices = tuple(self.choices(index) for index in range(len(self.layers)))
        edges = tuple(
            Edge(source, target, dict(self.joints(kernel, port, self.layers[target], choices[source], choices[target])))
            for source, target, kernel, port in self.edges
            if source is not None
        )
        return Problem(tuple(layer.name for layer in self.layers), choices, edges)

    def choices(self, index: int) -> tuple[Choice, ...]:
        """All choices of a layer that are fast enough, but for dominated ones."""
        layer = self.layers[index]
        fixed = self.fixed.get(layer.name, {})
        layer.apply({key: values[0] for key, values in layer.legal().items()} | dict.fromkeys(layer.memories(), "auto"))
        waits = [(port, wait) for (name, port), wait in self.waits.items() if name == layer.name]
        key = (*(attributes_key(op) for op in layer.kernels), *sorted(fixed.items()), self.at_end(index), *waits)
        if key not in self.alike:
            every = (choice for knobs in self.foldings(layer, fixed) for choice in self.priced(index, knobs, fixed))
            self.alike[key] = tuple(_undominated(every))
        return self.alike[key]

    def at_end(self, index: int) -> tuple[bool, bool]:
        """Whether a layer takes the graph's input, and whether it gives the output."""
        sources = [source for source, target, _, _ in self.edges if target == index]
        return None in sources, index == len(self.layers) - 1

    def foldings(self, layer: Layer, fixed: Mapping[str, int | str]) -> list[tuple[int, Knobs]]:
        """(cycles, PE and SIMD) of a layer within the limit, or of its fastest choices."""
        timed = []
        for knobs in combinations(_restricted(layer.legal(), fixed)):
            layer.apply(knobs)
            timed.append((layer.cycles, knobs))
        limit = max(min(cycles for cycles, _ in timed), _FOREVER if self.limit is None else self.limit)
        return [item for item in timed if item[0] <= limit]

    def priced(self, index: int, timed: tuple[int, Knobs], fixed: Mapping[str, int | str]) -> Iterator[Choice]:
        """The choices of a layer's PE and SIMD: its ROMs in block RAM or in LUTs."""
        layer, (cycles, knobs) = self.layers[index], timed
        layer.apply(knobs)
        cost = self.cost(layer) + self.ends(index, cycles)
        rule = layer.rule()
        for memory in combinations(_restricted(layer.memories(), fixed)):
            moved = {name: kind for name, kind in memory.items() if kind not in ("auto", rule[name])}
            change = sum((layer.rom_change(name) for name in moved), Cost())
            yield Choice(knobs | dict.fromkeys(memory, "auto") | moved, layer.into, layer.out, cycles, cost + change)

    def cost(self, layer: Layer) -> Cost:
        """Of a layer's kernels, as it is folded, and of the FIFOs in front of them."""
        from flipflow.hw.stitch import LEAST_DEPTH  # noqa: PLC0415

        cost = Cost()
        for op in layer.kernels:
            cost += self.prices.op(op)
            for port, stream in enumerate(op.in_streams()):
                wait = ceil(self.waits.get((op.name, port), 0.0) * stream.beats)
                cost += self.prices.fifo(stream, LEAST_DEPTH + wait)
        return cost

    def ends(self, index: int, cycles: int) -> Cost:
        """Of what joins a layer, as it is folded, to the graph's input and output."""
        from flipflow.hw.stitch import LEAST_DEPTH, input_elems  # noqa: PLC0415

        cost, (first, last) = Cost(), self.at_end(index)
        if first:
            kernel, port = next((kernel, port) for source, _, kernel, port in self.edges if source is None)
            joint = self.prices.joint(kernel, port, input_elems(kernel))
            cost += joint.cost(cycles) if joint is not None else Cost()
        if last:
            cost += self.prices.fifo(self.layers[index].kernels[-1].out_stream(), LEAST_DEPTH)
        return cost

    def joints(
        self, kernel: "KernelOp", port: int, target: Layer, before: Iterable[Choice], after: Iterable[Choice]
    ) -> Iterator[tuple[tuple[int, int], Joint]]:
        """What joins each size of beats before a kernel to each that it may take."""
        sizes = sorted({choice.out for choice in before})
        for into, choice in {choice.into: choice for choice in after}.items():
            target.apply(choice.knobs)
            for out in sizes:
                joint = self.prices.joint(kernel, port, out)
                if joint is not None:
                    yield (out, into), joint


class Prices:
    """Costs of kernels; equal kernels are estimated once."""

    def __init__(self) -> None:
        self._ops: dict[Any, Cost] = {}
        self._fifos: dict[tuple[int, int], Cost] = {}
        self._joints: dict[Any, tuple[Cost, Cost]] = {}

    def op(self, op: "KernelOp") -> Cost:
        """Of a kernel as it is folded."""
        key = attributes_key(op)
        if key not in self._ops:
            estimates = op.lut_estimation(""), op.bram_estimation(""), op.dsp_estimation("")
            self._ops[key] = Cost(*(int(value) for value in estimates))
        return self._ops[key]

    def fifo(self, stream: "Stream", depth: int) -> Cost:
        """Of a FIFO."""
        from flipflow.hw.stitch import fifo  # noqa: PLC0415

        key = stream.width, depth
        if key not in self._fifos:
            self._fifos[key] = self.op(_op_of(fifo("", stream, depth)))
        return self._fifos[key]

    def joint(self, kernel: "KernelOp", port: int, elems: int) -> Joint | None:
        """What joins beats of `elems` to a kernel's input, as it is folded; None where nothing is needed."""
        from flipflow.hw.kernels.width_converter import gearbox_rhythm  # noqa: PLC0415
        from flipflow.hw.stitch import adapters  # noqa: PLC0415

        wanted = kernel.in_streams()[port]
        if elems == wanted.elems:
            return None
        key = elems, wanted.elems, wanted.bits
        if key not in self._joints:
            single, double = (
                [self.op(_op_of(node)) for node in adapters(kernel, replace(wanted, elems=elems), interval, port)[:-1]]
                for interval in (_FOREVER, 0)
            )
            self._joints[key] = sum(single, Cost()), sum(double, Cost())
        cycles, elements = gearbox_rhythm(elems, wanted.elems)
        return Joint(-(-wanted.beats * wanted.elems * cycles // elements), *self._joints[key])


def attributes_key(op: "KernelOp") -> tuple[Any, ...]:
    """Equal for kernels that differ in nothing but their names."""
    return op.onnx_node.op_type, *sorted(item.SerializeToString() for item in op.onnx_node.attribute)


def _op_of(node: KernelNode) -> "KernelOp":
    """The op of a kernel that is in no graph yet."""
    from onnx import helper  # noqa: PLC0415
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    op: KernelOp = getCustomOp(helper.make_node(node.op_type, [], [], node.name, domain=DOMAIN, **node.attributes))
    return op


def cost_of(model: Any) -> Cost:
    """Estimated cost of a graph, as it is folded."""
    prices = Prices()
    return sum((prices.op(op) for op in kernels_of(model)), Cost())


def _restricted(legal: Mapping[str, Any], fixed: Mapping[str, int | str]) -> dict[str, Any]:
    return {key: (fixed[key],) if key in fixed else values for key, values in legal.items()}


def _undominated(choices: Iterable[Choice]) -> Iterator[Choice]:
    """Without those that cost as much as another of the same beats and cycles, or more."""
    alike: dict[tuple[int, int, int], list[Choice]] = {}
    for choice in choices:
        alike.setdefault((choice.into, choice.out, choice.cycles), []).append(choice)
    for group in alike.values():
        kept: list[Choice] = []
        for choice in sorted(group, key=lambda item: (item.cost.weighted, item.cost.lut)):
            if not any(choice.cost.covers(other.cost) for other in kept):
                kept.append(choice)
        yield from kept
