"""What a training writes down epoch by epoch: metrics.jsonl, and TensorBoard's files where they are asked for."""

import json
from pathlib import Path
from typing import Any

from flipflow.errors import Exit, FlipflowError
from flipflow.train import checkpoint as store

TENSORBOARD = "tensorboard"  # folder in the run's


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line of JSON. Raises: FlipflowError E165 where it cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
    except OSError as error:
        raise store.write_error(path, error) from error


def trim(path: Path, epochs: int) -> None:
    """Keep the lines of the first `epochs` epochs, each once; a line cut short by a kill goes too."""
    if not path.is_file():
        return
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            epoch = json.loads(line)["epoch"]
        except (ValueError, KeyError, TypeError):
            continue
        if epoch == len(kept) + 1 and epoch <= epochs:
            kept.append(line)
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise store.write_error(path, error) from error


class TensorBoard:
    """The numbers of metrics.jsonl as scalars, by epoch; layers as "flip_ratio/conv_1" and so on."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """`epoch`: epochs done; what an interrupted run logged beyond them is dropped by TensorBoard.

        Raises: FlipflowError E176 where the package is missing.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise FlipflowError(
                "E176",
                "the Python package tensorboard is missing.",
                "train.tensorboard",
                'Install it (pip install "flipflow[tensorboard]"), or set train.tensorboard = false.',
                Exit.TOOL_MISSING,
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=epoch + 1)

    def add(self, line: dict[str, Any]) -> None:
        """One epoch's line of metrics."""
        for name, value in line.items():
            if isinstance(value, int | float) and name != "epoch":
                self._writer.add_scalar(name, value, line["epoch"])
        for layer, values in line["layers"].items():
            for name, value in values.items():
                self._writer.add_scalar(f"{name}/{layer}", value, line["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
