"""Rows of a table of accuracies: mean and standard deviation over seeds, and the manifest that each rests on."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.results.training import require_complete
from flipflow.run.files import write_json

FORMAT = "flipflow-accuracy"
MANIFEST_FORMAT = "flipflow-trainings"
VERSION = 1


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (divided by n - 1); no deviation of fewer than two values."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def make_row(trainings: Sequence[dict[str, Any]], manifest: str, method: str | None = None) -> dict[str, Any]:
    """One row from the records of trainings that differ in their seed alone.

    method: the row's name, otherwise that of the records. mean, sd: of the test accuracy, percent (sd null for one seed).
    never_flipped: mean percent of the binary weights. manifest: the file that holds the records.
    Raises: FlipflowError E185 where a record is incomplete, or two of them are not of one experiment.
    """
    for training in trainings:
        require_complete(training, manifest)
    first = trainings[0]
    for training in trainings[1:]:
        _require_same(first, training, manifest)
    mean, sd = mean_and_sd([training["accuracy"] for training in trainings])
    kept = [training["never_flipped"] for training in trainings if training["never_flipped"] is not None]
    return {
        "method": method or first["method"],
        "network": first["network"],
        "epochs": first["epochs"],
        "seeds": [training["seed"] for training in trainings],
        "mean": mean,
        "sd": sd,
        "never_flipped": statistics.fmean(kept) if kept else None,
        "manifest": manifest,
    }


def write_manifest(path: Path, trainings: Sequence[dict[str, Any]]) -> None:
    """Keep the records that a row is made of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"format": MANIFEST_FORMAT, "version": VERSION, "trainings": list(trainings)})


def _require_same(first: dict[str, Any], other: dict[str, Any], where: str) -> None:
    def without_seed(record: dict[str, Any]) -> dict[str, Any]:
        config = record["config"]
        return {**config, "train": {key: value for key, value in config["train"].items() if key != "seed"}}

    differs = [key for key in ("data_sha256", "epochs") if first[key] != other[key]]
    if without_seed(first) != without_seed(other):
        differs.append("config")
    if first["seed"] == other["seed"]:
        differs.append("seed (the same twice)")
    if differs:
        what = f"seeds {first['seed']} and {other['seed']} are not of one experiment: {', '.join(differs)}."
        raise FlipflowError("E185", what, where, "Train them with one configuration, each seed once.")
