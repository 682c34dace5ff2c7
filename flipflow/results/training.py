"""training.json: what one training came to, and all that is needed to repeat it. No accuracy is reported without one."""

import json
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.results.method import method_name, network_name
from flipflow.run.files import write_json
from flipflow.run.machine import machine
from flipflow.run.manifest import tool_versions
from flipflow.run.stages import CHECKPOINT, METRICS, TRAINING

FORMAT = "flipflow-training"
VERSION = 1
# What evidence must say: without one of these a result is refused.
REQUIRED = {
    "config": dict,
    "seed": int,
    "tools": dict,
    "data": str,
    "data_sha256": str,
    "seconds": float,
    "accuracy": float,
    "epochs": int,
    "method": str,
    "network": str,
}


def write_training(run_dir: Path) -> dict[str, Any]:
    """Write training.json from the checkpoint and metrics of a finished training; returns its content.

    accuracy: percent of the test images, with the weights of the best epoch by validation (val_accuracy, percent).
    never_flipped: percent of all binary weights that kept their sign from the first step to the last; null without any.
    data: name of the data set. seconds: of all epochs together. config: sections model, data, train, ovsw, without paths.
    Raises: FlipflowError E160 to E162 (checkpoint), E185 (the training has not ended).
    """
    from flipflow.train.checkpoint import load  # noqa: PLC0415 - torch only where it is needed

    content = load(run_dir / CHECKPOINT)
    if content["test_accuracy"] is None:
        raise FlipflowError("E185", "its training has not ended.", str(run_dir), "Run the same command again.")
    config = without_paths(content["config"])
    best = content["best"]
    record = {
        "format": FORMAT,
        "version": VERSION,
        "method": method_name(config),
        "network": network_name(config),
        "data": content["data_name"],
        "data_sha256": content["data_sha256"],
        "seed": config["train"]["seed"],
        "epochs": content["trainer"]["epoch"],
        "best_epoch": best["epoch"],
        "accuracy": 100.0 * content["test_accuracy"],
        "val_accuracy": 100.0 * best["val_accuracy"],
        "never_flipped": _never_flipped(content["trainer"]["ovsw"]["layers"]),
        "seconds": _seconds(run_dir / METRICS),
        "machine": machine() | _gpu(config),
        "tools": tool_versions(),
        "config": config,
    }
    write_json(run_dir / TRAINING, record)
    return record


def read_training(run_dir: Path) -> dict[str, Any]:
    """The record of a finished training. Raises: FlipflowError E185 where it is missing, damaged or incomplete."""
    path = run_dir / TRAINING
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refused("there is no record of a finished training.", path) from None
    except (OSError, ValueError) as error:
        raise _refused(f"it cannot be read ({error}).", path) from error
    require_complete(record, str(path))
    return dict(record)


def require_complete(record: Any, where: str) -> None:
    """Raise E185 unless `record` says all that evidence must say (REQUIRED)."""
    if not isinstance(record, dict):
        raise _refused("it is no record of a training.", where)
    lacking = [key for key, kind in REQUIRED.items() if not isinstance(record.get(key), kind)]
    if lacking:
        raise _refused(f"it lacks {', '.join(lacking)}.", where)


def _refused(what: str, where: Path | str) -> FlipflowError:
    return FlipflowError("E185", what, str(where), "Train again (the same command): that writes a whole training.json.")


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration that says nothing of the machine: of other checkpoints the file names stay, and of the data nothing."""
    data = {key: value for key, value in config["data"].items() if key != "path"}
    files = {key: Path(config["train"][key]).name for key in ("init", "teacher") if config["train"].get(key)}
    return {"model": config["model"], "data": data, "train": config["train"] | files, "ovsw": config["ovsw"]}


def _never_flipped(layers: dict[str, Any]) -> float | None:
    count = sum(layer["flipped"].numel() for layer in layers.values())
    flipped = sum(int(layer["flipped"].sum()) for layer in layers.values())
    return 100.0 * (count - flipped) / count if count else None


def _seconds(path: Path) -> float:
    lines = path.read_text(encoding="utf-8").splitlines()
    return round(float(sum(json.loads(line)["seconds"] for line in lines)), 3)


def _gpu(config: dict[str, Any]) -> dict[str, str]:
    import torch  # noqa: PLC0415

    if config["train"]["device"] == "cpu" or not torch.cuda.is_available():
        return {}
    return {"gpu": torch.cuda.get_device_name()}
