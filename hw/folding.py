"""Folding: how many results (PE) and inputs (SIMD) of a layer are computed at once, and where its weights lie.

A layer's cycles a frame are those of its slowest kernel, and the accelerator's initiation interval is that of its slowest
layer. What a pace costs is found by `flipflow.hw.fold_optimum`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.fold_cost import Cost
from flipflow.hw.fold_layers import Knobs, Layer, divisors, layers_of
from flipflow.hw.fold_optimum import Budget, Deadline, cheapest
from flipflow.hw.fold_pricing import Prices, fold_problem
from flipflow.hw.graph import set_pace

__all__ = ["FoldRequest", "LayerFold", "divisors", "fold", "legal_values", "nearest"]

# Products a cycle, on average, where nothing is asked for: small enough for mid-size parts (FINN's CNV example folds to as many),
# large enough that a simulation of a few images takes seconds.
DEFAULT_LANES = 1024
# Seconds that the solver may take; no network met so far took more than a few.
SECONDS = 60.0


@dataclass(frozen=True)
class FoldRequest:
    """What the user asks for: a rate, or cycles a frame, or knobs of named layers; the named ones go first.

    fps: frames a second at clock_mhz. cycles: at most so many cycles a frame. layers: {layer: {"pe": n, "simd": n,
    "weight_memory": kind, "threshold_memory": kind}}, every key optional, kind auto, block or lut. With neither fps nor
    cycles, layers without an entry keep up with the slowest one that has an entry, if they can.
    """

    fps: float | None = None
    clock_mhz: float = 100.0
    cycles: int | None = None
    layers: Mapping[str, Mapping[str, int | str]] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerFold:
    """The folding of one layer, its cycles a frame, and the estimated cost of its kernels (without FIFOs).

    pe, simd: elements a beat out and in. knobs: as `FoldRequest.layers` takes them.
    """

    name: str
    pe: int
    simd: int
    cycles: int
    cost: Cost
    knobs: Knobs


def fold(model: Any, request: FoldRequest) -> list[LayerFold]:
    """Fold every kernel of `model` (unfolded kernel graph, changed in place); returns the layers' foldings in stream order.

    The folding is the cheapest that is fast enough, width converters and FIFOs in front of kernels included.
    Raises: FlipflowError E303 (an entry for no layer, a target that is no positive number), E304 (an illegal PE, SIMD or kind of
    memory), E305 (a target that no folding reaches), E332 (the solver finds nothing in its time).
    """
    layers = layers_of(model)
    fixed = check_entries(layers, request.layers)
    cycles = pace(layers, fixed, request)
    found = cheapest(fold_problem(model, fixed, cycles), cycles, Budget(), Deadline(SECONDS))
    assert found is not None  # every layer has a choice that is fast enough, and nothing is limited
    set_pace(model, cycles)
    return [apply(layer, choice.knobs) for layer, choice in zip(layers, found.picks, strict=True)]


def apply(layer: Layer, knobs: Knobs) -> LayerFold:
    """Fold a layer's kernels."""
    layer.apply(knobs)
    prices = Prices()
    cost = sum((prices.op(op) for op in layer.kernels), Cost())
    main = layer.main
    return LayerFold(layer.name, main.out_stream().elems, main.in_stream().elems, layer.cycles, cost, knobs)


def legal_values(model: Any) -> dict[str, dict[str, list[int]]]:
    """Legal values of every layer's PE and SIMD, rising: {layer: {"pe": [...], "simd": [...]}}; pools have simd only,
    thresholds pe.
    """
    return {layer.name: layer.legal() for layer in layers_of(model)}


def pace(layers: tuple[Layer, ...], fixed: Mapping[str, Knobs], request: FoldRequest) -> int:
    """Cycles a frame that a request allows. Raises: FlipflowError E303 (no positive number), E305 (no folding reaches it)."""
    limit = _limit(request)
    reachable = max(_fastest(layer, fixed.get(layer.name, {})) for layer in layers)
    if limit is not None:
        _check_reachable(layers, fixed, limit, request)
        return limit
    if fixed:
        return max(reachable, *(_fastest(layer, fixed[layer.name]) for layer in layers if layer.name in fixed))
    return max(reachable, _default_cycles(layers))


def check_entries(layers: tuple[Layer, ...], entries: Mapping[str, Mapping[str, int | str]]) -> dict[str, Knobs]:
    """Entries by layer, checked. Raises: FlipflowError E303, E304 (see fold)."""
    by_name = {layer.name: layer for layer in layers}
    for name, knobs in entries.items():
        if name not in by_name:
            fix = f"The layers are {', '.join(by_name)}."
            raise FlipflowError("E303", "the network has no layer of this name.", f"fold.layers.{name}", fix)
        for key, value in knobs.items():
            _check_entry(by_name[name], key, value)
    return {name: dict(knobs) for name, knobs in entries.items()}


def _check_entry(layer: Layer, key: str, value: int | str) -> None:
    from flipflow.hw.kernels.mvtu import MEMORIES  # noqa: PLC0415 - FINN takes a second to import

    where = f"fold.layers.{layer.name}.{key}"
    legal, memories = layer.legal(), layer.memories()
    if key in memories:
        if value not in MEMORIES:
            raise FlipflowError("E304", f"{value!r} is no kind of memory.", where, f"Give {' or '.join(MEMORIES)}.")
    elif key not in legal:
        fix = f"It takes {' and '.join([*legal, *memories])}." if legal else "It has nothing to fold."
        raise FlipflowError("E303", "the layer cannot be folded this way.", where, fix)
    elif value not in legal[key]:
        near = " or ".join(str(item) for item in nearest(legal[key], int(value)))
        what = f"{value} does not divide {legal[key][-1]}."
        raise FlipflowError("E304", what, where, f"The nearest legal values are {near}.")


def nearest(legal: list[int], value: int) -> list[int]:
    """The legal values (rising) next to `value` on either side."""
    below = [item for item in legal if item < value][-1:]
    above = [item for item in legal if item > value][:1]
    return below + above


def _limit(request: FoldRequest) -> int | None:
    """Cycles a frame may take, None where nothing is asked for."""
    for key, value in (("fps", request.fps), ("clock_mhz", request.clock_mhz), ("cycles", request.cycles)):
        if value is not None and not value > 0:
            raise FlipflowError("E303", f"{value} is not a positive number.", f"fold.{key}", "Give a number above 0.")
    limits = [] if request.cycles is None else [request.cycles]
    if request.fps is not None:
        limits.append(int(request.clock_mhz * 1e6 / request.fps))
    return min(limits) if limits else None


def _default_cycles(layers: tuple[Layer, ...]) -> int:
    """Cycles a frame at which the busiest layers do DEFAULT_LANES products a cycle together."""
    sequential = 0
    for layer in layers:
        layer.apply({key: values[0] for key, values in layer.legal().items()})
        sequential += layer.cycles
    return -(-sequential // DEFAULT_LANES)


def _fastest(layer: Layer, fixed: Mapping[str, int | str]) -> int:
    """Cycles a frame of a layer at its fastest, which it is folded to."""
    layer.apply({key: values[-1] for key, values in layer.legal().items()} | dict(fixed))
    return layer.cycles


def _check_reachable(layers: tuple[Layer, ...], fixed: Mapping[str, Knobs], limit: int, request: FoldRequest) -> None:
    slowest = max(layers, key=lambda layer: _fastest(layer, fixed.get(layer.name, {})))
    cycles = _fastest(slowest, fixed.get(slowest.name, {}))
    if cycles <= limit:
        return
    best = request.clock_mhz * 1e6 / cycles
    asked = (
        f"{limit} cycles a frame"
        if request.fps is None
        else f"{request.fps:g} frames a second at {request.clock_mhz:g} MHz"
    )
    at = f"{cycles} cycles a frame at PE {slowest.main.out_stream().elems}, SIMD {slowest.main.in_stream().elems}"
    what = f"{asked} cannot be reached: layer {slowest.name} takes {at}."
    fixed_here = " with the PE and SIMD given for it" if slowest.name in fixed else ""
    fix = f"The best rate at this clock is {best:.6g} frames a second{fixed_here}; ask for less or raise the clock."
    raise FlipflowError("E305", what, f"layer {slowest.name}", fix)
