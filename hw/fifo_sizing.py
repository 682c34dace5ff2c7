"""FIFO depths of a stitched graph: as deep as the schedule needs, and no deeper.

The schedule is what the graph does with room to spare: every FIFO at a rule's depth (see `roomy_depth`) or deeper where that
slows the pipeline down, and those before a meeting of branches as deep as a frame. Its interval is that of the slowest
kernel; its latency that of a frame where frames come at this interval. From there each FIFO shrinks to the smallest depth at
which no frame is ever late, found by bisection with the cycle model. (More room never slows a pipeline down, so a FIFO that
cannot shrink while others are deeper cannot once they have shrunk, either: no depth can be lowered in the end.)

Branches that meet could block each other for good: the fork waits for room in the shorter one, the meeting for words of the
longer one. Whether that happens depends on the room in the kernels between, not on when words come: but what a kernel's register
stages hold depends on the gaps between its words. So depths must also do where every kernel holds one word only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flipflow.errors import FlipflowError
from flipflow.hw.graph import inputs_of, kernels_of, pipeline_of
from flipflow.hw.stitch import LEAST_DEPTH

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp
    from flipflow.sim.schedule import Steady

_FRAMES = 24  # that are run where a state does not repeat itself
_REGISTERED = ("steps", "mvtu", "join", "pad", "window")


@dataclass(frozen=True)
class Timing:
    """Predicted cycles: between two frames in steady state, and from a frame's first beat in to its last beat out.

    high_water: the most beats that each FIFO ever holds.
    """

    ii: int
    latency: int
    high_water: dict[str, int]


def size_fifos(model: Any, progress: Callable[[int, int], None] | None = None) -> Timing:
    """Set the FIFO depths of a stitched graph (in place). progress: called with the FIFOs that have their depth, and all.

    Raises: FlipflowError E306 where even FIFOs of a whole frame do not bring its interval to that of its slowest kernel;
    E321 where branches block each other even then.
    """
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, len(sizer.fifos))

    sizer = _Sizer(model, tell)
    pace = max(sizer.ops, key=lambda op: op.get_exp_cycles())
    interval = pace.get_exp_cycles()
    sizer.give_room()
    found = sizer.grow(interval)
    if found.ii != interval:
        what = f"the pipeline takes {found.ii} cycles a frame, its slowest kernel {interval}."
        fix = "Give this layer more PE or SIMD than its neighbours, or ask for a lower rate."
        raise FlipflowError("E306", what, f"kernel {pace.name}", fix)
    sizer.shrink(interval, found)
    sizer.make_room()
    last = sizer.steady({}, 0)
    return Timing(interval, found.latency, last.high_water)


def roomy_depth(taker: "KernelOp | None") -> int:
    """Beats with which a FIFO seldom holds anything up: a vector and two beats before a unit that replays its vector, else 4.

    taker: the kernel behind it, None behind the last one.
    """
    schedule = taker.schedule() if taker is not None else {"model": "sink"}
    replays = schedule["model"] == "mvtu" and schedule["consume"] < schedule["steps"]
    return int(schedule["consume"]) + 2 if replays else 4


def shallow_fifos(model: Any, wanted: Timing) -> list[str]:
    """FIFOs of a stitched graph that are too shallow for the wanted timing: each would, alone, bring it about with a beat more;
    none if it is met.
    """
    sizer = _Sizer(model)
    if sizer.keeps({}, wanted.ii, wanted.latency):
        return []
    return [name for name in sizer.fifos if sizer.keeps({name: sizer.depth(name) + 1}, wanted.ii, wanted.latency)]


class _Sizer:
    """FIFO depths of a graph, and the cycle model's answers to them."""

    def __init__(self, model: Any, tell: Callable[[int], None] = lambda _: None) -> None:
        self.ops: list[KernelOp] = kernels_of(model)
        self.fifos = {op.name: op for op in self.ops if op.onnx_node.op_type == "Fifo"}
        inputs = inputs_of(model)
        self.meetings = [name for op in self.ops if len(op.in_streams()) > 1 for name in inputs[op.name]]
        self._takers = {name: op for op in self.ops for name in inputs[op.name] if name in self.fifos}
        self.tell = tell  # how many FIFOs more have their depth
        self._last = 0
        self._rule = {name: self.depth(name) for name in self.fifos}
        self._pipeline = pipeline_of(model)
        self._ends = self.ops[0].in_stream().beats, self.ops[-1].out_stream().beats

    def depth(self, name: str) -> int:
        """Depth of a FIFO."""
        return self.fifos[name].integer("Depth")

    def set(self, depths: dict[str, int]) -> None:
        """Change depths of the graph."""
        for name, depth in depths.items():
            self.fifos[name].set_nodeattr("Depth", depth)

    def whole(self, name: str) -> int:
        """Beats of a frame at a FIFO, more than which it never needs."""
        return max(self.depth(name), self.fifos[name].in_stream().beats + 2)

    def pipeline(self, depths: dict[str, int]) -> list[dict[str, Any]]:
        """For the cycle model, with some FIFO depths replaced."""
        now = {name: self.depth(name) for name in self.fifos} | depths
        return [{**entry, "depth": now[entry["name"]]} if entry["name"] in now else entry for entry in self._pipeline]

    def steady(self, depths: dict[str, int], interval: int) -> "Steady":
        """The steady state with some FIFO depths replaced; E402 becomes E321."""
        from flipflow.sim.schedule import steady  # noqa: PLC0415

        try:
            return steady(self.pipeline(depths), *self._ends, interval, _FRAMES)
        except FlipflowError as error:
            raise _blocked(self.meetings) if error.code == "E402" else error from error

    def keeps(self, depths: dict[str, int], interval: int, latency: int) -> bool:
        """Whether no frame is late with some FIFO depths replaced."""
        from flipflow.sim.schedule import keeps  # noqa: PLC0415

        return keeps(self.pipeline(depths), *self._ends, interval, latency)

    def give_room(self) -> None:
        """Make FIFOs as deep as their rule says, and those where branches meet as deep as a frame."""
        rule = {name: roomy_depth(self._takers.get(name)) for name in self.fifos}
        self.set({name: max(self.depth(name), depth) for name, depth in rule.items()})
        self.set({name: self.whole(name) for name in self.meetings})

    def grow(self, target: int) -> "Steady":
        """Make FIFOs deeper until the target is met or nothing helps; returns the state with frames at the target's interval, or
        where it is not met, as fast as they come.
        """
        found = self.steady({}, target)
        if found.proven and found.ii == target:
            return found
        found = self.steady({}, 0)
        while found.ii > target:
            full = [name for name in self.fifos if found.high_water[name] >= self.depth(name)]
            grown = self._best_growth(full, found.pace)
            if not grown:
                return found
            self.set(grown)
            found = self.steady({}, 0)
        return self.steady({}, target)

    def _best_growth(self, full: list[str], now: float) -> dict[str, int]:
        """New depths: of the one full FIFO whose growth helps most, no deeper than helps; of all where no single one helps."""
        trials = {name: self.steady({name: self.whole(name)}, 0).pace for name in full}
        name = min(trials, key=lambda key: trials[key], default=None)
        if name is not None and trials[name] < now:
            depth = self.depth(name)
            while depth < self.whole(name):
                depth = min(2 * depth, self.whole(name))
                if self.steady({name: depth}, 0).pace <= trials[name]:
                    break
            return {name: depth}
        everything = {name: self.whole(name) for name in self.fifos}
        if not full or self.steady(everything, 0).pace >= now:
            return {}
        return {name: min(2 * self.depth(name), self.whole(name)) for name in full}

    def shrink(self, interval: int, found: "Steady") -> None:
        """Give every FIFO its smallest depth at which no frame is late, down to the least that one should have."""
        least = dict.fromkeys(self.fifos, LEAST_DEPTH)
        # With room for a beat more than it has held, a FIFO never refuses one: all goes as it went.
        self.set({name: min(self.depth(name), max(least[name], found.high_water[name] + 1)) for name in self.fifos})
        names = [name for name in self.fifos if self.depth(name) > least[name]]
        self.tell(len(self.fifos) - len(names))
        self._shrink_together(names, least, interval, found.latency)

    def _shrink_together(self, names: list[str], least: dict[str, int], interval: int, latency: int) -> None:
        """Shrink all of `names` to the least if that is enough, else either half of them; of a single one, find its depth."""
        if not names:
            return
        if self.keeps({name: least[name] for name in names}, interval, latency):
            self.set({name: least[name] for name in names})
            self.tell(len(names))
        elif len(names) > 1:
            half = len(names) // 2
            self._shrink_together(names[:half], least, interval, latency)
            self._shrink_together(names[half:], least, interval, latency)
        else:
            self._shrink_one(names[0], least[names[0]], interval, latency)
            self.tell(1)

    def _shrink_one(self, name: str, short: int, interval: int, latency: int) -> None:
        """Give a FIFO its smallest depth, which is above `short`.

        Many are alike, and most need about what stitching has given them: these depths are tried first. The others mostly need
        almost all that they have: steps down from there grow until one is too far.
        """
        enough, rule, step = self.depth(name), self._rule[name], 1
        trials = [self._last, self._last - 1, rule + rule // 8, rule - rule // 8]
        while enough - short > 1:
            depth = trials.pop(0) if trials else max(enough - step, (short + enough) // 2)
            if not short < depth < enough:
                continue
            if self.keeps({name: depth}, interval, latency):
                enough, step = depth, 4 * step
            else:
                short = depth
        self._last = enough
        self.set({name: enough})

    def make_room(self) -> None:
        """Make FIFOs before meetings deeper until branches do not block each other where every kernel holds one word."""
        from flipflow.sim.schedule import full_fifos  # noqa: PLC0415

        while self.meetings:
            pipeline = [_one_word(entry) for entry in self.pipeline({})]
            full = full_fifos(pipeline, *self._ends)
            if full is None:
                return
            full = [name for name in full if name in self.meetings]
            if all(self.depth(name) > self.whole(name) for name in full):
                raise _blocked(self.meetings)
            self.set({name: self.depth(name) + 1 for name in full})


def _blocked(meetings: list[str]) -> FlipflowError:
    what = f"branches block each other even with FIFOs of a whole frame before {', '.join(meetings)}."
    fix = "This is no folding's fault; please report it with the network."
    return FlipflowError("E321", what, "the stitched pipeline", fix)


def _one_word(entry: dict[str, Any]) -> dict[str, Any]:
    """A kernel of the cycle model that holds one word, as it may where words come far apart."""
    if entry["model"] not in _REGISTERED:
        return entry
    return {**entry, "latency": 1, "model": "steps" if entry["model"] == "mvtu" else entry["model"]}
