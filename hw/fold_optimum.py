"""The best folding, by integer linear programming (HiGHS, through scipy): cheapest for a pace, fastest for a budget, and all
between.

A binary variable x[l, c] takes choice c of layer l, exactly one a layer. A variable y[e, a, b] of edge e says that it goes from
beats of a elements to beats of b; it is bound by
    sum over b of y[e, a, b] = sum of x[source, c] over choices that give a,
    sum over a of y[e, a, b] = sum of x[target, c] over choices that take b,
so it is 0 or 1 wherever all x are. On a chain without budgets these are the constraints of a shortest path, and the relaxation
is integral by itself. A pace is met by leaving slower choices out; the smallest pace within a budget is found by bisection over
the cycles that choices have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.fold_cost import WEIGHTS, Cost
from flipflow.hw.fold_problem import Choice, Edge, Problem

RESOURCES = ("lut", "bram", "dsp")
_OPTIMAL, _LIMIT, _INFEASIBLE = 0, 1, 2  # status of scipy.optimize.milp


@dataclass(frozen=True)
class Budget:
    """What may be used at most; None: as much as it takes."""

    lut: int | None = None
    bram: int | None = None
    dsp: int | None = None

    def holds(self, cost: Cost) -> bool:
        """Whether a cost is within it."""
        return not self.exceeded(cost)

    def exceeded(self, cost: Cost) -> tuple[str, ...]:
        """Which of lut, bram, dsp a cost has too much of."""
        limits = {key: getattr(self, key) for key in RESOURCES}
        return tuple(key for key, most in limits.items() if most is not None and getattr(cost, key) > most)


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


def cheapest(
    problem: Problem, cycles: int, budget: Budget, deadline: Deadline, weights: Cost = WEIGHTS
) -> Folding | None:
    """The folding of least weighted cost among those of at most `cycles` a frame within the budget; None where there is none.

    Raises: FlipflowError E332 where the time was too short to find any.
    """
    if cycles < problem.fastest:
        return None
    columns = _Variables(problem, cycles)
    result = _milp(columns, budget, weights, deadline.left)
    if result.x is None and result.status == _INFEASIBLE:
        return None
    if result.x is None:
        raise _unsolved(result.message)
    picks = columns.picks(result.x)
    cost = problem.cost(picks, cycles)
    # Integers again: nothing that the solver's tolerances let through is taken for a result.
    if not budget.holds(cost):
        raise _unsolved("its solution is over the budget")
    return Folding(picks, cost, problem.cycles(picks, cycles), result.status == _OPTIMAL)


def fastest(problem: Problem, budget: Budget, deadline: Deadline) -> Folding | None:
    """The folding of the fewest cycles a frame within the budget, and of those the cheapest; None where nothing fits.

    Raises: FlipflowError E332 as `cheapest`.
    """
    paces = problem.paces
    best: Folding | None = None
    low, high = 0, len(paces)  # nothing fits at paces[:low]
    while low < high:
        middle = (low + high) // 2
        found = cheapest(problem, paces[middle], budget, deadline)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    return best


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


class _Variables:
    """The program's columns: layers' choices, then edges' pairs of beat sizes; only choices of at most `cycles`."""

    def __init__(self, problem: Problem, cycles: int) -> None:
        self.choices = [[choice for choice in each if choice.cycles <= cycles] for each in problem.choices]
        self.starts = np.cumsum([0, *(len(each) for each in self.choices)]).tolist()
        self.pairs = [
            (index, out, into, edge.cost(out, into, cycles))
            for index, edge in enumerate(problem.edges)
            for out in sorted({choice.out for choice in self.choices[edge.source]})
            for into in sorted({choice.into for choice in self.choices[edge.target]})
        ]
        self.edges = problem.edges
        self.count = self.starts[-1] + len(self.pairs)
        costs = [choice.cost for each in self.choices for choice in each] + [pair[3] for pair in self.pairs]
        self.costs = {key: np.array([getattr(cost, key) for cost in costs], dtype=np.float64) for key in RESOURCES}
        self.integral = np.arange(self.count) < self.starts[-1]

    def rows(self) -> Iterator[tuple[list[int], list[float], float]]:
        """Equations: columns, their coefficients, the right-hand side."""
        for index, each in enumerate(self.choices):
            yield list(range(self.starts[index], self.starts[index + 1])), [1.0] * len(each), 1.0
        by_end: dict[tuple[int, str, int], list[int]] = {}
        for column, (index, out, into, _) in enumerate(self.pairs, self.starts[-1]):
            by_end.setdefault((index, "out", out), []).append(column)
            by_end.setdefault((index, "into", into), []).append(column)
        for (index, side, elems), columns in by_end.items():
            chosen = self.choosing(self.edges[index], side, elems)
            yield [*columns, *chosen], [1.0] * len(columns) + [-1.0] * len(chosen), 0.0

    def choosing(self, edge: Edge, side: str, elems: int) -> list[int]:
        """Columns of the choices at an end of an edge that have beats of `elems` there."""
        layer = edge.source if side == "out" else edge.target
        return [
            column
            for column, choice in enumerate(self.choices[layer], self.starts[layer])
            if getattr(choice, side) == elems
        ]

    def picks(self, values: NDArray[np.float64]) -> tuple[Choice, ...]:
        """The choices that a solution takes."""
        return tuple(
            each[int(values[start : start + len(each)].argmax())]
            for each, start in zip(self.choices, self.starts, strict=False)
        )


def _unsolved(reason: str) -> FlipflowError:
    fix = "Give it more seconds (--limit), or ask for another rate or budget."
    return FlipflowError("E332", f"the solver found no folding ({reason}).", "fold", fix)


def _milp(columns: _Variables, budget: Budget, weights: Cost, seconds: float) -> Any:
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415
    from scipy.sparse import csr_array  # noqa: PLC0415

    rows = list(columns.rows())
    lengths = np.cumsum([0, *(len(row[0]) for row in rows)])
    indices = np.concatenate([row[0] for row in rows])
    data = np.concatenate([row[1] for row in rows])
    equations = csr_array((data, indices, lengths), shape=(len(rows), columns.count))
    right = np.array([row[2] for row in rows])
    constraints = [LinearConstraint(equations, right, right)]
    for key in RESOURCES:
        most = getattr(budget, key)
        if most is not None:
            # Half a unit above, so that rounding refuses nothing that fits: costs are integers.
            constraints.append(LinearConstraint(columns.costs[key][None, :], -np.inf, most + 0.5))
    objective = sum(getattr(weights, key) * columns.costs[key] for key in RESOURCES)
    return milp(
        objective,
        integrality=columns.integral.astype(np.uint8),
        bounds=Bounds(0.0, 1.0),
        constraints=constraints,
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
