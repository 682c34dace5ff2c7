"""From folded kernels to one accelerator: width converters, FIFOs, their depths, and the top level.

Between two kernels there is always a FIFO, and a width converter with its own FIFO where beats differ in size. FIFO
depths follow a rule (see `default_depth`) and then grow, one FIFO at a time, until the cycle model says that the
slowest layer alone sets the pace.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import lcm
from typing import TYPE_CHECKING, Any

from flipflow.errors import FlipflowError
from flipflow.hw.graph import Attributes, KernelNode, assemble, kernels_of, meta_of, node_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp, Stream

# A beat of the input is a whole pixel up to this width, as narrow streams are for their drivers' convenience.
MAX_INPUT_BITS = 512
SHALLOW_DEPTH = 4


def stitch(model: Any) -> Any:
    """The folded kernel graph with converters and FIFOs between the kernels, FIFOs at their default depths."""
    ops = kernels_of(model)
    interval = max(op.get_exp_cycles() for op in ops)
    chain: list[KernelNode] = []
    elems = input_elems(ops[0])
    for op in ops:
        stream = replace(op.in_stream(), elems=elems)
        chain += _adapters(op, stream, interval)
        chain.append(replace(node_of(model, op), inputs=()))
        elems = op.out_stream().elems
    chain.append(_fifo("out_fifo", ops[-1].out_stream(), SHALLOW_DEPTH))
    return assemble(chain, meta_of(model))


def input_elems(first: "KernelOp") -> int:
    """Elements a beat of the accelerator's input: a pixel in front of a window if it has at most 512 bits, else what
    the kernel takes.
    """
    stream = first.in_stream()
    if first.onnx_node.op_type == "Window" and first.integer("Channels") * stream.bits <= MAX_INPUT_BITS:
        return first.integer("Channels")
    return stream.elems


def _adapters(op: "KernelOp", stream: "Stream", interval: int) -> list[KernelNode]:
    """FIFO, and converters with FIFOs where needed, in front of a kernel; `stream` is what comes in."""
    wanted = op.in_stream()
    if stream.elems == wanted.elems:
        return [_fifo(f"{op.name}_fifo", wanted, default_depth(op))]
    sizes = _converter_sizes(stream, wanted, interval)
    chain = []
    for index, (into, out) in enumerate(pairwise(sizes)):
        name = f"{op.name}_width{index if len(sizes) > 2 else ''}"
        chain.append(_fifo(f"{name}_fifo", replace(stream, elems=into), SHALLOW_DEPTH))
        values: Attributes = {"Shape": list(wanted.shape), "InElems": into, "OutElems": out, "dataType": wanted.dtype}
        chain.append(KernelNode("WidthConverter", name, values))
    return [*chain, _fifo(f"{op.name}_fifo", wanted, default_depth(op))]


def _converter_sizes(stream: "Stream", wanted: "Stream", interval: int) -> list[int]:
    """Beat sizes along the converters: one step, or two over the common multiple where one gearbox would be too slow.

    A gearbox runs at full speed where one size divides the other, and loses cycles otherwise.
    """
    from flipflow.hw.kernels.width_converter import gearbox_rhythm  # noqa: PLC0415

    cycles, elements = gearbox_rhythm(stream.elems, wanted.elems)
    if wanted.beats * wanted.elems * cycles <= interval * elements:
        return [stream.elems, wanted.elems]
    return [stream.elems, lcm(stream.elems, wanted.elems), wanted.elems]


def default_depth(op: "KernelOp") -> int:
    """Beats of the FIFO in front of a kernel: a whole vector and two beats before a unit that replays its vector, else
    4.
    """
    schedule = op.schedule()
    replays = schedule["model"] == "mvtu" and schedule["consume"] < schedule["steps"]
    return int(schedule["consume"]) + 2 if replays else SHALLOW_DEPTH


def _fifo(name: str, stream: "Stream", depth: int) -> KernelNode:
    values: Attributes = {
        "Shape": list(stream.shape),
        "Elems": stream.elems,
        "Depth": max(2, depth),
        "dataType": stream.dtype,
        "HasMask": int(stream.mask),
        "SideBits": stream.side,
    }
    return KernelNode("Fifo", name, values)


@dataclass(frozen=True)
class Timing:
    """Predicted cycles: between two frames in steady state, and from a frame's first beat in to its last beat out."""

    ii: int
    latency: int


def tune(model: Any) -> Timing:
    """Grow FIFOs of a stitched graph (in place) until the initiation interval is that of its slowest kernel.

    Raises: FlipflowError E306 where even FIFOs of a whole frame do not bring it there.
    """
    ops = kernels_of(model)
    pace = max(ops, key=lambda op: op.get_exp_cycles())
    tuner = _Tuner(ops, pace.get_exp_cycles())
    timing = tuner.run()
    if timing.ii != pace.get_exp_cycles():
        what = f"the pipeline takes {timing.ii} cycles a frame, its slowest kernel {pace.get_exp_cycles()}."
        fix = "Give this layer more PE or SIMD than its neighbours, or ask for a lower rate."
        raise FlipflowError("E306", what, f"kernel {pace.name}", fix)
    return timing


class _Tuner:
    """Finds FIFO depths by asking the cycle model what each full FIFO costs."""

    def __init__(self, ops: "list[KernelOp]", target: int) -> None:
        self.ops = ops
        self.target = target
        self.fifos = {op.name: op for op in ops if op.onnx_node.op_type == "Fifo"}
        self.frames = max(6, min(48, 200_000 // target))

    def run(self) -> Timing:
        """Grow until the target is met or nothing helps."""
        ii, total, latency, water = self.ask({})
        while ii > self.target:
            full = [name for name, op in self.fifos.items() if water[name] >= op.integer("Depth")]
            grown = self.best_growth(full, (ii, total))
            if not grown:
                break
            for name, depth in grown.items():
                self.fifos[name].set_nodeattr("Depth", depth)
            ii, total, latency, water = self.ask({})
        return Timing(ii, latency)

    def ask(self, depths: dict[str, int]) -> tuple[int, int, int, dict[str, int]]:
        """(interval, cycle of the last beat, latency, high-water marks) with some FIFO depths replaced."""
        from flipflow.sim.cycle_model import predict  # noqa: PLC0415

        pipeline = []
        for op in self.ops:
            entry = op.schedule()
            pipeline.append({**entry, "depth": depths[op.name]} if op.name in depths else entry)
        first, last = self.ops[0].in_stream(), self.ops[-1].out_stream()
        result = predict(pipeline, self.frames, first.beats, last.beats)
        # The mean over the second half, so that no single short or long gap decides.
        half = self.frames // 2
        span = int(result.completion[-1] - result.completion[half - 1])
        return -(-span // (self.frames - half)), int(result.completion[-1]), result.latency, result.high_water

    def best_growth(self, full: list[str], now: tuple[int, int]) -> dict[str, int]:
        """New depths: of the one full FIFO whose growth helps most, no deeper than helps; of all where no single one
        helps.
        """
        trials = {name: self.ask({name: self.whole(name)})[:2] for name in full}
        name = min(trials, key=lambda key: trials[key], default=None)
        if name is not None and trials[name] < now:
            depth = self.fifos[name].integer("Depth")
            while depth < self.whole(name):
                depth = min(2 * depth, self.whole(name))
                if self.ask({name: depth})[:2] <= trials[name]:
                    break
            return {name: depth}
        everything = {name: self.whole(name) for name in self.fifos}
        if not full or self.ask(everything)[:2] >= now:
            return {}
        return {name: min(2 * self.fifos[name].integer("Depth"), self.whole(name)) for name in full}

    def whole(self, name: str) -> int:
        """Beats of a frame at a FIFO, more than which it never needs."""
        return max(self.fifos[name].integer("Depth"), self.fifos[name].in_stream().beats + 2)
