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
class _Lane:
    """Source and sink of one kernel."""

    words: list[int]
    expect: int
    data_in: Any
    data_out: Any
    status_out: Any
    offered: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    beats: list[tuple[int, str]] = field(default_factory=list)
    followed: bool = False
    status: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    offering: bool = False
    held: int | None = None  # word that was refused in the cycle before

    def done(self) -> bool:
        return len(self.beats) >= self.expect and len(self.accepted) == len(self.words)

    def offer(self, stall: bool) -> bool:
        """Whether a word is offered; once offered it stays until it is taken."""
        left = len(self.accepted) < len(self.words)
        if left and not self.offering and not stall:
            self.offering = True
            self.data_in.value = self.words[len(self.accepted)]
        return self.offering

    def watch(self, cycle: int, in_ready: bool, out_valid: bool, out_ready: bool) -> None:
        self.offered.append("01"[self.offering])
        self.ready.append("01"[out_ready])
        if self.status_out is not None:
            self.status.append(int(self.status_out.value))
        if self.offering and in_ready:
            self.accepted.append(cycle)
            self.offering = False
        word = int(self.data_out.value) if out_valid else None
        if self.held is not None and word != self.held:
            self.faults.append(f"cycle {cycle}: refused word {self.held:#x} became {word}")
        self.held = None if out_ready else word
        if word is not None and out_ready:
            self.beats.append((cycle, hex(word)))

    def report(self) -> dict[str, Any]:
        return {
            "offered": "".join(self.offered),
            "ready": "".join(self.ready),
            "accepted": self.accepted,
            "beats": self.beats,
            "followed": self.followed,
            "status": self.status,
            "faults": self.faults,
        }


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
        for i, lane in enumerate(lanes):
            offered |= lane.offer(draw.random() < run["stall_in"]) << i
            ready |= (draw.random() >= run["stall_out"]) << i
        dut.clk_i.value = 0
        dut.in_valid_i.value = offered
        if stalling:
            dut.out_ready_i.value = 0
            await Timer(1, "ns")
            idle_ready, idle_valid = int(dut.in_ready_o.value), int(dut.out_valid_o.value)
        dut.out_ready_i.value = ready
        await Timer(1, "ns")
        in_ready, out_valid = int(dut.in_ready_o.value), int(dut.out_valid_o.value)
        for i, lane in enumerate(lanes):
            if stalling and (idle_valid ^ out_valid) >> i & 1:
                lane.faults.append(f"cycle {cycle}: out_valid_o depends on out_ready_i")
            lane.followed |= stalling and bool((idle_ready ^ in_ready) >> i & 1)
            lane.watch(cycle, bool(in_ready >> i & 1), bool(out_valid >> i & 1), bool(ready >> i & 1))
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
        lanes = [
            _Lane(
                [int(word, 16) for word in job["words"]],
                job["expect"],
                getattr(dut, f"in_data_{i}_i"),
                getattr(dut, f"out_data_{i}_o"),
                getattr(dut, f"status_{i}_o") if job["status"] else None,
            )
            for i, job in enumerate(task["instances"])
        ]
        await _run(dut, lanes, run)
        traces.append([lane.report() for lane in lanes])
    Path("traces.json").write_text(json.dumps(traces))
