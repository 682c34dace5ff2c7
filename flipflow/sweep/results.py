"""What a sweep came to: results.json, with the manifests that its rows rest on."""

import json
import shutil
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.results import make_row, read_training, write_manifest
from flipflow.results.rows import FORMAT, VERSION
from flipflow.run.files import write_json
from flipflow.sweep.run import Failure, is_finished
from flipflow.sweep.spec import Cell, Point, Sweep

RESULTS = "results.json"
MANIFESTS = "manifests"


def write_results(sweep: Sweep, folder: Path, failed: dict[Cell, Failure], command: str) -> dict[str, Any]:
    """Write folder/results.json and folder/manifests/*, and return the former's content.

    rows: one a point with at least one finished cell, its mean over those; beside the keys of `make_row` they have variant (or
    the method), axes (values by key) and runs (run directories). failed: cells with their errors. data: what was trained on.
    """
    shutil.rmtree(folder / MANIFESTS, ignore_errors=True)
    rows, everything = [], []
    for point, cells in sweep.points():
        finished = [cell for cell in cells if is_finished(cell, folder)]
        if not finished:
            continue
        trainings = [read_training(folder / cell.folder) for cell in finished]
        manifest = f"{MANIFESTS}/{cells[0].folder.parent.name}.json"
        write_manifest(folder / manifest, trainings)
        row = make_row(trainings, manifest, _method(point, trainings[0]))
        runs = [cell.folder.as_posix() for cell in finished]
        rows.append(row | {"variant": point.variant or trainings[0]["method"], "axes": dict(point.axes), "runs": runs})
        everything += trainings
    document = {
        "format": FORMAT,
        "version": VERSION,
        "title": sweep.title,
        "data": _data_label(everything),
        "command": command,
        "rows": rows,
        "failed": [{"cell": cell.label, **failure} for cell, failure in failed.items()],
    }
    write_json(folder / RESULTS, document)
    return document


def _data_label(trainings: list[dict[str, Any]]) -> str:
    """The data sets, and how many training images were used where that was not all, the same for all cells."""
    names = "; ".join(dict.fromkeys(training["data"] for training in trainings))
    limits = {training["config"]["data"]["limit"] for training in trainings}
    return f"{names}, {limits.pop():,} of the training images" if len(limits) == 1 and limits != {0} else names


def _method(point: Point, training: dict[str, Any]) -> str:
    if point.variant is not None:
        return point.label
    return training["method"] if not point.axes else f"{training['method']}, {point.label}"


def read_results(folder: Path) -> dict[str, Any]:
    """A sweep's results.json. Raises: FlipflowError E185 where it is missing or damaged."""
    path = folder / RESULTS
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["version"] != VERSION:
            raise ValueError("another format")
        for row in document["rows"]:
            if not {"method", "seeds", "mean", "sd", "manifest", "variant", "axes", "runs"} <= row.keys():
                raise ValueError("a row lacks keys")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it is no whole result of a sweep ({error})."
        raise FlipflowError("E185", what, str(path), "Run `flipflow sweep` again: finished cells are kept.") from error
    return dict(document)
