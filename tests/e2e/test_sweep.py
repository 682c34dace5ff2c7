"""Sweeps on real dask workers: results, failing cells, kills, other clusters."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flipflow.cli import sweeps
from flipflow.config import Config, TrainConfig, load_config
from flipflow.errors import Exit, FlipflowError
from flipflow.results import read_training
from flipflow.sweep import cell as cells
from flipflow.sweep import cluster, read_sweep
from flipflow.sweep.cell import train_cell
from flipflow.sweep.cluster import ClusterOptions, connected, fitting_workers
from flipflow.sweep.results import write_results
from flipflow.sweep.run import is_finished, train_cells
from flipflow.train.loop import train

BASE = """
[model]
network = "cnn"
layers = [{channels = 4, pool = 2}, {channels = 4}]
[data]
dataset = "digits"
limit = 200
[train]
epochs = 2
batch_size = 20
threads = 1
"""
SWEEP = """
title = "Tiny"
base = "base.toml"
seeds = [0, 1]
[variants]
vanilla = { ovsw.ags = false, ovsw.sad = false }
"""
FAILING = '"too large" = { train.batch_size = 5000 }\n'


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def progress(self, task: str, done: float, total: float, note: str = "") -> None:
        self.said.append(f"{task} {done:g}/{total:g} {note}")


def flipflow(*words: str, cwd: Path, check: int = 0) -> tuple[dict[str, Any], str]:
    """What `flipflow ... --json` printed, and its stderr; the exit code must be `check`."""
    command = [sys.executable, "-m", "flipflow", *words, "--json"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if done.stdout else {}, done.stderr


def metrics(run: Path) -> list[dict[str, Any]]:
    """Lines without what a clock measured."""
    content = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "hook_share")} for line in content]


def trained_alone(config: Config, folder: Path) -> list[dict[str, Any]]:
    """Metrics of the same training without a sweep."""
    assert config.model is not None and config.data is not None
    train(config.model, config.data, config.train, config.ovsw, folder)
    return metrics(folder)


@contextmanager
def in_this_process(threads: int = 1) -> Iterator[ClusterOptions]:
    """A running scheduler with one worker."""
    from distributed import LocalCluster  # noqa: PLC0415

    with LocalCluster(n_workers=1, threads_per_worker=threads, processes=False, dashboard_address=None) as cluster:
        yield ClusterOptions(scheduler=cluster.scheduler_address)


def files(folder: Path, sweep: str = SWEEP, base: str = BASE) -> Path:
    (folder / "base.toml").write_text(base)
    (folder / "tiny.toml").write_text(sweep)
    return folder / "tiny.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A sweep of two good cells and two that cannot be trained."""
    folder = tmp_path_factory.mktemp("sweep")
    files(folder, SWEEP + FAILING)
    result, _ = flipflow("sweep", "tiny.toml", "--workers", "2", cwd=folder, check=1)
    return folder, result


def test_failing_cells_stop_no_other(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    kept = json.loads((folder / "runs/tiny/results.json").read_text())
    assert result == {**kept, "sweep": "runs/tiny", "cells": 4, "plots": result["plots"]}
    assert [row["method"] for row in result["rows"]] == ["vanilla"]
    failed = [(cell["cell"], cell["code"]) for cell in result["failed"]]
    assert failed == [("too large, seed 0", "E155"), ("too large, seed 1", "E155")]
    assert "5000" in result["failed"][0]["what"]
    names = {f"runs/tiny/plots/{name}.{kind}" for name in ("accuracy", "curves") for kind in ("png", "svg")}
    assert set(result["plots"]) == names
    assert all((folder / name).stat().st_size > 1000 for name in names)


def test_row_is_mean_of_its_cells(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    (row,) = result["rows"]
    records = [read_training(folder / "runs/tiny" / run) for run in row["runs"]]
    a, b = (record["accuracy"] for record in records)
    assert row["seeds"] == [0, 1]
    assert row["mean"] == pytest.approx((a + b) / 2, rel=1e-14)
    assert row["sd"] == pytest.approx(abs(a - b) / 2**0.5, rel=1e-12, abs=1e-12)
    assert json.loads((folder / "runs/tiny" / row["manifest"]).read_text())["trainings"] == records
    assert result["command"] == "flipflow sweep tiny.toml"


def test_cells_are_what_training_alone_gives(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, result = finished
    cell = folder / "runs/tiny" / result["rows"][0]["runs"][1]
    assert trained_alone(load_config(cell / "config.toml"), tmp_path) == metrics(cell)


def test_second_call_trains_nothing(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "runs/tiny/cells/vanilla").rglob("*.*")}
    again = sweeps.sweep(files(folder), (), None, folder / "runs/tiny", ClusterOptions(), False, False, True)
    assert again["rows"] == result["rows"]
    assert again["failed"] == []
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    plan = sweeps.sweep(files(folder), (), None, folder / "runs/tiny", ClusterOptions(), False, True, True)
    assert plan["epochs_left"] == 0
    assert [cell["finished"] for cell in plan["cells"]] == [True, True]


def test_changed_sweep_does_not_pass_old_cells_off_as_new(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    sweep = read_sweep(files(folder), ("train.lr=0.01",))
    cell = sweep.cells[0]
    assert not is_finished(cell, folder / "runs/tiny")
    failure = train_cell(cell.document, str(folder / "runs/tiny" / cell.folder))
    assert failure is not None and failure["code"] == "E163" and "train.lr" in failure["what"]
    rows = write_results(sweep, folder / "runs/tiny", {cell: failure}, "flipflow sweep tiny.toml")["rows"]
    assert rows == []


def test_unknown_errors_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = read_sweep(files(tmp_path)).cells[0]

    def broken(*_: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(cells, "run_stage", broken)
    failure = train_cell(cell.document, str(tmp_path / "cell"))
    assert failure is not None and failure["code"] == "E184" and "out of luck" in failure["what"]
    assert "in broken" in Path(failure["where"]).read_text()


def _wait_until(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=["kill", "ctrl-c"]
)
def test_interrupted_sweeps_go_on_to_the_same_bits(tmp_path: Path, how: signal.Signals) -> None:
    file = files(tmp_path, SWEEP.replace("[0, 1]", "[4]"), BASE.replace("epochs = 2", "epochs = 25"))
    run = tmp_path / "runs/tiny/cells/vanilla/seed-4"
    command = [sys.executable, "-m", "flipflow", "sweep", "tiny.toml"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until((run / "checkpoint.prev.pt").exists)
        # A kill takes workers along, so that no epoch more is trained; after Ctrl-C they may finish while they are stopped.
        (os.killpg if how is signal.SIGKILL else os.kill)(process.pid, how)
        code = process.wait(60)
    finally:
        process.kill()
    assert code == (130 if how is signal.SIGINT else -signal.SIGKILL)
    # No worker is left to write into the folder.
    _wait_until(lambda: not subprocess.run(["pgrep", "-g", str(process.pid)], check=False, capture_output=True).stdout)
    if how is signal.SIGKILL:
        assert 0 < len(metrics(run)) < 25, "the sweep ended before it was interrupted"
    sweep = read_sweep(file)
    with in_this_process() as options:
        assert train_cells(sweep, tmp_path / "runs/tiny", options, Lines()) == {}
    assert metrics(run) == trained_alone(sweep.cells[0].config, tmp_path / "alone")


def test_running_scheduler_takes_the_cells(tmp_path: Path) -> None:
    """The worker has two threads, and trains one cell at a time nevertheless: each as it would alone."""
    sweep, reporter = read_sweep(files(tmp_path)), Lines()
    with in_this_process(threads=2) as options:
        failed = train_cells(sweep, tmp_path / "out", options, reporter)
    assert failed == {}
    for cell in sweep.cells:
        assert metrics(tmp_path / "out" / cell.folder) == trained_alone(cell.config, tmp_path / f"alone-{cell.seed}")
    assert sum(line.startswith(("[1/2] vanilla", "[2/2] vanilla")) for line in reporter.said) == 2
    assert reporter.said[-1] == "sweep 4/4 2/2 cells"


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    options = ClusterOptions(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(FlipflowError, match=r"E182.*--scheduler"), connected(options, 1):
        pass


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    match = r"E181.*dask-jobqueue.*flipflow\[slurm\]"
    with pytest.raises(FlipflowError, match=match) as caught, connected(ClusterOptions(slurm=True), 1):
        pass
    assert caught.value.exit_code is Exit.TOOL_MISSING
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(FlipflowError, match=r"E181.*flipflow\[sweep\]"), connected(ClusterOptions(), 1):
        pass


def test_slurm_starts_as_many_jobs_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster  # noqa: PLC0415

    asked = []

    class Jobs:
        """Stands for dask_jobqueue: a cluster of this machine that notes the jobs asked for."""

        class SLURMCluster(LocalCluster):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(n_workers=0, processes=False, dashboard_address=None)

            def scale(self, n: int = 0, jobs: int = 0) -> None:
                asked.append(jobs)
                super().scale(n or jobs)

    monkeypatch.setitem(sys.modules, "dask_jobqueue", Jobs)  # type: ignore[arg-type]
    with connected(ClusterOptions(workers=3, slurm=True), 1) as client:
        client.wait_for_workers(3, timeout=30)
        assert asked == [3]


def test_workers_fill_the_machine_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert fitting_workers([TrainConfig(threads=1)] * 20) == 8
    assert fitting_workers([TrainConfig(threads=3)] * 20) == 2
    assert fitting_workers([TrainConfig(threads=0)] * 5) == 5
    assert fitting_workers([TrainConfig(threads=16)] * 5) == 1


def test_contradicting_options() -> None:
    with pytest.raises(FlipflowError, match="E106"):
        sweeps.cluster_options(2, "tcp://x:1", False)
    with pytest.raises(FlipflowError, match="E106"):
        sweeps.cluster_options(0, "tcp://x:1", True)
    assert sweeps.cluster_options(2, None, True) == ClusterOptions(2, None, True)
