"""From a built run to a bitstream: board top, synthesis, place and route, packing."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flipflow.hw.boards import Board
from flipflow.hw.netlist import rtl_sources
from flipflow.hw.pnr.constraints import constraints
from flipflow.hw.pnr.fit import estimated, require_fit
from flipflow.hw.pnr.nextpnr import Choice, Routed, nextpnr_of
from flipflow.hw.pnr.pack import pack, packer_of
from flipflow.hw.pnr.pins import check_pins
from flipflow.hw.pnr.results import timing_document
from flipflow.hw.pnr.seeds import best_of
from flipflow.hw.pnr.tools import require_tool
from flipflow.hw.synth.area import Area
from flipflow.hw.synth.run import read_accelerator
from flipflow.hw.synth.yosys import Netlist, synthesise
from flipflow.sim.reporter import Reporter

STEM = "accelerator"


@dataclass(frozen=True)
class Request:
    """What to make.

    clock_mhz: of the accelerator. seeds: how many to try, from choice.seed on. baud: of the serial link, None for its default.
    """

    board: Board
    clock_mhz: float
    choice: Choice = field(default_factory=Choice)
    seeds: int = 1
    baud: int | None = None


@dataclass(frozen=True)
class Bitstream:
    """What was made. file: the bitstream. timing: timing.json's content. netlist: with the kernels' areas as synthesised."""

    file: Path
    timing: dict[str, Any]
    netlist: Netlist
    routed: Routed


def make_bitstream(run_dir: Path, workdir: Path, request: Request, reporter: Reporter) -> Bitstream:
    """Make the bitstream of run_dir/rtl for a board in the folder `workdir`, which is emptied first and keeps every log.

    Raises: FlipflowError E406, E452 (the run), E350, E376 (a tool is not installed), E36x (synthesis), E372 (a wrong pin), E373
    (does not fit), E375 (a tool died), E377 (no placement or routing), E38x (the board top). A clock that is not met is no error
    here: see `results.require_timing`.
    """
    from flipflow.hw.board_top import clock_of  # noqa: PLC0415

    board = request.board
    clock_mhz = float(clock_of(board, request.clock_mhz).mhz)
    require_tool(nextpnr_of(board))
    require_tool(packer_of(board))
    check_pins(board)
    about = read_accelerator(run_dir)
    require_fit(board, estimated(run_dir, board.family) or {}, run_dir, measured=False)
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    seconds: dict[str, float] = {}
    with _timed(seconds, "synthesis"):
        netlist = _netlist(run_dir, workdir, request, about, reporter)
    _require_area(board, netlist.area, run_dir)
    with _timed(seconds, "place_and_route"):
        routed = _route(workdir, request, clock_mhz, about, netlist, reporter)
    with _timed(seconds, "packing"):
        reporter.progress("packing", 0, 1)
        file = pack(board, routed[0].output, STEM)
        reporter.progress("packing", 1, 1, file.name)
    clocks = request.clock_mhz, clock_mhz
    document = timing_document(board, clocks, routed, seconds | {"total": sum(seconds.values())}, file.name)
    document["cpu_seconds"] = {
        "synthesis": netlist.usage.cpu_seconds,
        "place_and_route": round(sum(item.ran.usage.cpu_seconds for item in routed), 1),
    }
    _tidy(workdir, routed)
    return Bitstream(file, document, netlist, routed[0])


def _netlist(run_dir: Path, workdir: Path, request: Request, about: dict[str, Any], reporter: Reporter) -> Netlist:
    """Write the board top and the constraints into workdir, and synthesise them with the run's RTL."""
    from flipflow.hw.board_top import board_top  # noqa: PLC0415
    from flipflow.hw.host.network import network_identity  # noqa: PLC0415
    from flipflow.hw.host.protocol import DEFAULT_BAUD  # noqa: PLC0415

    identity, baud = network_identity(run_dir), request.baud or DEFAULT_BAUD
    texts = board_top(about, request.board, request.clock_mhz, identity, baud=baud)
    name, text = constraints(request.board)
    for file, content in {**texts, name: text}.items():
        (workdir / file).write_text(content, encoding="utf-8")
    sources = [workdir / file for file in texts if file.endswith((".sv", ".v"))]
    sources += rtl_sources(run_dir, about)
    reporter.progress("synthesis", 0, 100)
    netlist = synthesise(
        sources,
        "board_top",
        request.board.family,
        workdir,
        memories=run_dir / "rtl",
        pads=request.board.family == "gowin",
        progress=lambda share, note: reporter.progress("synthesis", min(100 * share, 99), 100, note),
    )
    area = netlist.area
    reporter.progress("synthesis", 100, 100, f"{area.lut:,} LUT4, {area.ff:,} flip-flops, {area.bram} block RAMs")
    return netlist


def _require_area(board: Board, area: Area, run_dir: Path) -> None:
    require_fit(board, {"lut": area.lut, "ff": area.ff, "bram": area.bram, "dsp": area.dsp}, run_dir, measured=True)


def _route(
    workdir: Path, request: Request, clock_mhz: float, about: dict[str, Any], netlist: Netlist, reporter: Reporter
) -> Sequence[Routed]:
    kernels = [entry["name"] for entry in about["pipeline"]]
    cells = netlist.area.lut + netlist.area.ff

    def show(seed: int, percent: float, phase: str) -> None:
        reporter.progress(f"nextpnr, seed {seed}", percent, 100, phase)

    return best_of(request.board, request.choice, request.seeds, clock_mhz, workdir, kernels, cells, show)


def _tidy(workdir: Path, routed: Sequence[Routed]) -> None:
    """Keep the best seed's routing under plain names, and every log; other seeds' routings are large and of no use."""
    best = routed[0]
    stem = f"seed{best.choice.seed}"
    best.output.replace(workdir / f"{STEM}{best.output.suffix}")
    (workdir / f"{stem}.report.json").replace(workdir / "nextpnr.report.json")
    shutil.copy(workdir / f"nextpnr-{stem}.log", workdir / "nextpnr.log")
    for item in routed[1:]:
        item.output.unlink(missing_ok=True)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started
