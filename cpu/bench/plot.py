"""Bar chart of a benchmark's result."""

from pathlib import Path
from typing import Any

from flipflow.cpu.bench.tables import milliseconds
from flipflow.errors import FlipflowError

_SUFFIXES = (".png", ".svg", ".pdf")
_FIX = f"Name a {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]} file in an existing folder."
_OURS, _PEER = "#2a6f97", "#9aa5b1"


def require_place(path: Path) -> None:
    """Before the work, not after it. Raises: FlipflowError E571 where no chart can be written there."""
    reason = (
        "its name has another ending" if path.suffix.lower() not in _SUFFIXES
        else "its folder does not exist" if not path.parent.is_dir()
        else "it is a folder" if path.is_dir()
        else None
    )  # fmt: skip
    if reason is not None:
        raise FlipflowError("E571", f"the chart cannot be written: {reason}.", str(path), _FIX)


def save_chart(document: dict[str, Any], path: Path) -> None:
    """Milliseconds of each engine as bars with their spread, to a .png, .svg or .pdf file.

    Raises: FlipflowError E571 where matplotlib cannot write such a file there.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and seldom wanted

    rows = document["rows"]
    names = [_label(row) for row in rows]
    medians = [row["ms_median"] for row in rows]
    errors = [
        [max(0.0, row["ms_median"] - row["ms_p10"]) for row in rows],
        [max(0.0, row["ms_p90"] - row["ms_median"]) for row in rows],
    ]
    figure = Figure(figsize=(7.5, 0.8 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colors = [_OURS if row["engine"] == "flipflow" else _PEER for row in rows]
    bars = axes.barh(names, medians, color=colors, xerr=errors, error_kw={"elinewidth": 1, "capsize": 2})
    axes.bar_label(bars, [f" {milliseconds(ms)}" for ms in medians], padding=6, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("ms an image, median; bars: 10th to 90th percentile")
    axes.set_title(document["target"], loc="left", fontsize=10)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise FlipflowError("E571", f"the chart cannot be written ({error}).", str(path), _FIX) from error


def _label(row: dict[str, Any]) -> str:
    isa = "" if row["isa"] == "auto" else f" {row['isa']}"
    threads = "" if row["threads"] == 1 else f", {row['threads']} threads"
    return f"{row['engine']}{isa}{threads}"
