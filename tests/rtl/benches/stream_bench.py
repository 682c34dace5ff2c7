"""cocotb bench of `flipflow.sim.kernel_bench`: drives and watches all kernels of the model at once.

A cycle is the low half of the clock and the edge that ends it. In its low half the inputs are set and the outputs read,
first with every out_ready_i at 0, then with its real value, so that a combinational path from ready is seen.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

_DRAIN = 24  # idle cycles after the last expected word, in which nothing more may come


@dataclass
class _Source:
    """What drives an input stream: its words, and where they lie in the kernel's data."""

    words: list[int]
    low_bit: int
    offered: list[str] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    offering: bool = False

    def done(self) -> bool:
        return len(self.accepted) == len(self.words)

    def offer(self, stall: bool) -> bool:
        """Whether a word is offered; once offered it stays until it is taken."""
        self.offering = self.offering or (not self.done() and not stall)
        return self.offering

    def word(self) -> int:
        """The word on the wires: the last one offered stays there."""
        place = len(self.accepted) if self.offering else max(0, len(self.accepted) - 1)
        return self.words[place] << self.low_bit

    def watch(self, cycle: int, in_ready: bool) -> None:
        self.offered.append("01"[self.offering])
        if self.offering and in_ready:
            self.accepted.append(cycle)
            self.offering = False


@dataclass
class _Sink:
    """What takes an output stream."""

    expect: int
    ready: list[str] = field(default_factory=list)
    beats: list[tuple[int, str]] = field(default_factory=list)
    held: int | None = None  # word that was refused in the cycle before

    def done(self) -> bool:
        return len(self.beats) >= self.expect

    def watch(self, cycle: int, word: int | None, out_ready: bool) -> str | None:
        """Record a cycle; word: what is offered. Returns what breaks the rules."""
        self.ready.append("01"[out_ready])
        fault = f"cycle {cycle}: refused word {self.held:#x} became {word}" if self.held not in (None, word) else None
        self.held = None if out_ready else word
        if word is not None and out_ready:
            self.beats.append((cycle, hex(word)))
        return fault


@dataclass
class _Lane:
    """A kernel with its sources and sinks; in_bit, out_bit: its first handshake bits."""

    sources: list[_Source]
    sinks: list[_Sink]
    in_bit: int
    out_bit: int
    data_in: Any
    data_out: Any
    status_out: Any
    followed: bool = False
    status: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def done(self) -> bool:
        return all(end.done() for end in (*self.sources, *self.sinks))

    def offer(self, draw: random.Random, stall: float) -> int:
        """Put words on the wires; returns the valid bits."""
        before = [source.offering for source in self.sources]
        valid = sum(source.offer(draw.random() < stall) << i for i, source in enumerate(self.sources, self.in_bit))
        if before != [source.offering for source in self.sources]:
            self.data_in.value = sum(source.word() for source in self.sources)
        return valid

    def watch(self, cycle: int, in_ready: int, out_valid: int, out_ready: int) -> None:
        if self.status_out is not None:
            self.status.append(int(self.status_out.value))
        for i, source in enumerate(self.sources, self.in_bit):
            source.watch(cycle, bool(in_ready >> i & 1))
        for i, sink in enumerate(self.sinks, self.out_bit):
            word = int(self.data_out.value) if out_valid >> i & 1 else None
            fault = sink.watch(cycle, word, bool(out_ready >> i & 1))
            if fault:
                self.faults.append(fault)

    def report(self) -> dict[str, Any]:
        return {
            "sources": [{"offered": "".join(item.offered), "accepted": item.accepted} for item in self.sources],
            "sinks": [{"ready": "".join(item.ready), "beats": item.beats} for item in self.sinks],
            "followed": self.followed,
            "status": self.status,
            "faults": self.faults,
        }


def _lanes(dut: Any, jobs: list[dict[str, Any]]) -> list[_Lane]:
    lanes = []
    in_bit = out_bit = 0
    for i, job in enumerate(jobs):
        low_bits = [sum(job["widths"][:n]) for n in range(len(job["widths"]))]
        words = [[int(word, 16) for word in stream] for stream in job["words"]]
        sources = [_Source(stream, low) for stream, low in zip(words, low_bits, strict=True)]
        sinks = [_Sink(job["expect"]) for _ in range(job["outs"])]
        status = getattr(dut, f"status_{i}_o") if job["status"] else None
        data = getattr(dut, f"in_data_{i}_i"), getattr(dut, f"out_data_{i}_o")
        lanes.append(_Lane(sources, sinks, in_bit, out_bit, *data, status))
        in_bit, out_bit = in_bit + len(sources), out_bit + len(sinks)
    return lanes


async def _reset(dut: Any) -> None:
    dut.rst_ni.value = 0
    dut.in_valid_i.value = 0
    dut.out_ready_i.value = 0
    for _ in range(3):
        dut.clk_i.value = 0
        await Timer(1, "ns")
        dut.clk_i.value = 1
        await Timer(1, "ns")
    dut.rst_ni.value = 1


async def _run(dut: Any, lanes: list[_Lane], run: dict[str, Any]) -> None:
    draw = random.Random(run["seed"])
    stalling = run["stall_in"] > 0 or run["stall_out"] > 0
    drained = 0
    await _reset(dut)
    for cycle in range(run["abort_after"] or run["max_cycles"]):
        offered = ready = 0
        for lane in lanes:
            offered |= lane.offer(draw, run["stall_in"])
            for i in range(len(lane.sinks)):
                ready |= (draw.random() >= run["stall_out"]) << lane.out_bit + i
        dut.clk_i.value = 0
        dut.in_valid_i.value = offered
        if stalling:
            dut.out_ready_i.value = 0
            await Timer(1, "ns")
            idle_ready, idle_valid = int(dut.in_ready_o.value), int(dut.out_valid_o.value)
        dut.out_ready_i.value = ready
        await Timer(1, "ns")
        in_ready, out_valid = int(dut.in_ready_o.value), int(dut.out_valid_o.value)
        for lane in lanes:
            outs, ins = (1 << len(lane.sinks)) - 1, (1 << len(lane.sources)) - 1
            if stalling and (idle_valid ^ out_valid) >> lane.out_bit & outs:
                lane.faults.append(f"cycle {cycle}: out_valid_o depends on out_ready_i")
            lane.followed |= stalling and bool((idle_ready ^ in_ready) >> lane.in_bit & ins)
            lane.watch(cycle, in_ready, out_valid, ready)
        dut.clk_i.value = 1
        await Timer(1, "ns")
        drained = drained + 1 if all(lane.done() for lane in lanes) else 0
        if drained > _DRAIN:
            return


@cocotb.test()
async def streams(dut: Any) -> None:
    task = json.loads(Path("bench.json").read_text())
    traces = []
    for run in task["runs"]:
        lanes = _lanes(dut, task["instances"])
        await _run(dut, lanes, run)
        traces.append([lane.report() for lane in lanes])
    Path("traces.json").write_text(json.dumps(traces))
