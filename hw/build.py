"""Stage `build`: streamlined.onnx to folded.onnx, rtl/ and accelerator.json."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw import emit
from flipflow.hw.convert import convert
from flipflow.hw.fifo_sizing import size_fifos
from flipflow.hw.folding import FoldRequest, LayerFold, fold
from flipflow.hw.graph import SINK, SOURCE, kernels_of, load_model
from flipflow.hw.stitch import stitch

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BuildReport:
    """What was built. lut, bram: estimates of the whole accelerator in LUT4s and 18-kbit block RAMs; ii, latency:
    predicted cycles.
    """

    layers: tuple[LayerFold, ...]
    ii: int
    latency: int
    lut: int
    bram: int
    clock_mhz: float

    @property
    def fps(self) -> float:
        """Frames a second at the requested clock."""
        return self.clock_mhz * 1e6 / self.ii


def build(
    streamlined: Path, run_dir: Path, request: FoldRequest, name: str | None = None, progress: Progress | None = None
) -> BuildReport:
    """Write folded.onnx, rtl/ and accelerator.json into run_dir, each whole or not at all, accelerator.json last.

    progress: called with the FIFOs whose depth is found, and all.
    Raises: FlipflowError E300 (no such file, no ONNX file), E301, E302 (see convert), and those of build_kernels.
    """
    return build_kernels(convert(load_model(streamlined)), run_dir, request, name, progress)


def build_kernels(
    model: Any, run_dir: Path, request: FoldRequest, name: str | None = None, progress: Progress | None = None
) -> BuildReport:
    """Build an unfolded kernel graph (which is folded in place).

    Raises: FlipflowError E303-E305 (see fold), E306, E321 (see size_fifos), E307 (run_dir cannot be written).
    """
    layers = fold(model, request)
    stitched = stitch(model)
    timing = size_fifos(stitched, progress)
    name = name or run_dir.resolve().name
    modules = emit.modules_of(stitched)
    texts = {**emit.sources(modules), **emit.memories(modules)}
    texts[f"{emit.TOP}.sv"] = emit.top(stitched, modules, name, timing)
    about = emit.description(stitched, name, request, timing, [f"rtl/{file}" for file in sorted(texts)])
    try:
        _write(stitched, texts, about, run_dir)
    except OSError as error:
        what, fix = f"{error.strerror or error}.", "Free some space, or choose another run directory."
        raise FlipflowError("E307", what, str(run_dir), fix) from error
    ops = kernels_of(stitched)
    area = sum(int(op.lut_estimation("")) for op in ops), sum(int(op.bram_estimation("")) for op in ops)
    return BuildReport(tuple(layers), timing.ii, timing.latency, *area, request.clock_mhz)


def _write(model: Any, texts: dict[str, str], about: dict[str, Any], run_dir: Path) -> None:
    """Write everything beside its place, then move it there; the old accelerator.json goes first, the new one comes
    last.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    for leftover in run_dir.glob(".build-*"):  # of a build that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=run_dir) as scratch:
        place = Path(scratch)
        (place / "rtl").mkdir()
        for name, text in texts.items():
            (place / "rtl" / name).write_text(text)
        model.save(str(place / "folded.onnx"))
        (place / "accelerator.json").write_text(json.dumps(about, indent=1) + "\n")
        (run_dir / "accelerator.json").unlink(missing_ok=True)
        if (run_dir / "rtl").exists():
            (run_dir / "rtl").rename(place / "old")
        for name in ("rtl", "folded.onnx", "accelerator.json"):
            (place / name).replace(run_dir / name)
        shutil.rmtree(place / "old", ignore_errors=True)


def execute_folded(model: Any, images_int: NDArray[Any]) -> NDArray[np.int64]:
    """Logits int64 [N, classes] of a kernel graph (folded or not), every op run in NumPy.

    images_int: integers [N, H, W, C] or [N, K] as the accelerator takes them, bipolar ones as -1 and +1.
    """
    tensors = {SOURCE: np.asarray(images_int)}
    constants = {item.name: model.get_initializer(item.name) for item in model.graph.initializer}
    for op in kernels_of(model):
        node = op.onnx_node
        # Every tensor has one consumer, so it is given up as soon as it is taken.
        context = {name: constants[name] if name in constants else tensors.pop(name) for name in node.input}
        op.execute_node(context, model.graph)
        tensors |= {name: context[name] for name in node.output}
    logits: NDArray[np.int64] = np.rint(tensors[SINK]).astype(np.int64)
    return logits
