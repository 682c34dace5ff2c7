"""When every kernel of an accelerator works, and when it holds a word that nobody takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.plots.style import COLOURS, TWO_COLUMNS, new_figure, styled, subplots
from flipflow.sim.schedule import Timeline, timeline

_FRAMES = 3


@styled
def pipeline_figure(times: Timeline, title: str) -> Figure:
    """Left: bars where a kernel works, dashed lines where frames leave. Right: the share of cycles in which it is refused."""
    figure = new_figure(TWO_COLUMNS, 1.2 + 0.1 * len(times.names), title)
    work, stall = subplots(figure, 1, 2)
    for row, busy in enumerate(times.activity[:, :, 0]):
        work.broken_barh(_bars(busy > 0, times.edges), (row - 0.4, 0.8), color=COLOURS[0], linewidth=0)
    for cycle in times.completion:
        work.axvline(float(cycle), color=COLOURS[1], linestyle="--", linewidth=0.8)
    share = times.activity[:, :, 1] / np.diff(times.edges)
    shown = stall.pcolormesh(
        times.edges, np.arange(len(times.names) + 1) - 0.5, share, vmin=0, vmax=1, cmap="Oranges", rasterized=True
    )
    figure.colorbar(shown, ax=stall, label="share of cycles", location="bottom", aspect=40)
    for axes, text in ((work, "works"), (stall, "holds a word that nobody takes")):
        _rows(axes, times, text)
    stall.set_yticklabels([])
    return figure


def pipeline_timeline(accelerator: Path) -> Timeline:
    """The first frames of the accelerator that an accelerator.json describes.

    Raises: FlipflowError E406 where the file is no such description, and those of the cycle model.
    """
    try:
        about: dict[str, Any] = json.loads(accelerator.read_text())
        ends = int(about["input"]["beats_per_frame"]), int(about["output"]["beats_per_frame"])
        pipeline = list(about["pipeline"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"its pipeline, input or output cannot be read ({error})."
        raise FlipflowError(
            "E406", what, str(accelerator), "Build again; this file is not meant to be edited."
        ) from error
    return timeline(pipeline, *ends, frames=_FRAMES)


def _rows(axes: Axes, times: Timeline, text: str) -> None:
    axes.set_yticks(range(len(times.names)), times.names, fontsize=5)
    axes.set_ylim(len(times.names) - 0.5, -0.5)
    axes.set_xlim(0, float(times.edges[-1]))
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("clock cycles")
    axes.set_title(text)
    axes.grid(visible=False)


def _bars(works: NDArray[np.bool_], edges: NDArray[np.int64]) -> list[tuple[float, float]]:
    """(start, length) of every run of bins in which a kernel works."""
    turns = np.flatnonzero(np.diff(np.concatenate(([False], works, [False])).astype(np.int8)))
    return [(float(edges[a]), float(edges[b] - edges[a])) for a, b in zip(turns[::2], turns[1::2], strict=True)]
