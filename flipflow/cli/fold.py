"""`flipflow fold`: the best folding of a run's network for a rate or for a budget, or the front between them."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flipflow.cli.console import ConsoleReporter
from flipflow.cli.work import CONFIG, config_of
from flipflow.config import Config, save_config
from flipflow.errors import FlipflowError
from flipflow.run.files import locked
from flipflow.run.stages import STREAMLINED

if TYPE_CHECKING:
    from flipflow.hw.fold_budget import Asked
    from flipflow.hw.fold_solve import Answer

_POINTS = 64  # of the front at most


@dataclass(frozen=True)
class Options:
    """Budgets, what to do with the result, and seconds that the solver may take."""

    board: str | None = None
    luts: int | None = None
    brams: int | None = None
    dsps: int | None = None
    seconds: float = 60.0
    write: bool = False
    out: Path | None = None


def fold(  # noqa: PLR0913, PLR0917 - a parameter an option
    run_dir: Annotated[Path, typer.Argument(help="Run directory.")],
    fps: Annotated[float | None, typer.Option(help="Images a second: the cheapest folding that reaches them.")] = None,
    cycles: Annotated[int | None, typer.Option(help="Clock cycles an image, instead of --fps.")] = None,
    board: Annotated[str | None, typer.Option(help="Use no more than this board has.")] = None,
    luts: Annotated[int | None, typer.Option(min=0, help="Use at most so many LUT4s.")] = None,
    brams: Annotated[int | None, typer.Option(min=0, help="Use at most so many 18-kbit block RAMs.")] = None,
    dsps: Annotated[int | None, typer.Option(min=0, help="Use at most so many multipliers.")] = None,
    clock_mhz: Annotated[float | None, typer.Option(help="Clock of the target.")] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="All foldings that none is both faster and cheaper than.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Keep the folding in the run, for `build`.")] = False,
    limit: Annotated[float, typer.Option(min=1.0, help="Seconds that the solver may take.")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="Folder of the front's picture; <run>/plots by default.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Find the cheapest folding for a rate, or the fastest one for a board or a budget."""
    pairs = (("target.clock_mhz", clock_mhz), ("fold.fps", fps), ("fold.cycles", cycles))
    overrides = tuple(f"{key}={value}" for key, value in pairs if value is not None) + tuple(set_ or ())
    _check_options(run_dir, fps, cycles, pareto, write, out)
    options = Options(board, luts, brams, dsps, limit, write, out)
    # The entries that an earlier --write left are no wish of the user's; those of --set are.
    config = config_of(run_dir, overrides, drop=("fold.layers",))
    given = any(text.startswith(("fold.fps=", "fold.cycles=")) for text in overrides)
    with locked(run_dir), ConsoleReporter(as_json) as reporter:
        model = _kernels(run_dir)
        asked = _asked(run_dir, config, model, options, goal=None if pareto else given)
        act = _front if pareto else _best
        document = act(run_dir, config, model, asked, options, reporter)
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")


def _check_options(
    run_dir: Path, fps: float | None, cycles: int | None, pareto: bool, write: bool, out: Path | None
) -> None:
    if fps is not None and cycles is not None:
        raise FlipflowError("E106", "both name the rate.", "--fps, --cycles", "Give one of them.")
    if pareto and (fps is not None or cycles is not None or write):
        what = "the front is of all rates, and no single folding."
        raise FlipflowError("E106", what, "--pareto", "Leave --fps, --cycles and --write away, or --pareto.")
    if out is not None and not pareto:
        raise FlipflowError("E106", "only the front has a picture.", "--out", "Give --pareto, or leave --out away.")
    if not (run_dir / CONFIG).is_file():
        config_of(run_dir, ())  # says what is missing


def _asked(run_dir: Path, config: Config, model: Any, options: Options, goal: bool | None) -> "Asked":
    """goal: whether the command line names a rate; None where none is wanted. Where it does not, a budget alone asks for the
    fastest folding, and nothing at all for what the run's configuration asks for.
    """
    from flipflow.hw.fold_budget import Asked, board_budget, image_bits  # noqa: PLC0415
    from flipflow.hw.fold_optimum import Budget  # noqa: PLC0415

    numbers = {"--board": options.board, "--luts": options.luts, "--brams": options.brams, "--dsps": options.dsps}
    where = ", ".join(f"{key} {value}" for key, value in numbers.items() if value is not None)
    known, clock = config.fold, config.target.clock_mhz
    wanted = goal is not None and (goal or not where)
    if wanted and known.fps is None and known.cycles is None:
        fix = "Give --fps, --cycles, --board, --luts, --brams or --dsps, or ask for the front with --pareto."
        raise FlipflowError("E106", "nothing is asked for.", f"flipflow fold {run_dir}", fix)
    cycles = None if not wanted else known.cycles if known.fps is None else int(clock * 1e6 / known.fps)
    bits = image_bits(model)
    most = board_budget(options.board, bits) if options.board else Budget()
    pairs = ((most.lut, options.luts), (most.bram, options.brams), (most.dsp, options.dsps))
    budget = Budget(*(_least(*pair) for pair in pairs))
    return Asked(cycles, known.fps if wanted else None, budget, clock, bits, where or "fold")


def _least(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _kernels(run_dir: Path) -> Any:
    """The run's unfolded kernel graph. Raises: FlipflowError E452 (not exported)."""
    from flipflow.hw.convert import convert  # noqa: PLC0415 - FINN takes a second to import
    from flipflow.hw.graph import load_model  # noqa: PLC0415

    path = run_dir / STREAMLINED
    if not path.is_file():
        raise FlipflowError(
            "E452", f"the run has no {STREAMLINED}.", str(run_dir), f"Run `flipflow export {run_dir}` first."
        )
    return convert(load_model(path))


def _entries(config: Config) -> dict[str, dict[str, int | str]]:
    return {name: entry.model_dump(exclude_none=True) for name, entry in config.fold.layers.items()}


def _best(
    run_dir: Path, config: Config, model: Any, asked: "Asked", options: Options, reporter: ConsoleReporter
) -> dict[str, Any]:
    from flipflow.hw.fold_solve import finn_answer, solve  # noqa: PLC0415

    started = monotonic()
    reporter.progress("fold", 0, 2, "solving")
    answer = solve(model, asked, _entries(config), options.seconds)
    seconds = round(monotonic() - started, 3)
    reporter.progress("fold", 1, 2, "FINN's SetFolding")
    document = {
        "fps": round(asked.clock_mhz * 1e6 / answer.cycles, 3),
        "cycles": answer.cycles,
        **vars(answer.cost),
        "finn_setfolding": finn_answer(model, answer.pace),
        "optimal": answer.optimal,
        "seconds": seconds,
    }
    reporter.progress("fold", 2, 2, f"{seconds:.1f} s")
    if not reporter.console.quiet:
        from flipflow.cli.fold_tables import show_answer  # noqa: PLC0415

        show_answer(reporter, answer, document)
    if options.write:
        _write(run_dir, config, answer, options)
        reporter.message(f"{run_dir / CONFIG}: fold.cycles and fold.layers; `flipflow build {run_dir}` takes them")
    return document


def _write(run_dir: Path, config: Config, answer: "Answer", options: Options) -> None:
    """Keep the folding, and the board that it is for, in the run's configuration."""
    from flipflow.config.deployment import FoldConfig  # noqa: PLC0415

    layers = {layer.name: layer.knobs for layer in answer.layers if layer.knobs}
    chosen = FoldConfig.model_validate({"cycles": answer.pace, "layers": layers})
    target = config.target if options.board is None else config.target.model_copy(update={"board": options.board})
    save_config(config.model_copy(update={"fold": chosen, "target": target}), run_dir / CONFIG)


def _front(
    run_dir: Path, config: Config, model: Any, asked: "Asked", options: Options, reporter: ConsoleReporter
) -> dict[str, Any]:
    from flipflow.cli.fold_tables import show_front  # noqa: PLC0415
    from flipflow.hw.fold_solve import finn_answer, solve_front  # noqa: PLC0415
    from flipflow.plots.pareto import Point, pareto_figure  # noqa: PLC0415
    from flipflow.plots.style import save  # noqa: PLC0415

    def show(done: int, total: int) -> None:
        reporter.progress("pareto front", done, total, f"{total} paces")

    started = monotonic()
    found = solve_front(model, asked, _entries(config), options.seconds, _POINTS, show)
    seconds = round(monotonic() - started, 3)
    reporter.progress("pareto front", 1, 1, f"{seconds:.1f} s")
    rows: list[dict[str, Any]] = []
    for index, folding in enumerate(found):
        reporter.progress("FINN's SetFolding", index, len(found))
        rate = round(asked.clock_mhz * 1e6 / folding.cycles, 3)
        row = {"fps": rate, "cycles": folding.cycles, **vars(folding.cost)}
        rows.append({**row, "finn_setfolding": finn_answer(model, folding.cycles), "optimal": folding.optimal})
    reporter.progress("FINN's SetFolding", 1, 1)
    if not reporter.console.quiet:
        show_front(reporter, rows)
    ours = [Point(row["fps"], row["lut"], row["bram"]) for row in rows]
    others = [(row["finn_setfolding"], asked.clock_mhz * 1e6 / row["finn_setfolding"]["cycles"]) for row in rows]
    theirs = [Point(rate, other["lut"], other["bram"]) for other, rate in others]
    title = f"{run_dir.resolve().name} at {asked.clock_mhz:g} MHz, by the estimates for ECP5"
    files = save(pareto_figure(ours, theirs, title), options.out or run_dir / "plots", "pareto")
    reporter.message(", ".join(str(file) for file in files))
    return {"pareto": rows, "plots": [str(file) for file in files], "seconds": seconds}
