"""The verbs `sweep` and `plot`."""

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flipflow.cli.console import ConsoleReporter
from flipflow.errors import FlipflowError
from flipflow.run.files import locked
from flipflow.sweep import Sweep, read_sweep
from flipflow.sweep.cluster import ClusterOptions
from flipflow.sweep.results import RESULTS, write_results
from flipflow.sweep.run import is_finished, train_cells

SWEEPS = Path("runs")
_PATHS = ("data.path=",)  # of a machine: no part of the command that repeats a result


def cluster_options(workers: int, scheduler: str | None, slurm: bool) -> ClusterOptions:
    """The options of `sweep` on where to train. Raises: FlipflowError E106 where they contradict each other."""
    if scheduler is not None and (slurm or workers):
        what = "a running scheduler has its own workers."
        raise FlipflowError("E106", what, "--scheduler", "Leave --workers and --slurm away.")
    return ClusterOptions(workers, scheduler, slurm)


def sweep(
    file: Path,
    overrides: tuple[str, ...],
    base: Path | None,
    out: Path | None,
    cluster: ClusterOptions,
    fresh: bool,
    dry_run: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Train all cells, then write results.json, the table and the plots."""
    plan = read_sweep(file, overrides, base)
    folder = out or SWEEPS / file.stem
    if dry_run:
        return _show_plan(plan, folder, quiet)
    with locked(folder), ConsoleReporter(quiet) as reporter:
        reporter.message(f"sweep: {plan.title}; {len(plan.cells)} cells in {folder}")
        failed = train_cells(plan, folder, cluster, reporter, fresh)
        document = write_results(plan, folder, failed, _command(file, overrides, base))
        for row in document["failed"]:
            reporter.message(f"{row['cell']} failed: {row['code']} {row['where']}\n  {row['what']}\n  {row['fix']}")
        files = _plot_sweep(folder, reporter) if document["rows"] else []
    if not quiet:
        Console(stderr=True, highlight=False).print(accuracy_table(document))
    return {"sweep": str(folder), "cells": len(plan.cells), "plots": files, **document}


def _plot_sweep(folder: Path, reporter: ConsoleReporter) -> list[str]:
    from flipflow.plots.draw import plot_sweep  # noqa: PLC0415 - matplotlib is slow to import

    return [str(path) for path in plot_sweep(folder, folder / "plots", reporter)]


def _show_plan(plan: Sweep, folder: Path, quiet: bool) -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {
            "cell": cell.label,
            "run": str(folder / cell.folder),
            "epochs": cell.config.train.epochs,
            "finished": is_finished(cell, folder),
        }
        for cell in plan.cells
    ]
    left = sum(cell.config.train.epochs for cell, row in zip(plan.cells, cells, strict=True) if not row["finished"])
    if not quiet:
        table = Table("cell", "run directory", title=plan.title, title_justify="left")
        table.add_column("epochs", justify="right")
        table.add_column("finished")
        for row in cells:
            table.add_row(row["cell"], row["run"], f"{row['epochs']:,}", "yes" if row["finished"] else "")
        console = Console(stderr=True, highlight=False)
        console.print(table)
        console.print(f"{len(cells)} cells, {left:,} epochs left to train")
    return {"sweep": str(folder), "title": plan.title, "cells": cells, "epochs_left": left}


def _command(file: Path, overrides: tuple[str, ...], base: Path | None) -> str:
    """The command that repeats the sweep, without paths of this machine."""
    words = ["flipflow", "sweep", _relative(file)]
    words += ["--base", _relative(base)] if base is not None else []
    words += [word for override in overrides if not override.startswith(_PATHS) for word in ("--set", override)]
    return shlex.join(words)


def _relative(path: Path) -> str:
    return path.as_posix() if not path.is_absolute() else path.name


def plot(folder: Path, out: Path | None, surface: tuple[int, float, int] | None, quiet: bool) -> dict[str, Any]:
    """Pictures of a run or of a sweep. surface: points, radius and images of the loss surface, None for no surface."""
    from flipflow.plots.draw import plot_run, plot_surface, plot_sweep  # noqa: PLC0415 - matplotlib is slow to import

    target = out or folder / "plots"
    with ConsoleReporter(quiet) as reporter:
        if (folder / RESULTS).is_file():
            if surface is not None:
                what = "a sweep has no one loss surface."
                raise FlipflowError("E106", what, "--surface", f"Name a run below {folder / 'cells'}.")
            files = plot_sweep(folder, target, reporter)
        else:
            files = plot_run(folder, target, reporter)
            files += plot_surface(folder, target, *surface, reporter) if surface is not None else []
        for file in files:
            reporter.message(str(file))
    return {"plots": [str(file) for file in files]}


def accuracy_table(document: dict[str, Any]) -> Table:
    """Rows of results.json."""
    table = Table("method", "network", title=f"{document['title']} ({document['data']})", title_justify="left")
    for name in ("epochs", "seeds", "accuracy %", "never flipped %"):
        table.add_column(name, justify="right")
    for row in document["rows"]:
        sd = "" if row["sd"] is None else f" ± {row['sd']:.2f}"
        kept = "" if row["never_flipped"] is None else f"{row['never_flipped']:.1f}"
        seeds = str(len(row["seeds"]))
        table.add_row(row["method"], row["network"], f"{row['epochs']:,}", seeds, f"{row['mean']:.2f}{sd}", kept)
    return table
