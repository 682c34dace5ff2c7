"""Layers: the kernels of a graph that fold together, and the legal values of their knobs.

A layer is a unit with what must share its beat size: a convolution or a pool with its window, the last matrix product with
the arg-max, anything with the forks and channel paddings behind it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from flipflow.hw.fold_cost import Cost
from flipflow.hw.graph import inputs_of, kernels_of
from flipflow.hw.kernels.area import rom, rom_in_blocks

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

Knobs = dict[str, int | str]

PRODUCTS = ("XnorMvtu", "MixedMvtu")
# Knob of a unit without weights, and the attribute that its value divides.
_CHANNEL_KNOBS = {
    "Pool": ("simd", "Channels"),
    "SumPool": ("simd", "Channels"),
    "Threshold": ("pe", "Channels"),
    "Requantize": ("pe", "Channels"),
    "ResidualAdd": ("pe", "Channels"),
}
# Kernels behind a unit that take its beats as they come, and their attribute for it.
_TAILS = {"Argmax": "PE", "Fork": "Elems", "ChannelPad": "Elems"}
_ATTRIBUTES = {"pe": "PE", "simd": "SIMD", "weight_memory": "WeightMemory", "threshold_memory": "ThresholdMemory"}


@dataclass(frozen=True)
class Layer:
    """Kernels that fold together. main: the unit that the layer is named after. window: the one before it. tails: what takes
    the unit's beats as they come.
    """

    main: "KernelOp"
    window: "KernelOp | None" = None
    tails: "tuple[KernelOp, ...]" = ()

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.main.name

    @property
    def kernels(self) -> "tuple[KernelOp, ...]":
        """All kernels, in stream order."""
        return (*((self.window,) if self.window is not None else ()), self.main, *self.tails)

    @property
    def into(self) -> int:
        """Elements a beat that the layer takes, as it is folded."""
        return self.kernels[0].in_stream().elems

    @property
    def out(self) -> int:
        """Elements a beat that the layer gives, as it is folded."""
        return self.kernels[-1].out_stream().elems

    @property
    def cycles(self) -> int:
        """Cycles a frame of the slowest kernel, as the layer is folded."""
        return max(int(kernel.get_exp_cycles()) for kernel in self.kernels)

    def legal(self) -> dict[str, list[int]]:
        """Legal values of each knob, rising; without a knob: nothing to choose."""
        op, kind = self.main, self.main.onnx_node.op_type
        if kind in PRODUCTS:
            inputs = self.window.integer("Channels") if self.window else op.integer("MW")
            knobs = {"pe": divisors(op.integer("MH")), "simd": divisors(inputs)}
        elif kind in _CHANNEL_KNOBS:
            knob, attribute = _CHANNEL_KNOBS[kind]
            knobs = {knob: divisors(op.integer(attribute))}
        else:
            knobs = {}
        last = "pe" if "pe" in knobs else "simd"
        if last in knobs:
            knobs[last] = [value for value in knobs[last] if self._tails_take(value)]
        return knobs

    def memories(self) -> dict[str, tuple[str, ...]]:
        """Where each of the unit's ROMs may lie: {"weight_memory": ("block", "lut"), ...}; {} without ROMs to choose for."""
        if self.main.onnx_node.op_type not in PRODUCTS:
            return {}
        names = ("weight_memory", "threshold_memory")[: 2 if self.main.integer("Thresholds") else 1]
        return dict.fromkeys(names, ("block", "lut"))

    def rule(self) -> dict[str, str]:
        """Where each of the unit's ROMs lies, as it is folded, if nothing is asked for."""
        return {name: "block" if rom_in_blocks(*size) else "lut" for name, size in self._roms().items()}

    def rom_change(self, name: str) -> Cost:
        """What it costs more, as the unit is folded, to have a ROM where the rule does not have it."""
        size = self._roms()[name]
        rule = rom_in_blocks(*size)
        before, after = rom(*size, rule), rom(*size, not rule)
        return Cost(after.lut - before.lut, after.bram - before.bram)

    def _roms(self) -> dict[str, tuple[int, int]]:
        """(depth, width) of each of the unit's ROMs, as it is folded."""
        return dict(zip(self.memories(), self.main.roms() if self.memories() else (), strict=True))

    def apply(self, knobs: Mapping[str, int | str]) -> None:
        """Set knobs (pe, simd, weight_memory, threshold_memory; others stay) on the layer's nodes."""
        for key, value in knobs.items():
            self.main.set_nodeattr(_ATTRIBUTES[key], value)
        if self.window is not None:
            self.window.set_nodeattr("SIMD", self.main.integer("SIMD"))
        elems = self.main.out_stream().elems
        for tail in self.tails:
            tail.set_nodeattr(_TAILS[tail.onnx_node.op_type], elems)

    def _tails_take(self, elems: int) -> bool:
        sizes = [
            tail.integer(key)
            for tail in self.tails
            if tail.onnx_node.op_type == "ChannelPad"
            for key in ("Before", "Channels", "After")
        ]
        return all(size % elems == 0 for size in sizes)


def layers_of(model: Any) -> tuple[Layer, ...]:
    """The layers of a kernel graph, in topological order."""
    inputs = inputs_of(model)
    layers: dict[str, Layer] = {}  # by the name of their main kernel
    home: dict[str, str] = {}  # kernel -> the layer that it is in
    windows: dict[str, KernelOp] = {}
    for op in kernels_of(model):
        kind, before = op.onnx_node.op_type, inputs[op.name][0].partition(":")[0]
        if kind == "Window":
            windows[op.name] = op
        elif kind in _TAILS and before in home:
            layer = layers[home[before]]
            layers[layer.name] = Layer(layer.main, layer.window, (*layer.tails, op))
            home[op.name] = layer.name
        else:
            window = windows.pop(before, None)
            layers[op.name] = Layer(op, window)
            home |= {op.name: op.name} | ({window.name: op.name} if window is not None else {})
    return tuple(layers.values())


def edges_of(model: Any, layers: tuple[Layer, ...]) -> Iterator[tuple[int | None, int, "KernelOp", int]]:
    """Streams between layers: (index of the layer it leaves, None for the graph's input; index of the layer that takes it; the
    kernel that takes it; that kernel's input).
    """
    home = {kernel.name: index for index, layer in enumerate(layers) for kernel in layer.kernels}
    for name, sources in inputs_of(model).items():
        for port, source in enumerate(sources):
            leaves = home.get(source.partition(":")[0])
            if leaves != home[name]:
                kernel = next(op for op in layers[home[name]].kernels if op.name == name)
                yield leaves, home[name], kernel, port


def combinations(values: Mapping[str, "list[int] | tuple[str, ...]"]) -> list[Knobs]:
    """Every combination of knobs' values."""
    chosen: Iterable[tuple[int | str, ...]] = product(*values.values())
    return [dict(zip(values, each, strict=True)) for each in chosen]


def divisors(number: int) -> list[int]:
    """Divisors of a positive number, rising."""
    return [value for value in range(1, number + 1) if number % value == 0]
