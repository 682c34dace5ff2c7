"""A network's folding as a question with an answer: cheapest for a rate, fastest for a budget, or the front between them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flipflow.hw.fold_budget import Asked, refusal
from flipflow.hw.fold_cost import Cost
from flipflow.hw.fold_finn import set_folding
from flipflow.hw.fold_layers import Knobs, layers_of
from flipflow.hw.fold_optimum import Deadline, Folding, cheapest, fastest, front
from flipflow.hw.fold_pricing import cost_of, fold_problem
from flipflow.hw.folding import FoldRequest, LayerFold, apply, check_entries, pace
from flipflow.hw.graph import kernels_of, set_pace
from flipflow.hw.stitch import stitch


@dataclass(frozen=True)
class Answer:
    """The best folding: its layers, and of the whole accelerator cycles a frame, cost (FIFOs and width converters included) and
    whether it is proven that there is no better one. pace: cycles a frame that it was folded for.
    """

    layers: tuple[LayerFold, ...]
    cycles: int
    cost: Cost
    optimal: bool
    pace: int


def solve(model: Any, asked: Asked, entries: Mapping[str, Mapping[str, int | str]], seconds: float) -> Answer:
    """The cheapest folding of a kernel graph (folded so afterwards) within asked.cycles and asked.budget; without asked.cycles
    the fastest, and the cheapest of these. entries: knobs of layers that are not free.

    Raises: FlipflowError E303, E304 (see flipflow.hw.folding.fold), E305 (no folding is so fast), E330 (none within the budget
    is), E331 (nothing fits the budget), E332 (the solver finds nothing in its seconds).
    """
    layers = layers_of(model)
    fixed = check_entries(layers, entries)
    limited = any(value is not None for value in vars(asked.budget).values())
    if asked.cycles is not None and not limited:
        cycles = asked.cycles if asked.fps is None else None
        pace(layers, fixed, FoldRequest(fps=asked.fps, clock_mhz=asked.clock_mhz, cycles=cycles))
    problem, deadline = fold_problem(model, fixed, asked.cycles), Deadline(seconds)
    if asked.cycles is None:
        found = fastest(problem, asked.budget, deadline)
    else:
        found = cheapest(problem, asked.cycles, asked.budget, deadline)
    if found is None:  # what is within reach may be slower than what was asked for
        raise refusal(fold_problem(model, fixed), asked, Deadline(seconds / 2))
    goal = found.cycles if asked.cycles is None else asked.cycles
    set_pace(model, goal)
    folds = tuple(apply(layer, choice.knobs) for layer, choice in zip(layers, found.picks, strict=True))
    return Answer(folds, found.cycles, found.cost, found.optimal, goal)


def solve_front(
    model: Any,
    asked: Asked,
    entries: Mapping[str, Mapping[str, int | str]],
    seconds: float,
    points: int,
    show: Callable[[int, int], None],
) -> list[Folding]:
    """The Pareto front of a kernel graph's foldings within asked.budget (see flipflow.hw.fold_optimum.front).

    Raises: FlipflowError as `solve`.
    """
    fixed: dict[str, Knobs] = check_entries(layers_of(model), entries)
    problem, deadline = fold_problem(model, fixed), Deadline(seconds)
    found = front(problem, asked.budget, deadline, points, show)
    if not found:
        raise refusal(problem, asked, Deadline(seconds / 2))
    return found


def finn_answer(model: Any, cycles: int) -> dict[str, int]:
    """What FINN's SetFolding chooses for at most `cycles` a frame, stitched of this project's kernels: lut, bram, cycles. The
    graph is folded so afterwards.
    """
    set_folding(model, cycles)
    set_pace(model, cycles)
    whole = stitch(model)
    cost = cost_of(whole)
    return {"lut": cost.lut, "bram": cost.bram, "cycles": max(int(op.get_exp_cycles()) for op in kernels_of(whole))}
