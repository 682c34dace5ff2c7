"""Which pictures a run and a sweep give."""

import time
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.plots import accuracies, curves
from flipflow.plots.style import save
from flipflow.run.stages import ACCELERATOR, CHECKPOINT, METRICS
from flipflow.sim.reporter import Reporter


def plot_run(run_dir: Path, out: Path, reporter: Reporter) -> list[Path]:
    """weights (OvSW, Fig. 1), curves, and the accelerator's pipeline where there is one, as .png and .svg in `out`.

    A run of a QONNX file has an accelerator only.
    Raises: FlipflowError E112 (no run or sweep), E160 to E162 (checkpoint), E186 (no metrics, or `out` cannot be written),
    E406 (accelerator.json).
    """
    from flipflow.plots.weights import layer_weights, weights_figure  # noqa: PLC0415
    from flipflow.train.checkpoint import load  # noqa: PLC0415 - torch only where it is needed

    if not run_dir.is_dir():
        fix = "Name a run directory, or the folder of a sweep (it holds a results.json)."
        raise FlipflowError("E112", "there is no such folder.", str(run_dir), fix)
    pipeline = plot_pipeline(run_dir, out) if (run_dir / ACCELERATOR).is_file() else []
    if pipeline and not (run_dir / CHECKPOINT).is_file():
        return pipeline
    checkpoint = load(run_dir / CHECKPOINT)
    title = _title(checkpoint)
    reporter.progress("plot", 0, 2, "weights")
    layers = layer_weights(checkpoint)
    files = save(weights_figure(layers, title), out, "weights") if layers else []
    reporter.progress("plot", 1, 2, "curves")
    files += save(curves.run_figure(curves.read_metrics(run_dir / METRICS), title), out, "curves")
    reporter.progress("plot", 2, 2)
    return files + pipeline


def plot_pipeline(run_dir: Path, out: Path) -> list[Path]:
    """pipeline: when the kernels of the run's accelerator work and when they are held up, by the cycle model."""
    from flipflow.plots.pipeline import pipeline_figure, pipeline_timeline  # noqa: PLC0415

    times = pipeline_timeline(run_dir / ACCELERATOR)
    return save(pipeline_figure(times, f"{run_dir.resolve().name}: the first frames"), out, "pipeline")


def plot_surface(run_dir: Path, out: Path, points: int, radius: float, images: int, reporter: Reporter) -> list[Path]:
    """surface (OvSW, Fig. 4) of the run's best weights over its first `images` training images."""
    import torch  # noqa: PLC0415

    from flipflow.config import DataConfig  # noqa: PLC0415
    from flipflow.plots.landscape import surface_figure  # noqa: PLC0415
    from flipflow.plots.surface import SurfaceRequest, surface  # noqa: PLC0415
    from flipflow.train.checkpoint import load  # noqa: PLC0415
    from flipflow.train.data import load_dataset  # noqa: PLC0415
    from flipflow.train.loop import load_model  # noqa: PLC0415

    checkpoint = load(run_dir / CHECKPOINT)
    data = load_dataset(DataConfig.model_validate(checkpoint["config"]["data"]))
    pictures = torch.from_numpy(data.train_images[:images])
    labels = torch.from_numpy(data.train_labels[:images])
    request = SurfaceRequest(points, radius)
    start, first = time.monotonic(), [-1]

    def show(done: int, total: int) -> None:
        first[0] = done if first[0] < 0 else first[0]
        new = done - first[0]
        left = f"about {(time.monotonic() - start) / new * (total - done):.0f} s left" if new and done < total else ""
        reporter.progress("loss surface", done, total, left)

    losses = surface(load_model(run_dir / CHECKPOINT), pictures, labels, request, out / "surface.npz", show)
    title = f"{_title(checkpoint)}; loss of {len(labels):,} training images"
    return save(surface_figure(losses, request.steps(), title), out, "surface")


def plot_sweep(folder: Path, out: Path, reporter: Reporter) -> list[Path]:
    """accuracy-KEY for each numeric axis (OvSW, Fig. 3), accuracy (bars), and curves.

    Raises: FlipflowError E185 (results.json), E186 (nothing finished, or `out` cannot be written).
    """
    from flipflow.sweep.results import read_results  # noqa: PLC0415

    document = read_results(folder)
    rows = document["rows"]
    if not rows:
        raise FlipflowError("E186", "no cell is finished.", str(folder), "Run `flipflow sweep` to its end first.")
    reporter.progress("plot", 0, 2, "accuracies")
    files = save(accuracies.bars(document), out, "accuracy")
    for key in accuracies.numeric_axes(rows):
        files += save(accuracies.along_axis(document, key), out, f"accuracy-{key.rstrip('_')}")
    reporter.progress("plot", 1, 2, "curves")
    groups = {row["method"]: [curves.read_metrics(folder / run / METRICS) for run in row["runs"]] for row in rows}
    files += save(curves.sweep_figure(groups, document["title"]), out, "curves")
    reporter.progress("plot", 2, 2)
    return files


def _title(checkpoint: dict[str, Any]) -> str:
    from flipflow.results.method import method_name, network_name  # noqa: PLC0415

    config = checkpoint["config"]
    epoch, data = checkpoint["trainer"]["epoch"], config["data"]["dataset"]
    return f"{network_name(config)}, {method_name(config)}, {data}, {epoch} epochs, seed {config['train']['seed']}"
