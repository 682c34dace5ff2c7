"""Folding: how many results (PE) and inputs (SIMD) of a layer are computed at once.

A layer is a unit with what must share its beat size: a convolution or a pool with its window, the last matrix product
with the arg-max. Its cycles a frame are those of its slowest kernel, and the accelerator's initiation interval is that
of its slowest layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flipflow.errors import FlipflowError
from flipflow.hw.graph import kernels_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

# What a block RAM weighs against LUTs where two foldings are compared. An ECP5-85F has 402 LUT4s for each of its block
# RAMs, but few designs use all of them, and placement takes long over LUTs. At 402, foldings left block RAMs idle.
LUTS_PER_BRAM = 128
# Products a cycle, on average, where nothing is asked for: small enough for mid-size parts (FINN's CNV example folds to as many),
# large enough that a simulation of a few images takes seconds.
DEFAULT_LANES = 1024
_CONVOLVING = ("XnorMvtu", "MixedMvtu")


@dataclass(frozen=True)
class FoldRequest:
    """What the user asks for: a rate, or cycles a frame, or PE and SIMD of named layers; the named ones go first.

    fps: frames a second at clock_mhz. cycles: at most so many cycles a frame. layers: {layer: {"pe": n, "simd": n}},
    either key optional. With neither fps nor cycles, layers without an entry keep up with the slowest one that has an
    entry, if they can.
    """

    fps: float | None = None
    clock_mhz: float = 100.0
    cycles: int | None = None
    layers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerFold:
    """The folding of one layer, its cycles a frame, and its estimated LUT4s and 18-kbit block RAMs."""

    name: str
    pe: int
    simd: int
    cycles: int
    lut: int
    bram: int

    @property
    def cost(self) -> int:
        """LUTs and block RAMs as one number."""
        return self.lut + LUTS_PER_BRAM * self.bram


@dataclass(frozen=True)
class _Layer:
    """Kernels that fold together, the named one last among those that stream into it; legal values of its knobs."""

    main: "KernelOp"
    window: "KernelOp | None" = None
    argmax: "KernelOp | None" = None

    @property
    def name(self) -> str:
        return self.main.name

    def legal(self) -> dict[str, list[int]]:
        """Legal values of each knob, rising."""
        op = self.main
        if op.onnx_node.op_type in _CONVOLVING:
            inputs = self.window.integer("Channels") if self.window else op.integer("MW")
            return {"pe": divisors(op.integer("MH")), "simd": divisors(inputs)}
        knob = "simd" if op.onnx_node.op_type == "Pool" else "pe"
        return {knob: divisors(op.integer("Channels"))}

    def kernels(self) -> "list[KernelOp]":
        return [kernel for kernel in (self.window, self.main, self.argmax) if kernel is not None]

    def apply(self, knobs: Mapping[str, int]) -> LayerFold:
        """Set the knobs on the layer's nodes."""
        for key, value in knobs.items():
            self.main.set_nodeattr(key.upper(), value)
        if self.window is not None:
            self.window.set_nodeattr("SIMD", self.main.integer("SIMD"))
        if self.argmax is not None:
            self.argmax.set_nodeattr("PE", self.main.integer("PE"))
        kernels = self.kernels()
        return LayerFold(
            self.name,
            self.main.out_stream().elems,
            self.main.in_stream().elems,
            max(kernel.get_exp_cycles() for kernel in kernels),
            sum(int(kernel.lut_estimation("")) for kernel in kernels),
            sum(int(kernel.bram_estimation("")) for kernel in kernels),
        )


def divisors(number: int) -> list[int]:
    """Divisors of a positive number, rising."""
    return [value for value in range(1, number + 1) if number % value == 0]


def fold(model: Any, request: FoldRequest) -> list[LayerFold]:
    """Set PE and SIMD of every kernel of `model` (unfolded kernel graph, changed in place); returns the layers'
    foldings in stream order.

    Every layer without an entry gets the cheapest folding that is fast enough, and of equally cheap ones the fastest.
    Raises: FlipflowError E303 (an entry for no layer, a target that is no positive number), E304 (an illegal PE or
    SIMD), E305 (a target that no folding reaches).
    """
    layers = _layers(kernels_of(model))
    fixed = _check_entries(layers, request.layers)
    budget = _budget(request)
    if budget is None and fixed:
        budget = max(_fastest(layer, fixed[layer.name]).cycles for layer in layers if layer.name in fixed)
        budget = max(budget, _reachable(layers, fixed))
    elif budget is None:
        budget = max(_default_cycles(layers), _reachable(layers, fixed))
    else:
        _check_reachable(layers, fixed, budget, request)
    return [_cheapest(layer, fixed.get(layer.name, {}), budget) for layer in layers]


def legal_values(model: Any) -> dict[str, dict[str, list[int]]]:
    """Legal values of every layer's knobs, rising: {layer: {"pe": [...], "simd": [...]}}; pools have simd only,
    thresholds pe.
    """
    return {layer.name: layer.legal() for layer in _layers(kernels_of(model))}


def _layers(ops: "list[KernelOp]") -> list[_Layer]:
    layers: list[_Layer] = []
    window: KernelOp | None = None
    for op in ops:
        kind = op.onnx_node.op_type
        if kind == "Window":
            window = op
        elif kind == "Argmax":
            layers[-1] = _Layer(layers[-1].main, layers[-1].window, op)
        else:
            layers.append(_Layer(op, window))
            window = None
    return layers


def _check_entries(layers: list[_Layer], entries: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    by_name = {layer.name: layer for layer in layers}
    for name, knobs in entries.items():
        if name not in by_name:
            fix = f"The layers are {', '.join(by_name)}."
            raise FlipflowError("E303", "the network has no layer of this name.", f"fold.layers.{name}", fix)
        legal = by_name[name].legal()
        for key, value in knobs.items():
            where = f"fold.layers.{name}.{key}"
            if key not in legal:
                raise FlipflowError(
                    "E303", "the layer cannot be folded this way.", where, f"It takes {' and '.join(legal)}."
                )
            if value not in legal[key]:
                near = " or ".join(str(item) for item in nearest(legal[key], value))
                what = f"{value} does not divide {legal[key][-1]}."
                raise FlipflowError("E304", what, where, f"The nearest legal values are {near}.")
    return {name: dict(knobs) for name, knobs in entries.items()}


def nearest(legal: list[int], value: int) -> list[int]:
    """The legal values (rising) next to `value` on either side."""
    below = [item for item in legal if item < value][-1:]
    above = [item for item in legal if item > value][:1]
    return below + above


def _budget(request: FoldRequest) -> int | None:
    """Cycles a frame may take, None where nothing is asked for."""
    for key, value in (("fps", request.fps), ("clock_mhz", request.clock_mhz), ("cycles", request.cycles)):
        if value is not None and not value > 0:
            raise FlipflowError("E303", f"{value} is not a positive number.", f"fold.{key}", "Give a number above 0.")
    limits = [] if request.cycles is None else [request.cycles]
    if request.fps is not None:
        limits.append(int(request.clock_mhz * 1e6 / request.fps))
    return min(limits) if limits else None


def _default_cycles(layers: list[_Layer]) -> int:
    """Cycles a frame at which the busiest layers do DEFAULT_LANES products a cycle together."""
    sequential = sum(layer.apply({key: values[0] for key, values in layer.legal().items()}).cycles for layer in layers)
    return -(-sequential // DEFAULT_LANES)


def _reachable(layers: list[_Layer], fixed: dict[str, dict[str, int]]) -> int:
    """Cycles a frame of the slowest layer at its fastest."""
    return max(_fastest(layer, fixed.get(layer.name, {})).cycles for layer in layers)


def _fastest(layer: _Layer, fixed: Mapping[str, int]) -> LayerFold:
    return layer.apply({key: fixed.get(key, values[-1]) for key, values in layer.legal().items()})


def _check_reachable(layers: list[_Layer], fixed: dict[str, dict[str, int]], budget: int, request: FoldRequest) -> None:
    slowest = max((_fastest(layer, fixed.get(layer.name, {})) for layer in layers), key=lambda item: item.cycles)
    if slowest.cycles <= budget:
        return
    best = request.clock_mhz * 1e6 / slowest.cycles
    asked = (
        f"{budget} cycles a frame"
        if request.fps is None
        else f"{request.fps:g} frames a second at {request.clock_mhz:g} MHz"
    )
    at = f"{slowest.cycles} cycles a frame at PE {slowest.pe}, SIMD {slowest.simd}"
    what = f"{asked} cannot be reached: layer {slowest.name} takes {at}."
    fixed_here = " with the PE and SIMD given for it" if slowest.name in fixed else ""
    fix = f"The best rate at this clock is {best:.6g} frames a second{fixed_here}; ask for less or raise the clock."
    raise FlipflowError("E305", what, f"layer {slowest.name}", fix)


def _cheapest(layer: _Layer, fixed: Mapping[str, int], budget: int) -> LayerFold:
    """Apply the cheapest folding within budget."""
    legal = {key: [fixed[key]] if key in fixed else values for key, values in layer.legal().items()}
    choices: list[dict[str, int]] = [{}]
    for key, values in legal.items():
        choices = [{**choice, key: value} for choice in choices for value in values]
    folds = [(layer.apply(choice), choice) for choice in choices]
    within = [pair for pair in folds if pair[0].cycles <= budget]
    best = min(within, key=lambda pair: (pair[0].cost, pair[0].cycles))
    return layer.apply(best[1])
