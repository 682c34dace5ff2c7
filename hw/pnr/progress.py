"""How far nextpnr has come, read from its log."""

import re
from collections.abc import Callable

# Shares of the bar, in order: packing, analytic placement, its refinement, routing.
_PLACE, _REFINE, _ROUTE = 4.0, 45.0, 55.0
_ROUTE1 = re.compile(r"^Info:\s+\d+ \|\s+\d+\s+\d+ \|\s+-?\d+\s+-?\d+ \|\s+(\d+)\|")
_ARCS = re.compile(r"^Info: Routing (\d+) arcs")
_ROUTE2 = re.compile(r"iter=(\d+) .*?overuse=(\d+)")
_PLACER = re.compile(r"at iteration #(\d+), type ALL: .*legal = (\d+)")


class Progress:
    """Percent and phase of a run of nextpnr, line by line.

    Routing counts the wires that are left (router1), or the overused ones (router2); analytic placement does not know when it
    will be done, so its bar slows down as it goes.
    """

    def __init__(self, show: Callable[[float, str], None]) -> None:
        self._show = show
        self._percent = 0.0
        self._arcs = 0
        self._overuse = 0

    def hear(self, line: str) -> None:
        """Take one line of the log; calls show(percent, phase) where it says something."""
        if match := _PLACER.search(line):
            done = 1.0 - 0.9 ** int(match[1])
            self._tell(_PLACE + (_REFINE - _PLACE) * done, f"placing, round {match[1]}, wires {int(match[2]):,}")
        elif line.startswith("Info: Running simulated annealing"):
            self._tell(_REFINE, "refining the placement")
        elif match := _ARCS.match(line):
            self._arcs = int(match[1])
            self._tell(_ROUTE, f"routing, {self._arcs:,} arcs")
        elif match := _ROUTE1.match(line):
            left = int(match[1])
            done = 1.0 - min(left / max(self._arcs, 1), 1.0)
            self._tell(_ROUTE + (99.0 - _ROUTE) * done, f"routing, {left:,} arcs left")
        elif match := _ROUTE2.search(line):
            overuse = int(match[2])
            self._overuse = max(self._overuse, overuse)
            done = 1.0 - overuse / max(self._overuse, 1)
            self._tell(_ROUTE + (99.0 - _ROUTE) * done, f"routing, round {match[1]}, {overuse:,} overused")
        elif line.startswith("Info: Packing"):
            self._tell(1.0, "packing")

    def _tell(self, percent: float, phase: str) -> None:
        self._percent = max(self._percent, percent)
        self._show(self._percent, phase)
