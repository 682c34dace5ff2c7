"""One run of nextpnr: its command line, what it makes, and what its errors mean."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards import Board
from flipflow.hw.pnr.constraints import constraints
from flipflow.hw.pnr.progress import Progress
from flipflow.hw.pnr.report import Timing, Utilisation, timing_of, utilisation_of
from flipflow.hw.pnr.tools import NEXTPNR_ECP5, NEXTPNR_GOWIN, Tool, run_tool
from flipflow.hw.process import Outcome, Processes

ROUTERS = {"ecp5": ("router1", "router2"), "gowin": ("router1", "router2")}
PLACERS = {"ecp5": ("heap", "sa", "static"), "gowin": ("heap", "sa")}
_PINS = (
    re.compile(r"IO pin '(?P<port>[^'$]+)\S*' constrained to pin '(?P<site>[^']+)'"),
    re.compile(r"Cell '(?P<port>[^'$]+)\$tr_io' cannot be bound"),
    re.compile(r"IO '(?P<port>[^'$]+)' is unconstrained"),
    re.compile(r"Pin (?P<site>\S+) not found"),
    re.compile(r"Unsupported package '(?P<package>[^']+)'"),
    re.compile(r"(?P<speed>[Uu]nsupported speed grade)"),
    re.compile(r"(?P<device>Unknown device|[Uu]nsupported device|not found in database)"),
)
_FULL = re.compile(r"no BELs remaining to implement cell type '?(?P<cell>\w+)")
_STUCK = re.compile(
    r"(Unable to (find legal )?place|failed to place|[Ff]ailed to route|[Uu]nrouteable|Routing design failed)"
)


@dataclass(frozen=True)
class Choice:
    """How to place and route. seed: of the placement. router, placer: nextpnr's names, None for its own default."""

    seed: int = 1
    router: str | None = None
    placer: str | None = None


@dataclass(frozen=True)
class Routed:
    """A design that was routed. output: what the packer takes; ran: time and memory of nextpnr."""

    choice: Choice
    timing: Timing
    utilisation: Utilisation
    output: Path
    ran: Outcome


def nextpnr_of(board: Board) -> Tool:
    """The nextpnr of a board's family."""
    return NEXTPNR_ECP5 if board.family == "ecp5" else NEXTPNR_GOWIN


def design_arguments(board: Board) -> list[str]:
    """What nextpnr reads, all of it in its working folder: netlist.json and the board's constraints."""
    name = constraints(board)[0]
    if board.family == "ecp5":
        size = board.device.removeprefix("LFE5U-").removesuffix("F")
        part = [f"--{size}k", "--package", board.package, "--speed", board.speed, "--lpf", name]
    else:
        part = ["--device", board.part_number, "--vopt", f"family={board.device}", "--vopt", f"cst={name}"]
    return [*part, "--json", "netlist.json", "--top", "board_top"]


def arguments(board: Board, choice: Choice, clock_mhz: float, stem: str) -> list[str]:
    """nextpnr's command line; it writes `stem`.* into its working folder.

    Timing that is not met is no error of nextpnr's here: the report tells.
    """
    output = ["--textcfg", f"{stem}.config"] if board.family == "ecp5" else ["--write", f"{stem}.json"]
    command = [*design_arguments(board), *output, "--report", f"{stem}.report.json", "--detailed-timing-report"]
    command += ["--freq", f"{clock_mhz:g}", "--seed", str(choice.seed), "--timing-allow-fail"]
    command += ["--router", choice.router] if choice.router else []
    return command + (["--placer", choice.placer] if choice.placer else [])


def place_and_route(
    board: Board,
    choice: Choice,
    clock_mhz: float,
    workdir: Path,
    kernels: Sequence[str],
    show: "Progress",
    processes: Processes,
) -> Routed:
    """Run nextpnr in `workdir` on the netlist and the constraints that lie there.

    Raises: FlipflowError E372 (the board file names what the FPGA does not have), E375 (nextpnr died), E376 (not installed), E377
    (no placement or no routing).
    """
    stem = f"seed{choice.seed}"
    log = workdir / f"nextpnr-{stem}.log"
    tool = nextpnr_of(board)
    ran = run_tool(tool, arguments(board, choice, clock_mhz, stem), workdir, log, show.hear, processes)
    output = workdir / (f"{stem}.config" if board.family == "ecp5" else f"{stem}.json")
    path = workdir / f"{stem}.report.json"
    if ran.code != 0 or not output.is_file() or not path.is_file():
        raise failure(board, tool, ran, log)
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    # What is kept of the report goes without the delays of every net, which are tens of megabytes.
    brief = {key: value for key, value in report.items() if key != "detailed_net_timings"}
    path.write_text(json.dumps(brief) + "\n", encoding="utf-8")
    return Routed(choice, timing_of(report, clock_mhz, kernels), utilisation_of(report), output, ran)


def failure(board: Board, tool: Tool, ran: Outcome, log: Path) -> FlipflowError:
    """What a run of nextpnr that made nothing died of, by its last lines."""
    errors = [line.removeprefix("ERROR: ") for line in ran.tail if line.startswith("ERROR")]
    text = " ".join(errors) or " / ".join(ran.tail[-3:]) or "it said nothing."
    for pattern in _PINS:
        if match := pattern.search(text):
            return wrong_board(board, match.groupdict(), text)
    if match := _FULL.search(text):
        what = f"{tool.name} runs out of cells of type {match['cell']}: {text}"
        return FlipflowError(
            "E377", what, str(log), "Fold the network smaller (fold.cycles), or take a larger board.", Exit.CHECK_FAILED
        )
    if _STUCK.search(text):
        fix = "Try another --seed or --router, or fold the network smaller (fold.cycles)."
        return FlipflowError("E377", f"{tool.name} gives up: {text}", str(log), fix, Exit.CHECK_FAILED)
    memory = f", after {ran.usage.memory_bytes / 2**30:.1f} GiB of memory" if ran.code < 0 or ran.code == 137 else ""
    what = f"{tool.name} ended with code {ran.code}{memory}: {text}"
    return FlipflowError("E375", what, str(log), "Read the log; the same command tries again.", Exit.CHECK_FAILED)


def wrong_board(board: Board, found: dict[str, str | None], text: str) -> FlipflowError:
    """E372 for a pin, package, speed grade or device that nextpnr does not know, naming the key of the board's file."""
    key = next((name for name in ("package", "speed", "device") if found.get(name)), None)
    if key is None:
        keys, pins = board.keys(), board.pins()
        port, site = found.get("port"), found.get("site")
        port = port or next((name for name, pin in pins.items() if pin.site == site), None)
        key = keys.get(port or "", "the pins")
    fix = "Correct the key in the board's file; the FPGA's pinout table lists what there is."
    return FlipflowError("E372", f"nextpnr says: {text}", f"board {board.name}, key '{key}'", fix)
