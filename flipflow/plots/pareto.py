"""What a network's foldings cost against how fast they are."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from flipflow.plots.style import COLOURS, TWO_COLUMNS, new_figure, styled, subplots


@dataclass(frozen=True)
class Point:
    """A folding: frames a second, LUT4s, 18-kbit block RAMs."""

    fps: float
    lut: int
    bram: int


@styled
def pareto_figure(front: Sequence[Point], finn: Sequence[Point], title: str) -> Figure:
    """LUTs (left) and block RAMs (right) over the rate; between two rates, what the faster costs. FINN's SetFolding beside."""
    figure = new_figure(TWO_COLUMNS, 2.6, title)
    for axes, key, label in zip(subplots(figure, 1, 2), ("lut", "bram"), ("LUT4s", "18-kbit block RAMs"), strict=True):
        for points, colour, marker, name in (
            (front, COLOURS[0], "o", "Pareto front"),
            (finn, COLOURS[1], "s", "FINN's SetFolding"),
        ):
            ordered = sorted(points, key=lambda point: point.fps)
            values = [point.fps for point in ordered], [getattr(point, key) for point in ordered]
            axes.plot(*values, marker=marker, color=colour, label=name, drawstyle="steps-pre")
        axes.set_xscale("log")
        axes.set_xlabel("frames a second")
        axes.set_title(label)
        if key == "lut":
            axes.set_yscale("log")
            axes.legend()
        else:
            axes.set_ylim(bottom=0)
    return figure
