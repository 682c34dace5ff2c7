"""What the kernel tests share: a case, its runs, its checks, and packing of words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flipflow.hw
from flipflow.sim import kernel_bench
from flipflow.sim.kernel_bench import Instance, Run
from flipflow.sim.kernel_trace import Trace

RTL = sorted((Path(flipflow.hw.__file__).parent / "rtl").glob("*.sv"))
BENCH = Path(__file__).parent / "benches" / "stream_bench.py"
# A run cut short (the reset must clear all of it), free flow, a slow sink, a slow source, both.
ABORTED, FREE, *STALLED = RUNS = (
    Run(0.3, 0.3, seed=11, abort_after=37),
    Run(),
    Run(0.0, 0.7, seed=12),
    Run(0.7, 0.0, seed=13),
    Run(0.3, 0.4, seed=14),
)


@dataclass(frozen=True)
class Case:
    """A kernel with its input words, the output words it must give and the cycles in which it must move them.

    registered: in_ready_o may not depend on out_ready_i. surplus: what may follow without further input, in order. more:
    input words of further streams. several: the model takes and returns lists, an entry for each stream of a side.
    """

    instance: Instance
    words: Sequence[int]
    expected: Sequence[int]
    model: Callable[[Any, Any], tuple[list[Any], list[Any]]]
    registered: bool = False
    surplus: Sequence[int] = ()
    more: Sequence[Sequence[int]] = ()
    several: bool = False

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def inputs(self) -> list[Sequence[int]]:
        return [self.words, *self.more]

    def timing(self, trace: Trace) -> tuple[list[list[int]], list[list[int]]]:
        """Cycles in which words must have been taken at each input and each output."""
        if self.several:
            return self.model([item.offered for item in trace.sources], [item.ready for item in trace.sinks])
        accepted, sent = self.model(trace.offered, trace.ready)
        return [accepted], [sent]


def simulate(cases: Sequence[Case], workdir: Path) -> dict[str, list[Trace]]:
    """Run all cases in one model: traces of RUNS by the case's name."""
    stimuli = [(case.inputs, len(case.expected)) for case in cases]
    instances = [case.instance for case in cases]
    traces = kernel_bench.simulate(instances, stimuli, RUNS, sources=RTL, bench=BENCH, workdir=workdir)
    return {case.name: [run[i] for run in traces] for i, case in enumerate(cases)}


def check(case: Case, traces: Sequence[Trace]) -> None:
    """Check handshakes, output words and every cycle, in all runs."""
    for run, trace in zip(RUNS, traces, strict=True):
        assert trace.faults == []
        if case.registered:
            assert not trace.followed
        accepted, sent = case.timing(trace)
        assert [item.accepted for item in trace.sources] == accepted, f"{run}: input beats"
        assert [item.cycles for item in trace.sinks] == sent, f"{run}: output beats"
        for sink in trace.sinks:
            assert run is ABORTED or len(sink.words) >= len(case.expected), f"{run}: output ends early"
            words = [*case.expected, *case.surplus][: len(sink.words)]
            assert sink.words == words, f"{run}: output words"


def pack(values: Sequence[int], bits: int) -> int:
    """Word of `values`, element 0 in the low bits, each two's complement or unsigned in `bits` bits."""
    word = 0
    for i, value in enumerate(values):
        assert -(1 << bits) // 2 <= value < 1 << bits
        word |= (int(value) & ((1 << bits) - 1)) << (i * bits)
    return word


def mem(words: Sequence[int]) -> str:
    """Text of a memory file."""
    return "".join(f"{word:x}\n" for word in words)
