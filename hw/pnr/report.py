"""What nextpnr's JSON report says: the frequency of the accelerator's clock, its critical path by kernel, and what is used."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What a cell belongs to where no kernel of the accelerator is in its name: the link, the buffers and the reset around it.
BOARD_TOP = "board_top"
_INSTANCE = re.compile(r"u_accelerator\.u_([A-Za-z0-9_]+)")
# Cells by what they take, of either family. A Gowin ALU is the LUT4 and the carry of one place; a RAM16SDP4 takes four LUT4s.
_LUTS = {"TRELLIS_COMB": 1, "LUT4": 1, "ALU": 1, "RAM16SDP4": 4}
_FFS = ("TRELLIS_FF", "DFF")
_BRAMS = ("DP16KD", "BSRAM")
_DSPS = {
    "MULT18X18D": 1.0,
    "MULT18X18": 1.0,
    "MULT9X9": 0.5,
    "MULTALU18X18": 1.0,
    "MULTADDALU18X18": 2.0,
    "MULT36X36": 4.0,
}


@dataclass(frozen=True)
class Utilisation:
    """What is used after place and route: LUT4s (carries and LUT RAM counted in), flip-flops, 18-kbit block RAMs, multipliers."""

    lut: int
    ff: int
    bram: int
    dsp: int


@dataclass(frozen=True)
class Step:
    """One delay of a path. kind: clk-to-q, routing, logic or setup; cell: where it ends; kernel: whose cell that is."""

    kind: str
    delay_ns: float
    cell: str
    kernel: str


@dataclass(frozen=True)
class Critical:
    """The slowest path of a clock. kernel: the one that most of its delay lies in."""

    kernel: str
    delay_ns: float
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Timing:
    """The accelerator's clock after routing, in MHz, its critical path, and every clock: (achieved, constraint).

    kernels: the longest delay, in ns, of the paths that end in a kernel (or in BOARD_TOP), the slowest first.
    """

    fmax_mhz: float
    critical: Critical | None
    clocks: Mapping[str, tuple[float, float]]
    kernels: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether every clock is as fast as its constraint."""
        return all(achieved >= constraint for achieved, constraint in self.clocks.values())


def kernel_of(cell: str, kernels: Sequence[str]) -> str:
    """The kernel (a name of accelerator.json's `pipeline`) that a cell of the flat netlist lies in, by its name."""
    match = _INSTANCE.search(cell)
    if match is None:
        return BOARD_TOP
    # Mapping appends the name of a port or a cell to that of the instance: the longest kernel's name that it starts with.
    names = [name for name in kernels if match[1] == name or match[1].startswith(f"{name}_")]
    return max(names, key=len, default=BOARD_TOP)


def timing_of(report: Mapping[str, Any], asked_mhz: float, kernels: Sequence[str]) -> Timing:
    """Timing of a report. asked_mhz: tells the accelerator's clock from others by its constraint."""
    clocks = {name: (float(entry["achieved"]), float(entry["constraint"])) for name, entry in report["fmax"].items()}
    if not clocks:
        return Timing(0.0, None, {})
    # nextpnr rounds periods to picoseconds, so constraints are compared with some room; the tightest of equals is the clock.
    name = min(clocks, key=lambda key: (round(abs(clocks[key][1] - asked_mhz), 1), clocks[key][0]))
    edges = (f"posedge {name}", f"negedge {name}")
    paths = [path for path in report["critical_paths"] if path["from"] in edges and path["to"] in edges]
    critical = [critical_of(path["path"], kernels) for path in paths]
    worst = max(critical, key=lambda item: item.delay_ns, default=None)
    limit = worst.delay_ns if worst is not None else 0.0
    return Timing(clocks[name][0], worst, clocks, slowest_by_kernel(report, name, limit, kernels))


def slowest_by_kernel(report: Mapping[str, Any], clock: str, limit: float, kernels: Sequence[str]) -> dict[str, float]:
    """Longest delay in ns of the paths of `clock` that end in each kernel, the slowest first; empty without the report's details.

    nextpnr lists, for every net that ends in registers, when the signal has arrived there at the latest. Where a net carries
    signals from pins as well it puts their arrival under the clock's name, too: what is beyond `limit`, the critical path, is
    none of the clock's.
    """
    event = f"posedge {clock}"
    slowest: dict[str, float] = {}
    for net in report.get("detailed_net_timings", ()):
        if net["event"] != event:
            continue
        for end in net["endpoints"]:
            if end["event"] == event:
                kernel = kernel_of(end["cell"], kernels)
                delays = [float(delay) for delay in end["delay"] if delay <= limit + 1e-3]
                slowest[kernel] = max(slowest.get(kernel, 0.0), *delays, 0.0)
    return dict(sorted(slowest.items(), key=lambda item: -item[1]))


def critical_of(path: Sequence[Mapping[str, Any]], kernels: Sequence[str]) -> Critical:
    """One path of the report, with the kernel that most of its delay lies in."""
    steps = tuple(
        Step(entry["type"], float(entry["delay"]), entry["to"]["cell"], kernel_of(entry["to"]["cell"], kernels))
        for entry in path
    )
    shares: dict[str, float] = defaultdict(float)
    for step in steps:
        shares[step.kernel] += step.delay_ns
    kernel = max(shares, key=lambda name: shares[name], default=BOARD_TOP)
    return Critical(kernel, sum(step.delay_ns for step in steps), steps)


def utilisation_of(report: Mapping[str, Any]) -> Utilisation:
    """What a report's `utilization` counts, in the terms of area.json."""
    used = {name: int(entry["used"]) for name, entry in report["utilization"].items()}
    return Utilisation(
        sum(count * used.get(name, 0) for name, count in _LUTS.items()),
        sum(used.get(name, 0) for name in _FFS),
        sum(used.get(name, 0) for name in _BRAMS),
        -int(-sum(count * used.get(name, 0) for name, count in _DSPS.items()) // 1),
    )
