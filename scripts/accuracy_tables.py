"""Accuracies of sweeps: taken over with their evidence from a sweep's folder, and shown as Markdown tables."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
MANIFESTS = "manifests"


def collect(folder: Path, results: Path) -> Result:
    """What docs/results keeps of a sweep; its manifests go to results/manifests/NAME/.

    Exits where a cell failed or is missing, or where a row's evidence is not whole: such figures are not reported.
    """
    from flipflow.errors import FlipflowError  # noqa: PLC0415
    from flipflow.sweep.results import read_results  # noqa: PLC0415

    name = folder.resolve().name
    try:
        document = read_results(folder)
        if document["failed"]:
            sys.exit(f"{folder}: {len(document['failed'])} cells failed; run the sweep again first")
        for row in document["rows"]:
            require_evidence(row, folder)
    except FlipflowError as error:
        sys.exit(str(error))
    target = results / MANIFESTS / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    rows = []
    for row in document["rows"]:
        file = folder / row["manifest"]
        shutil.copyfile(file, target / file.name)
        kept = {key: value for key, value in row.items() if key != "runs"}
        rows.append(kept | {"manifest": f"{MANIFESTS}/{name}/{file.name}"})
    shown = {key: value for key, value in document.items() if key != "failed"}
    return shown | {"name": name, "rows": rows}


def require_evidence(row: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The records that a row rests on. Raises: FlipflowError E185 where they are not whole, or give another row."""
    from flipflow.errors import FlipflowError  # noqa: PLC0415
    from flipflow.results import make_row  # noqa: PLC0415

    path = folder / row["manifest"]
    try:
        trainings = json.loads(path.read_text(encoding="utf-8"))["trainings"]
        again = make_row(trainings, row["manifest"], row["method"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise FlipflowError("E185", f"the manifest cannot be read ({error!r}).", str(path), "Run the sweep.") from error
    differs = [key for key, value in again.items() if row.get(key) != value]
    if differs:
        what = f"its records give another {', '.join(differs)} than the row of {row['method']!r}."
        raise FlipflowError("E185", what, str(path), "Run the sweep again.")
    return list(trainings)


def accuracy(result: Result) -> str:
    """Every row: mean and standard deviation over the seeds."""
    rows = [
        (
            row["method"],
            row["network"],
            f"{row['epochs']:,}",
            f"{len(row['seeds'])}",
            f"{row['mean']:.2f}" + ("" if row["sd"] is None else f" ± {row['sd']:.2f}"),
            "" if row["never_flipped"] is None else f"{row['never_flipped']:.1f}",
            f"[records](results/{row['manifest']})",
        )
        for row in result["rows"]
    ]
    head = ("method", "network", "epochs", "seeds", "test accuracy, %", "never flipped, %", "evidence")
    return (
        f"{table(head, rows)}\n\n{result['title']}; {result['data']}. `{result['command']}`. Mean ± sample standard deviation "
        "over the seeds, of the epoch that was best on held-out training images."
    )


BLOCKS: dict[str, Callable[[Result], str]] = {"accuracy": accuracy}
