"""What all pictures share: size, colours, and how they are saved. Widths are those of one and of two printed columns."""

import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flipflow.errors import FlipflowError

P = ParamSpec("P")
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2  # inches
# Okabe and Ito's palette, told apart by colour-blind readers and in grey; its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ALL, NEVER = "#B8C4D0", "#D55E00"  # all weights, those that never flipped
_SETTINGS = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "svg.hashsalt": "flipflow",  # the same picture gives the same file
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the style of all pictures; matplotlib's own settings stay as they are."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure, inches, that needs no display; its title is broken into lines that fit."""
    figure = Figure(figsize=(width, height), layout="constrained")
    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, int(17 * width))]
    figure.suptitle("\n".join(lines), fontsize=_SETTINGS["font.size"], x=0.01, ha="left")
    return figure


def subplots(figure: Figure, rows: int, columns: int) -> list[Axes]:
    """Axes in reading order."""
    return list(figure.subplots(rows, columns, squeeze=False).flat)


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the index-th line: different for 28 lines, and different dashes where colours repeat."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index // len(COLOURS) % len(LINES)]}


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write folder/name.png (200 dots an inch) and folder/name.svg.

    Raises: FlipflowError E186 where the folder cannot be written.
    """
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(_SETTINGS):
            figure.savefig(paths[0], dpi=200)
            figure.savefig(paths[1], metadata={"Date": None})
    except OSError as error:
        what = f"the picture cannot be written ({error.strerror or error})."
        raise FlipflowError("E186", what, str(folder), "Name a folder that can be written (--out).") from error
    return paths
