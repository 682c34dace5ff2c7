"""`flipflow bitstream`: a built run to the file that a board is loaded with."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipflow.cli.console import ConsoleReporter
from flipflow.cli.work import CONFIG, config_of, require_inputs
from flipflow.config import Config, save_config
from flipflow.errors import FlipflowError
from flipflow.run.files import locked, write_json
from flipflow.run.machine import machine
from flipflow.run.runner import Context, Stage, run_stage
from flipflow.run.stages import ACCELERATOR, FOLDED, INTEGER_JSON, INTEGER_NPZ, RTL

if TYPE_CHECKING:
    from flipflow.hw.boards import Board

TIMING = "timing.json"
AREA = "area.json"
FOLDER = "bitstream"
ACCELERATOR_INSTANCE = "u_accelerator"  # in the board top
BACKENDS = ("rtl", "finn-hls")
FILES = ("accelerator.bit", "accelerator.fs")


@dataclass(frozen=True)
class BitstreamOptions:
    """How to place and route: how many seeds, from which on, with which router and placer (None: nextpnr's own choice).

    baud: of the serial link, None for its default.
    """

    seeds: int = 1
    seed: int = 1
    router: str | None = None
    placer: str | None = None
    baud: int | None = None


def target_overrides(board: str | None, clock_mhz: float | None) -> tuple[str, ...]:
    """The verb's options that belong to the run's configuration, as overrides."""
    pairs = [f"target.board={json.dumps(board)}"] if board is not None else []
    return (*pairs, *([f"target.clock_mhz={clock_mhz}"] if clock_mhz is not None else []))


def bitstream(
    run_dir: Path, overrides: tuple[str, ...], options: BitstreamOptions, backend: str, force: bool, quiet: bool
) -> dict[str, Any]:
    """Bring a run's bitstream up to date: {"run", "board", "skipped", "bitstream", "timing", "area"}.

    Raises: FlipflowError E374 where the clock is not met, with everything written; E106, E370-E378.
    """
    from flipflow.hw.boards import find_board, flow_of  # noqa: PLC0415

    if backend not in BACKENDS:
        what = f"there is no backend {backend!r}."
        raise FlipflowError("E106", what, f"--backend {backend}", f"Backends are {' and '.join(BACKENDS)}.")
    config = config_of(run_dir, overrides)
    if config.target.board is None:
        raise FlipflowError("E106", "no board is named.", "--board", f"Name one of {_boards()}, or a board file.")
    path = find_board(config.target.board)
    vendor = flow_of(path) == "vivado"
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        if vendor or backend != "rtl":
            return _vendor(run_dir, path, config, options, backend, reporter)
        return _open(run_dir, config, options, force, reporter)


def _boards() -> str:
    from flipflow.hw.boards import board_names  # noqa: PLC0415

    return ", ".join(board_names())


def _vendor(
    run_dir: Path, board: Path, config: Config, options: BitstreamOptions, backend: str, reporter: ConsoleReporter
) -> dict[str, Any]:
    """Boards of the vendor's flow, and FINN's own builder."""
    given = [key for key, value in asdict(options).items() if value != getattr(BitstreamOptions(), key)]
    if given:
        what = f"{', '.join('--' + key for key in given)} are for boards with a serial link that nextpnr makes bitstreams of."
        raise FlipflowError("E106", what, f"--board {board.stem}", "Leave them away.")
    clock = config.target.clock_mhz
    if backend == "finn-hls":
        from flipflow.hw.backends import finn_hls  # noqa: PLC0415

        return finn_hls(run_dir, board, clock, reporter)
    from flipflow.hw.vivado import bitstream as with_vivado  # noqa: PLC0415

    return with_vivado(run_dir, board, clock, reporter)


def _open(
    run_dir: Path, config: Config, options: BitstreamOptions, force: bool, reporter: ConsoleReporter
) -> dict[str, Any]:
    from flipflow.hw.boards import load_board  # noqa: PLC0415
    from flipflow.hw.pnr.results import require_timing  # noqa: PLC0415

    assert config.target.board is not None
    board = load_board(config.target.board)
    _check_options(board, options)
    stage = _stage(board, options)
    require_inputs(stage, config, run_dir)
    outcome = run_stage(stage, config, run_dir, reporter, force)
    save_config(config, run_dir / CONFIG)
    timing = json.loads((run_dir / TIMING).read_text(encoding="utf-8"))
    area = json.loads((run_dir / AREA).read_text(encoding="utf-8")) if (run_dir / AREA).is_file() else None
    _tell(run_dir, board, timing, reporter)
    require_timing(timing, str(run_dir / TIMING))
    return {
        "run": str(run_dir),
        "board": board.name,
        "skipped": outcome.skipped,
        "bitstream": str(run_dir / timing["bitstream"]),
        "timing": timing,
        "area": area,
    }


def _check_options(board: "Board", options: BitstreamOptions) -> None:
    from flipflow.hw.pnr.nextpnr import PLACERS, ROUTERS  # noqa: PLC0415

    for key, legal in (("router", ROUTERS[board.family]), ("placer", PLACERS[board.family])):
        value = getattr(options, key)
        if value is not None and value not in legal:
            fix = f"Give one of {', '.join(legal)}, or leave it away."
            raise FlipflowError("E378", f"there is no {key} {value!r} for {board.family}.", f"--{key} {value}", fix)


def _stage(board: "Board", options: BitstreamOptions) -> Stage:
    """The stage of a board: what it reads, writes and depends on.

    It writes area.json as well, which is not among its outputs: `flipflow synth` may write its own there, which is no reason to
    place and route again.
    """
    place = f"{FOLDER}/{board.name}"
    return Stage(
        name="bitstream",
        inputs=(RTL, ACCELERATOR, FOLDED, INTEGER_JSON, INTEGER_NPZ),
        outputs=(place, TIMING, *FILES),
        rooms=("hw",),
        settings=_settings(board, options),
        work=_work(board, options),
        in_place=True,
    )


def _settings(board: "Board", options: BitstreamOptions) -> Callable[[Config], Any]:
    return lambda config: {
        "board": board.model_dump(mode="json"),
        "options": asdict(options),
        "clock_mhz": config.target.clock_mhz,
    }


def _work(board: "Board", options: BitstreamOptions) -> Callable[[Context], None]:
    def work(context: Context) -> None:
        from flipflow.hw.pnr.flow import Request, make_bitstream  # noqa: PLC0415
        from flipflow.hw.pnr.nextpnr import Choice  # noqa: PLC0415
        from flipflow.hw.synth.report import write_area  # noqa: PLC0415

        run_dir = context.run_dir
        for name in (TIMING, *FILES):
            (run_dir / name).unlink(missing_ok=True)
        choice = Choice(options.seed, options.router, options.placer)
        request = Request(board, context.config.target.clock_mhz, choice, options.seeds, options.baud)
        made = make_bitstream(run_dir, run_dir / FOLDER / board.name, request, context.reporter)
        routed = asdict(made.routed.utilisation)
        write_area(run_dir, made.netlist, board.family, board=board.name, inside=ACCELERATOR_INSTANCE, routed=routed)
        target = run_dir / made.file.name
        target.write_bytes(made.file.read_bytes())
        write_json(run_dir / TIMING, made.timing | {"machine": machine()})

    return work


def _tell(run_dir: Path, board: "Board", timing: dict[str, Any], reporter: ConsoleReporter) -> None:
    """The result for a person: clock, critical kernel, what is used, how to load it."""
    file = run_dir / timing["bitstream"]
    used = ", ".join(
        f"{entry['used']:,} of {entry['available']:,} {name}" for name, entry in timing["utilisation"].items()
    )
    reporter.message(
        f"{board.title}: {timing['fmax_mhz']:g} MHz ({timing['asked_mhz']:g} asked), critical path in "
        f"{timing['critical']['kernel']}; {used}"
    )
    load = f"; load it with: {board.load.format(file=file)}" if board.load else ""
    reporter.message(f"{file}: {file.stat().st_size:,} bytes{load}")
