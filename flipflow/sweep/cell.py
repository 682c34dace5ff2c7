"""One cell of a sweep, as a worker trains it: a run directory like any other, so that every verb takes it."""

import shutil
import traceback
from pathlib import Path
from threading import Lock
from typing import Any

from flipflow.config.load import parse_config, save_config
from flipflow.errors import FlipflowError
from flipflow.results import read_training
from flipflow.run.files import locked
from flipflow.run.runner import run_stage
from flipflow.run.stages import stages_of

CONFIG = "config.toml"
TRACE = "error.txt"

# Training seeds torch's global generator and sets its thread count: two at once in one process would disturb each other.
_ALONE = Lock()


class _Silent:
    def message(self, text: str) -> None: ...

    def progress(self, task: str, done: float, total: float, note: str = "") -> None: ...


def train_cell(document: dict[str, Any], run_dir: str) -> dict[str, str] | None:
    """Train a cell to its end, from its checkpoint where there is one; returns None, or what was wrong.

    document: the configuration as read from TOML. On a machine with several GPUs each worker uses its own.
    Errors are returned and not raised, as {"code", "what", "where", "fix"}: one cell must not stop the others. Of an error that
    is none of flipflow's own the traceback is kept in the run directory.
    """
    folder = Path(run_dir)
    try:
        with _ALONE, locked(folder):
            (folder / TRACE).unlink(missing_ok=True)
            config = parse_config(document, run_dir)
            save_config(config, folder / CONFIG)
            if config.train.device != "cpu":
                _take_gpu()
            run_stage(stages_of(config)[0], config, folder, _Silent())
            read_training(folder)
    except FlipflowError as error:
        return {"code": error.code, "what": error.what, "where": error.where, "fix": error.fix}
    except Exception as error:
        return _unexpected(error, folder)
    return None


def _take_gpu() -> None:
    """Share this machine's GPUs out among the local workers, which are numbered from 0 (others have names)."""
    import torch  # noqa: PLC0415
    from distributed import get_worker  # noqa: PLC0415

    number, gpus = get_worker().name, torch.cuda.device_count()
    if isinstance(number, int) and gpus > 1:
        torch.cuda.set_device(number % gpus)


def _unexpected(error: Exception, folder: Path) -> dict[str, str]:
    what = f"{type(error).__name__}: {error}"
    fix = "Run the sweep again. If it stays, please report it with that file."
    try:
        (folder / TRACE).write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        fix = "Is the folder writable on the worker's machine?"
    return {"code": "E184", "what": what, "where": str(folder / TRACE), "fix": fix}


def discard(run_dir: Path) -> None:
    """Throw away what a cell has done. Raises: FlipflowError E501 where another process works on it."""
    if run_dir.is_dir():
        with locked(run_dir):
            for entry in run_dir.iterdir():
                if entry.name != ".lock":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
