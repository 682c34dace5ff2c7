"""Accuracy and flips over the epochs, of one run (by layer) or of a sweep (mean of the seeds, with a band of one sd)."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from flipflow.errors import FlipflowError
from flipflow.plots.style import TWO_COLUMNS, line_style, new_figure, styled, subplots

Metrics = list[dict[str, Any]]
Curve = npt.NDArray[np.float64]
_LEGEND_ROWS = 14


def read_metrics(path: Path) -> Metrics:
    """Lines of metrics.jsonl, one an epoch. Raises: FlipflowError E186 where there are none."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not lines or not all({"epoch", "val_accuracy", "train_accuracy", "layers"} <= line.keys() for line in lines):
            raise ValueError("no epochs")
    except (OSError, ValueError, AttributeError) as error:
        fix = "Train first: `flipflow train CONFIG` or `flipflow sweep SWEEP`."
        raise FlipflowError("E186", f"there are no metrics of a training ({error}).", str(path), fix) from error
    return lines


@styled
def run_figure(metrics: Metrics, title: str) -> Figure:
    """Three panels: accuracy of training and validation; flip ratio and share of never flipped weights by layer."""
    figure = new_figure(TWO_COLUMNS, 2.6, title)
    accuracy, flips, never = _panels(figure)
    epochs = [line["epoch"] for line in metrics]
    for index, (key, label) in enumerate((("val_accuracy", "validation"), ("train_accuracy", "training"))):
        accuracy.plot(epochs, [100 * line[key] for line in metrics], label=label, **line_style(index))
    for index, name in enumerate(metrics[0]["layers"]):
        for axes, key in ((flips, "flip_ratio"), (never, "never_flipped")):
            values = [100 * line["layers"][name][key] for line in metrics]
            axes.plot(epochs, _positive(values) if axes is flips else values, label=name, **line_style(index))
    accuracy.legend()
    if metrics[0]["layers"]:
        columns = math.ceil(len(metrics[0]["layers"]) / _LEGEND_ROWS)
        figure.legend(*flips.get_legend_handles_labels(), loc="outside right upper", title="layer", ncols=columns)
    return figure


@styled
def sweep_figure(groups: dict[str, list[Metrics]], title: str) -> Figure:
    """The same panels with one line a row of the sweep: all layers together, mean over seeds, bands of one sd."""
    figure = new_figure(TWO_COLUMNS, 2.8, f"{title} (validation; flips: mean of the layers; bands: 1 sd of the seeds)")
    panels = _panels(figure)
    for index, (label, runs) in enumerate(groups.items()):
        curves = (_accuracy(runs), _over_layers(runs, "flip_ratio"), _over_layers(runs, "never_flipped"))
        for axes, values in zip(panels, curves, strict=True):
            _band(axes, values, label, line_style(index), log=axes is panels[1])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(groups)))
    return figure


def _panels(figure: Figure) -> list[Axes]:
    panels = subplots(figure, 1, 3)
    names = ("accuracy, %", "flips a weight and step, %", "weights that never flipped, %")
    for axes, name in zip(panels, names, strict=True):
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    panels[1].set_yscale("log")
    panels[1].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panels[1].yaxis.set_major_formatter("{x:.3g}")
    panels[1].yaxis.set_minor_formatter(NullFormatter())
    panels[2].set_ylim(0, 100)
    return panels


def _accuracy(runs: list[Metrics]) -> Curve:
    return _aligned([[100 * line["val_accuracy"] for line in run] for run in runs])


def _over_layers(runs: list[Metrics], key: str) -> Curve:
    """Mean over the layers, each counted once: their sizes are not in the metrics."""
    values = [[[layer[key] for layer in line["layers"].values()] for line in run] for run in runs]
    return _aligned([[100 * float(np.mean(line)) if line else math.nan for line in run] for run in values])


def _aligned(runs: list[list[float]]) -> Curve:
    """float64 [runs, epochs], cut to the epochs that all runs have."""
    shortest = min(len(run) for run in runs)
    return np.asarray([run[:shortest] for run in runs])


def _positive(values: list[float]) -> list[float]:
    return [value if value > 0 else math.nan for value in values]  # a logarithmic axis has no 0


def _band(axes: Axes, runs: Curve, label: str, style: dict[str, Any], log: bool) -> None:
    epochs = np.arange(1, runs.shape[1] + 1)
    mean = runs.mean(axis=0)
    axes.plot(epochs, _positive(list(mean)) if log else mean, label=label, **style)
    if len(runs) > 1:
        sd = runs.std(axis=0, ddof=1)
        low = np.maximum(mean - sd, mean / 10) if log else mean - sd
        axes.fill_between(epochs, low, mean + sd, color=style["color"], alpha=0.2, linewidth=0)
