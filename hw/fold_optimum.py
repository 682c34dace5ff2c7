"""The best folding: cheapest for a pace, fastest for a budget, and all between, by integer linear programming.

A program of thousands of choices is solved by means of few. Its relaxation gives a bound L and for every choice a reduced cost
r: a folding with that choice costs at least L + r (Dantzig, Fulkerson and Johnson, 1954). So the choices with r <= reach make a
small program, a core (Balas and Zemel, 1980), and a folding of it that costs no more than L + reach is the cheapest of all.
Where the core's best costs more, or there is none, the reach grows. The smallest pace within a budget is found by bisection over
the cycles that choices have, by relaxations first: where these do not fit, no folding does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf
from time import monotonic

import numpy as np

from flipflow.errors import FlipflowError
from flipflow.hw.fold_cost import WEIGHTS, Cost
from flipflow.hw.fold_problem import Choice, Problem
from flipflow.hw.fold_program import RESOURCES, Budget, Program, Relaxation, unsolved

__all__ = ["RESOURCES", "Budget", "Deadline", "Folding", "cheapest", "fastest", "front", "least"]

# The first reach as a share of the bound, and by how much it grows where its core has no folding; then all choices are taken.
_REACH, _GROWTH, _CORES = 0.002, 8.0, 3
# Seconds that a relaxation may take where it is all that the time allows.
_RELAXING = 10.0


@dataclass(frozen=True)
class Folding:
    """One choice for every layer. cost: of all, joints included. cycles: a frame, of the slowest kernel. optimal: proven that
    nothing is cheaper (or faster) within what was asked.
    """

    picks: tuple[Choice, ...]
    cost: Cost
    cycles: int
    optimal: bool


class Deadline:
    """Seconds that the solver has left, over all its calls."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, at least a tenth: a call is given that much in any case."""
        return max(0.1, self._end - monotonic())

    def half(self) -> "Deadline":
        """Of half the time that is left."""
        return Deadline(self.left / 2)


def cheapest(
    problem: Problem, cycles: int, budget: Budget, deadline: Deadline, weights: Cost = WEIGHTS
) -> Folding | None:
    """The folding of least weighted cost among those of at most `cycles` a frame within the budget; None where there is none.

    Raises: FlipflowError E332 where the time was too short to find any.
    """
    if cycles < problem.fastest:
        return None
    program = Program(problem, cycles)
    relaxed = program.relax(budget, weights, deadline.left)
    if relaxed is None:
        return None
    picks, proven = _search(program, relaxed, budget, weights, deadline)
    if picks is None and proven:
        return None
    if picks is None:
        raise unsolved("its time ran out")
    return Folding(picks, problem.cost(picks, cycles), problem.cycles(picks, cycles), proven)


def _search(
    program: Program, relaxed: Relaxation, budget: Budget, weights: Cost, deadline: Deadline
) -> tuple[tuple[Choice, ...] | None, bool]:
    """(the cheapest choices that were found, whether that is proven)."""
    best: tuple[Choice, ...] | None = None
    value = inf  # of the best
    reach = max(1.0, _REACH * abs(relaxed.bound))
    for core in range(_CORES + 1):
        kept = relaxed.reduced <= reach
        part = program if kept.all() else program.only(kept)
        found, solved = part.solve(budget, weights, deadline.left, None if best is None else int(value) - 1)
        if found is not None:
            cost = program.problem.cost(found, program.cycles)
            # Integers again: nothing that the solver's tolerances let through is taken for a result.
            if not budget.holds(cost):
                raise unsolved("its solution is over the budget")
            best, value = found, cost.weighed(weights)
        # A better folding costs value - 1 at most, and all of those within reach have been seen.
        if not solved or value - 1 <= relaxed.least + reach or part is program:
            return best, solved
        grown = value - relaxed.least if best is not None else _GROWTH * reach
        reach = inf if core == _CORES - 1 else grown
    raise AssertionError("all choices are within an unlimited reach")


def least(problem: Problem, cycles: int, budget: Budget, key: str, deadline: Deadline) -> int | None:
    """The least of lut, bram or dsp that any folding of at most `cycles` a frame takes within the budget; where the time is too
    short to find it, a number that none is below. None where there is no folding.

    Raises: FlipflowError E332 where the time is too short for either.
    """
    if cycles < problem.fastest:
        return None
    weights = Cost(**{key: 1})
    relaxed = Program(problem, cycles).relax(budget, weights, max(deadline.left, _RELAXING))
    if relaxed is None:
        return None
    try:
        found = cheapest(problem, cycles, budget, deadline, weights)
    except FlipflowError:
        found = Folding((), Cost(), cycles, optimal=False)
    if found is None:
        return None
    return int(getattr(found.cost, key)) if found.optimal else ceil(relaxed.least)


def fastest(problem: Problem, budget: Budget, deadline: Deadline) -> Folding | None:
    """The folding of the fewest cycles a frame within the budget, and of those the cheapest; None where nothing fits.

    Raises: FlipflowError E332 where the time was too short to find any.
    """
    paces = problem.paces
    low, high = 0, len(paces)  # nothing fits at paces[:low], not even in fractions
    while low < high:
        middle = (low + high) // 2
        if Program(problem, paces[middle]).relax(budget, WEIGHTS, deadline.left) is None:
            low = middle + 1
        else:
            high = middle
    return _fastest_from(problem, paces[low:], budget, deadline)


def _fastest_from(problem: Problem, paces: list[int], budget: Budget, deadline: Deadline) -> Folding | None:
    """The same among `paces`, of which the first is the likeliest."""
    best: Folding | None = None
    proven = True
    low, high, middle = 0, len(paces), 0
    while low < high:
        try:
            found = cheapest(problem, paces[middle], budget, deadline.half())
        except FlipflowError as error:
            if error.code != "E332":
                raise
            found, proven = None, False
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
        middle = (low + high) // 2
    if best is None and not proven:
        raise unsolved("its time ran out")
    return best if best is None else replace(best, optimal=best.optimal and proven)


def front(
    problem: Problem, budget: Budget, deadline: Deadline, points: int, show: Callable[[int, int], None]
) -> list[Folding]:
    """Foldings from fast to slow, each the cheapest within the budget at its pace; none that another is both as fast as and no
    more expensive than. All there are, or where more paces than `points` differ, those of so many paces evenly spread over them.
    """
    quickest = fastest(problem, budget, deadline)
    if quickest is None:
        return []
    paces = [pace for pace in problem.paces if pace > quickest.cycles]
    if len(paces) > points:
        paces = [paces[index] for index in np.linspace(0, len(paces) - 1, points).round().astype(np.int64).tolist()]
    found = [quickest]
    for index, pace in enumerate(paces):
        show(index, len(paces))
        folding = cheapest(problem, pace, budget, deadline)
        if folding is not None and folding.cost.weighted < found[-1].cost.weighted:
            found.append(folding)
    return found
