"""Running a sweep: train what is not finished, report what fails, gather the rest."""

import time
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.results import TRAINING, read_training
from flipflow.results.training import without_paths
from flipflow.run.stages import METRICS
from flipflow.sim.reporter import Reporter
from flipflow.sweep.cell import discard, train_cell
from flipflow.sweep.cluster import ClusterOptions, connected, fitting_workers
from flipflow.sweep.spec import Cell, Sweep

Failure = dict[str, str]
POLL_SECONDS = 1.0


def train_cells(
    sweep: Sweep, folder: Path, options: ClusterOptions, reporter: Reporter, fresh: bool = False
) -> dict[Cell, Failure]:
    """Bring every cell of a sweep to its end, in folder/<cell.folder>; returns what was wrong with those that failed.

    Finished cells are left alone, half-done ones go on from their checkpoints; `fresh` throws both away first.
    Raises: FlipflowError E181, E182 (no workers), E501 (`fresh`, while another process trains a cell).
    """
    if fresh:
        for cell in sweep.cells:
            discard(folder / cell.folder)
    left = [cell for cell in sweep.cells if not is_finished(cell, folder)]
    if len(left) < len(sweep.cells):
        reporter.message(f"{len(sweep.cells) - len(left)} of {len(sweep.cells)} cells are finished already")
    if not left:
        return {}
    with connected(options, fitting_workers(cell.config.train for cell in left)) as client:
        return _train(client, left, folder, reporter)


def is_finished(cell: Cell, folder: Path) -> bool:
    """Whether the cell's run directory holds the record of its training, with this very configuration."""
    try:
        record = read_training(folder / cell.folder)
    except FlipflowError:
        return False
    sections = cell.config.model_dump(mode="json", include={"model", "data", "train", "ovsw"})
    return bool(record["config"] == without_paths(sections))


def _train(client: Any, cells: list[Cell], folder: Path, reporter: Reporter) -> dict[Cell, Failure]:
    from distributed import wait  # noqa: PLC0415

    futures = {
        client.submit(train_cell, cell.document, str((folder / cell.folder).resolve()), pure=False): cell
        for cell in cells
    }
    meter = _Meter(cells, folder, reporter)
    pending, failed = set(futures), {}
    while pending:
        try:
            done, pending = wait(pending, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
        except TimeoutError:
            done = set()
        for future in done:
            cell = futures[future]
            failure = _outcome(future, cell, folder)
            if failure is not None:
                failed[cell] = failure
            meter.finish(cell, failure)
        meter.show(_workers(client))
    # In the sweep's order, whichever ended first.
    return {cell: failed[cell] for cell in cells if cell in failed}


def _workers(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _outcome(future: Any, cell: Cell, folder: Path) -> Failure | None:
    if future.status == "finished":
        failure: Failure | None = future.result()
        if failure is None and not is_finished(cell, folder):
            what = f"its worker trained it, but {TRAINING} cannot be seen from here."
            return _failure("E183", what, folder / cell.folder, "Let workers see this folder, with the same flipflow.")
        return failure
    reason = future.exception() if future.status == "error" else future.status
    what = f"the process that trained it died ({type(reason).__name__ if future.status == 'error' else reason})."
    fix = "Was the memory used up? Take fewer --workers; then the same command goes on from the checkpoints."
    return _failure("E183", what, folder / cell.folder, fix)


def _failure(code: str, what: str, where: Path, fix: str) -> Failure:
    return {"code": code, "what": what, "where": str(where), "fix": fix}


class _Meter:
    """Progress of all cells together, in epochs, as the growing metrics.jsonl files tell it, and the time left."""

    def __init__(self, cells: list[Cell], folder: Path, reporter: Reporter) -> None:
        self._cells = cells
        self._folder = folder
        self._reporter = reporter
        self._ended: dict[Cell, bool] = {}  # whether it succeeded
        self._waiting = False
        self._total = sum(cell.config.train.epochs for cell in cells)
        # Time is taken from the first epoch on: before that, workers start, and only once.
        self._found = self._done()
        self._first: tuple[float, int] | None = None

    def _done(self) -> int:
        return sum(self._epochs(cell) for cell in self._cells)

    def _epochs(self, cell: Cell) -> int:
        if cell in self._ended:
            return cell.config.train.epochs
        try:
            return (self._folder / cell.folder / METRICS).read_bytes().count(b"\n")
        except OSError:
            return 0

    def finish(self, cell: Cell, failure: Failure | None) -> None:
        """One line for a cell that ended."""
        self._ended[cell] = failure is None
        place = f"[{len(self._ended)}/{len(self._cells)}] {cell.label}"
        if failure is None:
            record = read_training(self._folder / cell.folder)
            said = f"{record['accuracy']:.2f} % ({record['epochs']} epochs, {record['seconds']:,.0f} s){self._left()}"
        else:
            said = f"failed: {failure['code']} {failure['where']}: {failure['what']}"
        self._reporter.message(f"{place}: {said}")

    def show(self, workers: int) -> None:
        """Move the bar."""
        if workers == 0 and not self._waiting:
            self._waiting = True
            self._reporter.message("no workers yet; waiting for some")
        done = self._done()
        if self._first is None and done > self._found:
            self._first = time.monotonic(), done
        failed = sum(not good for good in self._ended.values())
        note = f"{len(self._ended)}/{len(self._cells)} cells{f', {failed} failed' if failed else ''}{self._left()}"
        self._reporter.progress("sweep", done, self._total, note)

    def _left(self) -> str:
        """Time left at the rate of the epochs since the first."""
        done = self._done()
        if self._first is None or done == self._first[1] or done == self._total:
            return ""
        seconds = (time.monotonic() - self._first[0]) / (done - self._first[1]) * (self._total - done)
        return f", about {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 1.5 else f"{minutes:.0f} min" if hours < 1.5 else f"{hours:.1f} h"
