"""Histograms of latent weights, layer by layer, and of those among them that never flipped (OvSW, Fig. 1)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from flipflow.plots.style import ALL, NEVER, TWO_COLUMNS, new_figure, styled, subplots

BINS = 61  # odd, so that one bin has its middle at 0
_COLUMNS, _MOST = 4, 24
_SHOWN = 99.9  # percent of the weights that the axis takes in; a few far ones would squeeze all others into one bin


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """Latent weights of a binary layer, float32 [n], and which of them never flipped, bool [n]."""

    name: str
    weights: npt.NDArray[np.float32]
    never_flipped: npt.NDArray[np.bool_]


def layer_weights(checkpoint: dict[str, Any]) -> list[LayerWeights]:
    """Binary layers of a checkpoint's last epoch, in order."""
    state, layers = checkpoint["trainer"]["model"], checkpoint["trainer"]["ovsw"]["layers"]
    return [
        LayerWeights(
            name, state[f"{name}.weight"].float().numpy().ravel(), np.logical_not(layer["flipped"].numpy().ravel())
        )
        for name, layer in layers.items()
    ]


@styled
def weights_figure(layers: list[LayerWeights], title: str) -> Figure:
    """One histogram a layer, on its own scale; of more than 24 layers, 24 evenly spread ones."""
    if len(layers) > _MOST:
        layers = [layers[round(index)] for index in np.linspace(0, len(layers) - 1, _MOST)]
    columns = min(_COLUMNS, len(layers))
    rows = math.ceil(len(layers) / columns)
    width = TWO_COLUMNS * columns / _COLUMNS if columns > 1 else TWO_COLUMNS / 2
    figure = new_figure(width, 0.7 + 1.7 * rows, title)
    panels = subplots(figure, rows, columns)
    for axes, layer in zip(panels, layers, strict=False):
        reach = max(float(np.percentile(np.abs(layer.weights), _SHOWN)), 1e-12)
        edges = np.linspace(-reach, reach, BINS + 1)
        shown = ("all", layer.weights, ALL), ("never flipped", layer.weights[layer.never_flipped], NEVER)
        for label, weights, colour in shown:
            # One outline each: a rectangle a bin makes pictures of deep networks slow and large.
            axes.stairs(np.histogram(weights, edges)[0], edges, fill=True, color=colour, label=label)
        axes.set_ylim(bottom=0)
        axes.set_title(f"{layer.name}\n{layer.never_flipped.mean():.1%} never flipped")
        axes.locator_params(axis="x", nbins=3, symmetric=True)
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        axes.set_xlabel("latent weight")
    for axes in panels[len(layers) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    panels[0].set_ylabel("weights a bin")
    return figure
