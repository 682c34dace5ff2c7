"""FIFO depths of a stitched graph: as deep as the schedule needs, and no deeper.

The schedule is what the graph does with room to spare: every FIFO at its rule's depth (see `flipflow.hw.stitch`) or deeper where
that slows the pipeline down, and those before a meeting of branches as deep as a frame. Its interval is that of the slowest
kernel. From there each FIFO shrinks to the smallest depth at which neither the interval nor the first frame's latency grows,
found by bisection with the cycle model. (More room never slows a pipeline down, so a FIFO that cannot shrink while others are
deeper cannot once they have shrunk, either: no depth can be lowered in the end.)

Branches that meet could block each other for good: the fork waits for room in the shorter one, the meeting for words of the
longer one. Whether that happens depends on the room in the kernels between, not on when words come: but what a kernel's register
stages hold depends on the gaps between its words. So depths must also do where every kernel holds one word only.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flipflow.errors import FlipflowError
from flipflow.hw.graph import inputs_of, kernels_of, pipeline_of
from flipflow.hw.stitch import SHALLOW_DEPTH

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp
    from flipflow.sim.schedule import Steady

LEAST_DEPTH = 2
_REGISTERED = ("steps", "mvtu", "join", "pad", "window")


@dataclass(frozen=True)
class Timing:
    """Predicted cycles: between two frames in steady state, and from a frame's first beat in to its last beat out.

    high_water: the most beats that each FIFO ever holds.
    """

    ii: int
    latency: int
    high_water: dict[str, int]


def size_fifos(model: Any) -> Timing:
    """Set the FIFO depths of a stitched graph (in place).

    Raises: FlipflowError E306 where even FIFOs of a whole frame do not bring its interval to that of its slowest kernel;
    E321 where branches block each other even then.
    """
    sizer = _Sizer(model)
    pace = max(sizer.ops, key=lambda op: op.get_exp_cycles())
    sizer.deepen_meetings()
    sizer.grow(pace.get_exp_cycles())
    found = sizer.ask({})
    if found is None:
        raise _blocked(sizer)
    if found.ii != pace.get_exp_cycles():
        what = f"the pipeline takes {found.ii} cycles a frame, its slowest kernel {pace.get_exp_cycles()}."
        fix = "Give this layer more PE or SIMD than its neighbours, or ask for a lower rate."
        raise FlipflowError("E306", what, f"kernel {pace.name}", fix)
    sizer.shrink(found)
    last = sizer.ask({})
    assert last is not None  # shrinking keeps what it has seen to run
    return Timing(last.ii, last.latency, last.high_water)


def shallow_fifos(model: Any, wanted: Timing) -> list[str]:
    """FIFOs of a stitched graph each of which, one beat deeper, would bring it closer to the wanted timing; none if it is met."""
    sizer = _Sizer(model)
    now = sizer.cost({})
    if now <= (wanted.ii, wanted.latency):
        return []
    return [name for name in sizer.fifos if sizer.cost({name: sizer.depth(name) + 1}) < now]


def _blocked(sizer: "_Sizer") -> FlipflowError:
    names = ", ".join(sizer.meetings())
    what = f"branches block each other even with FIFOs of a whole frame before {names}."
    fix = "This is no folding's fault; please report it with the network."
    return FlipflowError("E321", what, "the stitched pipeline", fix)


class _Sizer:
    """FIFO depths of a graph, and the cycle model's answers to them."""

    def __init__(self, model: Any) -> None:
        self.ops: list[KernelOp] = kernels_of(model)
        self.fifos = {op.name: op for op in self.ops if op.onnx_node.op_type == "Fifo"}
        self._inputs = inputs_of(model)
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

    def meetings(self) -> list[str]:
        """FIFOs before kernels of several inputs."""
        return [name for op in self.ops if len(op.in_streams()) > 1 for name in self._inputs[op.name]]

    def pipeline(self, depths: dict[str, int]) -> list[dict[str, Any]]:
        """For the cycle model, with some FIFO depths replaced."""
        now = {name: self.depth(name) for name in self.fifos} | depths
        return [{**entry, "depth": now[entry["name"]]} if entry["name"] in now else entry for entry in self._pipeline]

    def ask(self, depths: dict[str, int]) -> "Steady | None":
        """The steady state with some FIFO depths replaced; None where the pipeline, or a pipeline that holds one word a kernel,
        comes to a stop.
        """
        from flipflow.sim.schedule import steady  # noqa: PLC0415

        pipeline = self.pipeline(depths)
        try:
            if self.meetings():
                steady([_one_word(entry) for entry in pipeline], *self._ends)
            return steady(pipeline, *self._ends)
        except FlipflowError as error:
            if error.code != "E402":
                raise
            return None

    def cost(self, depths: dict[str, int]) -> tuple[float, float]:
        """(cycles a frame, latency), without end where the pipeline comes to a stop."""
        found = self.ask(depths)
        return (float("inf"), float("inf")) if found is None else (found.ii, found.latency)

    def deepen_meetings(self) -> None:
        """Make the FIFOs where branches meet as deep as a frame."""
        self.set({name: self.whole(name) for name in self.meetings()})

    def grow(self, target: int) -> None:
        """Make FIFOs deeper until the target is met or nothing helps."""
        found = self.ask({})
        while found is not None and found.ii > target:
            full = [name for name in self.fifos if found.high_water[name] >= self.depth(name)]
            grown = self._best_growth(full, found.period / found.frames)
            if not grown:
                return
            self.set(grown)
            found = self.ask({})

    def _pace(self, depths: dict[str, int]) -> float:
        found = self.ask(depths)
        return float("inf") if found is None else found.period / found.frames

    def _best_growth(self, full: list[str], now: float) -> dict[str, int]:
        """New depths: of the one full FIFO whose growth helps most, no deeper than helps; of all where no single one helps."""
        trials = {name: self._pace({name: self.whole(name)}) for name in full}
        name = min(trials, key=lambda key: trials[key], default=None)
        if name is not None and trials[name] < now:
            depth = self.depth(name)
            while depth < self.whole(name):
                depth = min(2 * depth, self.whole(name))
                if self._pace({name: depth}) <= trials[name]:
                    break
            return {name: depth}
        everything = {name: self.whole(name) for name in self.fifos}
        if not full or self._pace(everything) >= now:
            return {}
        return {name: min(2 * self.depth(name), self.whole(name)) for name in full}

    def shrink(self, found: "Steady") -> None:
        """Give every FIFO that is not shallow anyway its smallest depth at which the schedule stays as `found`."""
        limit = found.ii, found.latency
        meetings = self.meetings()
        for name in self.fifos:
            least = LEAST_DEPTH if name in meetings else SHALLOW_DEPTH
            if self.depth(name) <= least:
                continue
            # What it has held is enough for it: of the others, none has shrunk below what it needs.
            enough = min(self.depth(name), max(least, found.high_water[name]))
            if self.cost({name: enough}) > limit:
                enough = self.depth(name)
            while least < enough:
                middle = (least + enough) // 2
                if self.cost({name: middle}) <= limit:
                    enough = middle
                else:
                    least = middle + 1
            self.set({name: enough})


def _one_word(entry: dict[str, Any]) -> dict[str, Any]:
    """A kernel of the cycle model that holds one word, as it may where words come far apart."""
    if entry["model"] not in _REGISTERED:
        return entry
    return {**entry, "latency": 1, "model": "steps" if entry["model"] == "mvtu" else entry["model"]}
