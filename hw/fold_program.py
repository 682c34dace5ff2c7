"""Folding at a pace as an integer linear program: its columns and rows, its relaxation, its solution by HiGHS (through scipy).

A binary variable x[l, c] takes choice c of layer l, exactly one a layer. A variable y[e, a, b] of edge e says that it goes from
beats of a elements to beats of b; it is bound by
    sum over b of y[e, a, b] = sum of x[source, c] over choices that give a,
    sum over a of y[e, a, b] = sum of x[target, c] over choices that take b,
so it is 0 or 1 wherever all x are. On a chain without budgets these are the constraints of a shortest path, and the relaxation
is integral by itself. A pace is met by leaving slower choices out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.fold_cost import Cost
from flipflow.hw.fold_problem import Choice, Edge, Problem

RESOURCES = ("lut", "bram", "dsp")
_OPTIMAL, _LIMIT, _INFEASIBLE = 0, 1, 2  # status of scipy.optimize.milp and linprog
# Half a unit above a budget, so that rounding refuses nothing that fits: costs are integers.
_ROUNDING = 0.5

Array = NDArray[np.float64]


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
        return tuple(key for key, most in self.limits.items() if getattr(cost, key) > most)

    @property
    def limits(self) -> dict[str, int]:
        """What is limited, and to how much."""
        limits = {key: getattr(self, key) for key in RESOURCES}
        return {key: most for key, most in limits.items() if most is not None}


@dataclass(frozen=True)
class Relaxation:
    """The optimum over fractions of choices. bound: its cost, which no folding is below. reduced: of every choice, how far above
    the bound a folding with it is at least.
    """

    bound: float
    reduced: Array

    @property
    def least(self) -> float:
        """The bound, less what the solver may be off by."""
        return self.bound - 0.01 - 1e-7 * abs(self.bound)


class Program:
    """The program's columns: layers' choices, then edges' pairs of beat sizes; only choices of at most `cycles`."""

    def __init__(self, problem: Problem, cycles: int) -> None:
        self.problem, self.cycles = problem, cycles
        self.choices = [[choice for choice in each if choice.cycles <= cycles] for each in problem.choices]
        self.starts = np.cumsum([0, *(len(each) for each in self.choices)]).tolist()
        self.pairs = [
            (index, out, into, edge.cost(out, into, cycles))
            for index, edge in enumerate(problem.edges)
            for out in sorted({choice.out for choice in self.choices[edge.source]})
            for into in sorted({choice.into for choice in self.choices[edge.target]})
        ]
        self.count = self.starts[-1] + len(self.pairs)
        costs = [choice.cost for each in self.choices for choice in each] + [pair[3] for pair in self.pairs]
        self.costs = {key: np.array([getattr(cost, key) for cost in costs], dtype=np.float64) for key in RESOURCES}

    def only(self, kept: NDArray[np.bool_]) -> "Program":
        """The program of some of the choices, which are in the order of the columns."""
        parts = np.split(kept, self.starts[1:-1])
        choices = tuple(
            tuple(choice for choice, keep in zip(each, part, strict=True) if keep)
            for each, part in zip(self.choices, parts, strict=True)
        )
        return Program(replace(self.problem, choices=choices), self.cycles)

    def relax(self, budget: Budget, weights: Cost, seconds: float) -> Relaxation | None:
        """The relaxation's optimum; None where not even that has one. Raises: FlipflowError E332 (out of time)."""
        from scipy.optimize import linprog  # noqa: PLC0415

        equations, right = self._equations()
        limits = budget.limits
        result = linprog(
            self._objective(weights),
            A_ub=np.array([self.costs[key] for key in limits]) if limits else None,
            b_ub=[most + _ROUNDING for most in limits.values()] if limits else None,
            A_eq=equations,
            b_eq=right,
            bounds=(0, None),  # a choice is below 1 as its layer's choices add up to 1
            method="highs",
            options={"time_limit": seconds},
        )
        if result.status == _INFEASIBLE:
            return None
        if result.status != _OPTIMAL:
            raise unsolved(result.message)
        return Relaxation(float(result.fun), result.lower.marginals[: self.starts[-1]])

    def solve(
        self, budget: Budget, weights: Cost, seconds: float, most: int | None = None
    ) -> tuple[tuple[Choice, ...] | None, bool]:
        """(the cheapest choices, whether it is proven that there are no cheaper ones) of those whose weighted cost is at most
        `most`; (None, True) where there are none.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415

        equations, right = self._equations()
        objective = self._objective(weights)
        rows = [(self.costs[key], limit) for key, limit in budget.limits.items()]
        rows += [] if most is None else [(objective, most)]
        constraints = [LinearConstraint(equations, right, right)]
        constraints += [LinearConstraint(row[None, :], -np.inf, limit + _ROUNDING) for row, limit in rows]
        result = milp(
            objective,
            integrality=(np.arange(self.count) < self.starts[-1]).astype(np.uint8),
            bounds=Bounds(0.0, 1.0),
            constraints=constraints,
            options={"time_limit": seconds, "mip_rel_gap": 0.0},
        )
        if result.x is None:
            return None, result.status == _INFEASIBLE
        return self._picks(result.x), result.status == _OPTIMAL

    def _objective(self, weights: Cost) -> Array:
        costs = self.costs
        return weights.lut * costs["lut"] + weights.bram * costs["bram"] + weights.dsp * costs["dsp"]

    def _equations(self) -> tuple[Any, Array]:
        """(matrix, right-hand side)."""
        from scipy.sparse import csr_array  # noqa: PLC0415

        rows = list(self._rows())
        lengths = np.cumsum([0, *(len(row[0]) for row in rows)])
        indices, data = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
        return csr_array((data, indices, lengths), shape=(len(rows), self.count)), np.array([row[2] for row in rows])

    def _rows(self) -> Iterator[tuple[list[int], list[float], float]]:
        """Equations: columns, their coefficients, the right-hand side."""
        for index, each in enumerate(self.choices):
            yield list(range(self.starts[index], self.starts[index + 1])), [1.0] * len(each), 1.0
        by_end: dict[tuple[int, str, int], list[int]] = {}
        for column, (index, out, into, _) in enumerate(self.pairs, self.starts[-1]):
            by_end.setdefault((index, "out", out), []).append(column)
            by_end.setdefault((index, "into", into), []).append(column)
        for (index, side, elems), columns in by_end.items():
            chosen = self._choosing(self.problem.edges[index], side, elems)
            yield [*columns, *chosen], [1.0] * len(columns) + [-1.0] * len(chosen), 0.0

    def _choosing(self, edge: Edge, side: str, elems: int) -> list[int]:
        """Columns of the choices at an end of an edge that have beats of `elems` there."""
        layer = edge.source if side == "out" else edge.target
        return [
            column
            for column, choice in enumerate(self.choices[layer], self.starts[layer])
            if getattr(choice, side) == elems
        ]

    def _picks(self, values: Array) -> tuple[Choice, ...]:
        """The choices that a solution takes."""
        parts = np.split(values[: self.starts[-1]], self.starts[1:-1])
        return tuple(each[int(part.argmax())] for each, part in zip(self.choices, parts, strict=True))


def unsolved(reason: str) -> FlipflowError:
    """The error of a solver that ran out of time."""
    fix = "Give it more seconds (--limit), or ask for another rate or budget."
    return FlipflowError("E332", f"the solver found no folding ({reason.strip().rstrip('.')}).", "fold", fix)
