"""A loss surface as a relief and as a map."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D

from flipflow.plots.style import TWO_COLUMNS, new_figure, styled

_MAP = "viridis"
_CUT = 4.0  # the colours and the relief end at this multiple of the middle loss: one far corner would flatten all else


@styled
def surface_figure(losses: npt.NDArray[np.float64], steps: npt.NDArray[np.float64], title: str) -> Figure:
    """losses [points, points] over `steps` along both directions."""
    finite = losses[np.isfinite(losses)]
    top = min(float(finite.max()), _CUT * float(np.median(finite)))
    shown = np.clip(np.nan_to_num(losses, nan=top, posinf=top), None, top)
    levels = np.linspace(float(finite.min()), max(top, float(finite.min()) + 1e-9), 15)
    b, a = np.meshgrid(steps, steps)
    figure = new_figure(TWO_COLUMNS, 3.2, title)
    relief = figure.add_subplot(1, 2, 1, projection="3d")
    assert isinstance(relief, Axes3D)
    relief.plot_surface(a, b, shown, cmap=_MAP, vmin=levels[0], vmax=levels[-1], linewidth=0, rcount=60, ccount=60)
    relief.set_box_aspect((1, 1, 0.7), zoom=0.85)
    relief.tick_params(labelsize=6, pad=0)
    relief.locator_params(nbins=5)
    for name, set_label in (("a", relief.set_xlabel), ("b", relief.set_ylabel), ("loss", relief.set_zlabel)):
        set_label(name, labelpad=-3)
    plan = figure.add_subplot(1, 2, 2)
    filled = plan.contourf(a, b, shown, levels=levels, cmap=_MAP)
    plan.contour(a, b, shown, levels=levels, colors="white", linewidths=0.4)
    plan.plot(0, 0, "+", color="#D55E00", markersize=8)
    plan.set_aspect("equal")
    plan.locator_params(nbins=5)
    plan.set_xlabel("a, along direction 1, in filter norms")
    plan.set_ylabel("b, along direction 2, in filter norms")
    plan.set_title("+ marks the trained weights")
    bar = figure.colorbar(filled, ax=plan, label="loss", shrink=0.9, format="{x:.2g}")
    bar.ax.tick_params(labelsize=7)
    return figure
