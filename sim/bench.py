"""Times of a run: the CPU engine beside onnxruntime and torch, every level on the same images, and the RTL simulation."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.config import Config, LevelName
from flipflow.cpu.bench.options import BenchOptions
from flipflow.cpu.bench.report import bench_run
from flipflow.sim.images import test_images
from flipflow.sim.levels import Network
from flipflow.sim.reporter import Reporter

_RTL_CYCLES = 3_000_000


def bench(config: Config, run_dir: Path, options: BenchOptions, reporter: Reporter) -> dict[str, Any]:
    """The CPU benchmark's document (docs/cpu.md) with `levels` and `verilator` beside it; also written to bench.json.

    levels: [{"level", "images", "images_per_second", "slowest", "fastest"}], median and spread of images/s.
    verilator: {"cycles_per_second", ...} or None where the run has no accelerator.
    Raises: FlipflowError E550 for an instruction set that is not there, E572 where the engine is not exact.
    """
    network = Network(run_dir)
    images = test_images(config, network.canonical, config.bench.images)
    values = network.canonical.accept(images.values)
    integers = network.canonical.integers(values)
    document = bench_run(run_dir.resolve().name, network.net, integers, options, reporter)
    document["levels"] = _levels(config, network, values, reporter)
    document["verilator"] = None
    if (run_dir / "accelerator.json").is_file():
        document["verilator"] = _verilator(network, values, config.bench.repeats, reporter)
    temporary = run_dir / "bench.json.tmp"
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(run_dir / "bench.json")
    return document


def _levels(config: Config, network: Network, values: np.ndarray, reporter: Reporter) -> list[dict[str, Any]]:
    levels: list[LevelName] = ["qonnx", "finn", "integer"]
    if network.has_torch:
        levels.insert(0, "torch")
    rows = []
    repeats = config.bench.repeats
    for level in levels:
        network.run(level, values[:2])
        rates = []
        for repeat in range(repeats):
            reporter.progress(f"bench {level}", repeat, repeats)
            started = time.perf_counter()
            network.run(level, values)
            rates.append(len(values) / (time.perf_counter() - started))
        rows.append(_row(level, len(values), rates))
        reporter.progress(f"bench {level}", repeats, repeats, f"{rows[-1]['images_per_second']:,.0f} images/s")
    return rows


def _row(level: str, images: int, rates: list[float]) -> dict[str, Any]:
    return {
        "level": level,
        "images": images,
        "images_per_second": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
    }


def _verilator(network: Network, values: np.ndarray, repeats: int, reporter: Reporter) -> dict[str, Any]:
    """Enough images that the simulation runs for a few million cycles."""
    predicted = network.accelerator()["predicted"]
    count = max(4, min(len(values) * 100, _RTL_CYCLES // max(1, predicted["ii"])))
    fed = np.resize(values, (count, *values.shape[1:]))
    results = []
    for repeat in range(repeats):
        reporter.progress("bench rtl", repeat, repeats)
        results.append(network.run("rtl", fed).details)
    speed = statistics.median(result.cycles_per_second for result in results)
    reporter.progress("bench rtl", repeats, repeats, f"{speed / 1e6:,.2f} M cycles/s")
    return {
        "cycles_per_second": speed,
        "slowest": min(result.cycles_per_second for result in results),
        "fastest": max(result.cycles_per_second for result in results),
        "cycles": results[0].cycles,
        "images": count,
    }
