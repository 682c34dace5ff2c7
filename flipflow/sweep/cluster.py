"""Where the cells of a sweep are trained: dask workers on this machine, under a scheduler that runs already, or of SLURM."""

import importlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flipflow.config import TrainConfig
from flipflow.errors import Exit, FlipflowError

CONNECT_SECONDS = 10


@dataclass(frozen=True)
class ClusterOptions:
    """workers: processes on this machine, or jobs of SLURM; 0 to choose. scheduler: address of a running dask scheduler.

    slurm: start the workers as SLURM jobs, as dask-jobqueue's own configuration (jobqueue.yaml) describes them.
    Workers elsewhere need the same flipflow and see the same folders.
    """

    workers: int = 0
    scheduler: str | None = None
    slurm: bool = False


@contextmanager
def connected(options: ClusterOptions, fitting: int) -> Iterator[Any]:
    """A `distributed.Client` with workers that take one cell each at a time.

    fitting: workers where the options leave their number open.
    Raises: FlipflowError E181 (dask or dask-jobqueue is missing), E182 (no such scheduler, or no cluster can be had).
    """
    distributed = _require("distributed", "sweep")
    _require("dask", "sweep")
    # What a worker has to say of a killed neighbour is said by the sweep itself.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if options.scheduler is not None:
        try:
            client = distributed.Client(options.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            what = f"no dask scheduler answers ({error})."
            fix = "Start one (`dask scheduler`) and give its address, such as tcp://host:8786."
            raise FlipflowError("E182", what, f"--scheduler {options.scheduler}", fix) from error
        with client, client.as_current():
            yield client
        return
    workers = options.workers or fitting
    cluster = _slurm(workers) if options.slurm else _local(distributed, workers)
    with cluster, distributed.Client(cluster, set_as_default=False) as client, client.as_current():
        yield client


def fitting_workers(trainings: Iterable[TrainConfig]) -> int:
    """As many workers as this machine's GPUs (where cells use them) or cores hold, and no more than there are cells."""
    trainings = list(trainings)
    if any(training.device != "cpu" for training in trainings):
        import torch  # noqa: PLC0415

        if torch.cuda.is_available():
            return max(1, min(len(trainings), torch.cuda.device_count()))
    threads = max((training.threads for training in trainings), default=1)
    return max(1, min(len(trainings), len(os.sched_getaffinity(0)) // max(1, threads)))


def _local(distributed: Any, workers: int) -> Any:
    import dask  # noqa: PLC0415

    # A worker that died takes its cell along at most once more: what kills twice kills always.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )


def _slurm(jobs: int) -> Any:
    jobqueue = _require("dask_jobqueue", "slurm")
    try:
        cluster = jobqueue.SLURMCluster()
        cluster.scale(jobs=jobs)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        fix = "Describe the jobs (cores, memory, queue, walltime) in ~/.config/dask/jobqueue.yaml."
        raise FlipflowError("E182", f"SLURM gives no workers ({error}).", "--slurm", fix) from error
    return cluster


def _require(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.replace("_", "-")
        what = f"the Python package {package} is not installed."
        fix = f'Install it: pip install "flipflow[{extra}]".'
        raise FlipflowError("E181", what, "this Python environment", fix, Exit.TOOL_MISSING) from error
