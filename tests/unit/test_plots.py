"""Pictures: the right numbers in the right series. Looked at through matplotlib's objects, not through pixels."""

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from flipflow.errors import FlipflowError
from flipflow.plots import accuracies, curves
from flipflow.plots.draw import plot_run, plot_sweep
from flipflow.plots.landscape import surface_figure
from flipflow.plots.style import line_style, save
from flipflow.plots.surface import SurfaceRequest, directions, loss_at, surface
from flipflow.plots.weights import BINS, LayerWeights, weights_figure
from flipflow.sim.reporter import Reporter


def row(variant: str, mean: float, sd: float | None = None, **axes: Any) -> dict[str, Any]:
    return {"method": f"{variant} {axes}", "variant": variant, "mean": mean, "sd": sd, "seeds": [0, 1], "axes": axes}


def document(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"title": "T", "data": "digits", "rows": list(rows)}


def shown(axes: Axes, index: int) -> np.ndarray[Any, Any]:
    return np.asarray(axes.lines[index].get_ydata(), dtype=float)


def test_accuracy_against_an_axis_has_a_line_a_variant_and_bars_of_one_sd() -> None:
    rows = [
        row("AGS", 90.0, 0.5, lambda_=0.04),
        row("AGS", 80.0, 0.25, lambda_=0.0),
        row("both", 91.0, 1.0, lambda_=0.0),
        row("both", 95.0, None, lambda_=0.04),
    ]
    assert accuracies.numeric_axes(rows) == ["lambda_"]
    figure = accuracies.along_axis(document(*rows), "lambda_")
    (axes,) = figure.axes
    labels = [container.get_label() for container in axes.containers]
    assert labels == ["AGS", "both"]
    for container, mean, sd in zip(axes.containers, ([80, 90], [91, 95]), ([0.25, 0.5], [1.0, 0.0]), strict=True):
        points, _, (bars,) = container  # type: ignore[misc]
        assert np.array_equal(points.get_xdata(), [0.0, 0.04])
        assert np.array_equal(points.get_ydata(), mean)
        ends = np.asarray([segment[:, 1] for segment in bars.get_segments()])
        assert np.array_equal(ends, np.stack([np.subtract(mean, sd), np.add(mean, sd)], axis=1))
    assert axes.get_xlabel() == "lambda"
    assert "%" in axes.get_ylabel()


def test_wide_axes_are_logarithmic_and_keep_0() -> None:
    def scale(*values: float) -> str:
        rows = [row("a", 50.0, 1.0, gamma=value) for value in values]
        return accuracies.along_axis(document(*rows), "gamma").axes[0].get_xscale()

    assert scale(1e-4, 1e-3, 1e-2) == "log"
    assert scale(0.0, 1e-4, 1e-2) == "symlog"
    assert scale(1.0, 2.0, 3.0) == "linear"


def test_other_axes_make_lines_of_their_own() -> None:
    rows = [
        row("a", 10.0 * i, 1.0, lr=lr, order=order)
        for i, (lr, order) in enumerate([(1, "x"), (1, "y"), (2, "x"), (2, "y")])
    ]
    assert accuracies.numeric_axes(rows) == ["lr"]
    lines = {line.label: (line.x, line.mean) for line in accuracies.series_along(rows, "lr")}
    assert lines == {"a, order=x": ((1.0, 2.0), (0.0, 20.0)), "a, order=y": ((1.0, 2.0), (10.0, 30.0))}


def test_bars_show_every_row_with_its_sd() -> None:
    figure = accuracies.bars(document(row("vanilla", 87.0, 0.2), row("AGS", 89.5, 0.4)))
    (axes,) = figure.axes
    assert [patch.get_width() for patch in axes.patches] == [87.0, 89.5]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["vanilla {}", "AGS {}"]
    assert "1 sd" in figure.get_suptitle() and "2 seeds" in figure.get_suptitle()
    low, high = axes.get_xlim()
    assert low < 86.8 and high > 89.9


def metrics(*accuracy: float, flip: float = 0.01) -> curves.Metrics:
    layers = {
        "conv_1": {"flip_ratio": flip, "never_flipped": 0.5},
        "conv_2": {"flip_ratio": 3 * flip, "never_flipped": 0.7},
    }
    return [
        {"epoch": i + 1, "val_accuracy": value, "train_accuracy": value / 2, "layers": layers}
        for i, value in enumerate(accuracy)
    ]


def test_curves_of_a_run() -> None:
    accuracy, flips, never = curves.run_figure(metrics(0.5, 0.75), "t").axes
    assert [line.get_label() for line in accuracy.lines] == ["validation", "training"]
    assert np.array_equal(shown(accuracy, 0), [50.0, 75.0]) and np.array_equal(shown(accuracy, 1), [25.0, 37.5])
    assert [line.get_label() for line in flips.lines] == ["conv_1", "conv_2"]
    assert shown(flips, 1) == pytest.approx([3.0, 3.0]) and shown(never, 1) == pytest.approx([70.0, 70.0])
    assert flips.get_yscale() == "log"


def test_no_flips_are_no_point_on_a_logarithmic_axis() -> None:
    flips = curves.run_figure(metrics(0.5, flip=0.0), "t").axes[1]
    assert math.isnan(shown(flips, 0)[0])


def test_curves_of_a_sweep_have_means_and_bands_of_one_sd() -> None:
    groups = {"a": [metrics(0.5, 0.6), metrics(0.7, 0.6)], "b": [metrics(0.9, 0.9)]}
    accuracy, flips, never = curves.sweep_figure(groups, "t").axes
    assert shown(accuracy, 0) == pytest.approx([60.0, 60.0]) and shown(accuracy, 1) == pytest.approx([90.0, 90.0])
    (band,) = accuracy.collections  # one seed has no band
    corners = np.unique(np.round(band.get_paths()[0].vertices[:, 1], 6))
    assert corners == pytest.approx([60 - 200**0.5, 60.0, 60 + 200**0.5], abs=1e-5)
    assert shown(flips, 0) == pytest.approx([2.0, 2.0]) and shown(never, 0) == pytest.approx([60.0, 60.0])


def test_histograms_hold_all_weights_and_those_that_never_flipped() -> None:
    weights = np.linspace(-1, 1, 2001, dtype=np.float32)
    never = np.abs(weights) > 0.5
    figure = weights_figure([LayerWeights("conv_1", weights, never)], "t")
    (axes,) = figure.axes
    heights = np.asarray([patch.get_data().values for patch in axes.patches])  # type: ignore[attr-defined]
    assert heights.shape == (2, BINS)
    inside = np.abs(weights) <= np.percentile(np.abs(weights), 99.9)
    assert heights[0].sum() == inside.sum()
    assert heights[1].sum() == (inside & never).sum()
    assert heights[1][BINS // 2] == 0 < heights[0][BINS // 2]
    assert axes.get_title(loc="left") == f"conv_1\n{never.mean():.1%} never flipped"


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (5, 5), (40, 24)])
def test_many_layers_are_thinned_out(count: int, panels: int) -> None:
    layers = [LayerWeights(str(i), np.ones(4, np.float32), np.ones(4, bool)) for i in range(count)]
    shown_names = [
        axes.get_title(loc="left").split("\n")[0] for axes in weights_figure(layers, "t").axes if axes.patches
    ]
    assert len(shown_names) == panels
    assert shown_names[0] == "0" and shown_names[-1] == str(count - 1)


def test_drawing_leaves_matplotlibs_settings_alone() -> None:
    before = dict(mpl.rcParams)
    accuracies.bars(document(row("a", 1.0)))
    assert dict(mpl.rcParams) == before


def test_28_lines_look_different() -> None:
    styles = {(style["color"], style["linestyle"]) for style in map(line_style, range(28))}
    assert len(styles) == 28


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        files = save(accuracies.bars(document(row("a", 50.0, 1.0))), tmp_path / name, "bars")
        assert [file.suffix for file in files] == [".png", ".svg"]
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a/bars.{suffix}").read_bytes() == (tmp_path / f"b/bars.{suffix}").read_bytes()


class Silent:
    def message(self, text: str) -> None: ...

    def progress(self, task: str, done: float, total: float, note: str = "") -> None: ...


def test_nothing_to_draw(tmp_path: Path) -> None:
    silent: Reporter = Silent()
    with pytest.raises(FlipflowError, match="E112"):
        plot_run(tmp_path / "none", tmp_path, silent)
    with pytest.raises(FlipflowError, match="E160"):
        plot_run(tmp_path, tmp_path, silent)
    with pytest.raises(FlipflowError, match="E185"):
        plot_sweep(tmp_path, tmp_path, silent)
    with pytest.raises(FlipflowError, match="E186"):
        curves.read_metrics(tmp_path / "metrics.jsonl")
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(FlipflowError, match="E186"):
        curves.read_metrics(tmp_path / "metrics.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(FlipflowError, match=r"E186.*--out"):
        save(Figure(), tmp_path / "file", "a")


# --- the loss surface ---


class Pixels(nn.Module):
    """Four pixels to two logits, all weights in one matrix, and a bias that no direction moves."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(x.flatten(1) / 255)
        return logits


@pytest.fixture
def small() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (30, 1, 2, 2), dtype=torch.uint8)
    return Pixels(), images, torch.randint(0, 2, (30,))


def test_directions_have_each_filters_norm(small: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> None:
    model = small[0]
    drawn = directions(model, seed=1)
    assert list(drawn) == ["layer.weight"]
    first, second = drawn["layer.weight"]
    norms = model.layer.weight.detach().norm(dim=1)  # type: ignore[union-attr,operator]
    assert torch.allclose(first.norm(dim=1), norms, rtol=1e-6) and torch.allclose(second.norm(dim=1), norms, rtol=1e-6)
    assert not torch.equal(first, second)


def test_surface_is_the_loss_of_moved_weights(
    small: tuple[nn.Module, torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    model, images, labels = small
    request = SurfaceRequest(points=3, radius=0.5, seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = surface(model, images, labels, request, tmp_path / "s.npz", lambda *_: None)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    first, second = directions(model, 1)["layer.weight"]
    x = images.flatten(1).float() / 255
    for i, a in enumerate((-0.5, 0.0, 0.5)):
        for j, b in enumerate((-0.5, 0.0, 0.5)):
            logits = x @ (before["layer.weight"] + a * first + b * second).T + before["layer.bias"]
            chosen = logits[torch.arange(30), labels]
            assert losses[i, j] == pytest.approx(float((logits.exp().sum(1).log() - chosen).mean()), rel=1e-5)
    assert losses[1, 1] == loss_at(model, images, labels)


def test_surface_goes_on_where_it_was_stopped(
    small: tuple[nn.Module, torch.Tensor, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images, labels = small
    request = SurfaceRequest(points=3)
    whole = surface(model, images, labels, request, tmp_path / "whole.npz", lambda *_: None)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surface(model, images, labels, request, tmp_path / "s.npz", stop)
    calls = []
    monkeypatch.setattr("flipflow.plots.surface.loss_at", lambda *args: calls.append(1) or loss_at(*args))
    assert np.array_equal(surface(model, images, labels, request, tmp_path / "s.npz", lambda *_: None), whole)
    assert len(calls) == 3  # the last row
    assert np.array_equal(surface(model, images, labels, request, tmp_path / "s.npz", lambda *_: None), whole)
    assert len(calls) == 3  # nothing
    surface(model, images[:-1], labels[:-1], request, tmp_path / "s.npz", lambda *_: None)
    assert len(calls) == 3 + 9  # other images
    (tmp_path / "s.npz").write_bytes(b"damaged")
    assert np.array_equal(surface(model, images, labels, request, tmp_path / "s.npz", lambda *_: None), whole)


def test_surface_figure_survives_overflows() -> None:
    losses = np.asarray([[1.0, 2.0, np.inf], [1.0, 0.5, 1.0], [np.nan, 1e9, 2.0]])
    figure = surface_figure(losses, SurfaceRequest(points=3).steps(), "t")
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["a", "a, along direction 1, in filter norms"]
