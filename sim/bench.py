"""Times of a run: the CPU engine beside onnxruntime and torch, every level on the same images, and the RTL simulation.

Every level answers once before anything is timed, so a file that is missing or damaged shows at once.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.config import Config, LevelName
from flipflow.cpu.bench.options import BenchOptions
from flipflow.cpu.bench.report import bench_run
from flipflow.errors import FlipflowError
from flipflow.sim.images import test_images
from flipflow.sim.levels import Network
from flipflow.sim.reporter import Reporter

_RTL_CYCLES = 3_000_000


def bench(config: Config, run_dir: Path, options: BenchOptions, reporter: Reporter) -> dict[str, Any]:
    """The CPU benchmark's document (docs/cpu.md) with `levels` and `verilator` beside it; also written to bench.json.

    levels: [{"level", "images", "images_per_second", "slowest", "fastest"}], median and spread of images/s.
    verilator: {"cycles_per_second", ...} or None where the run has no accelerator.
    Raises: FlipflowError E452 where a file of the run is missing, E550 for an instruction set that is not there, E572 where the
    engine is not exact, and the errors of the levels.
    """
    network = _open(run_dir)
    images = test_images(config, network.canonical, config.bench.images)
    values = network.canonical.accept(images.values)
    integers = network.canonical.integers(values)
    levels = _levels_of(network)
    for level in levels:
        network.run(level, values[:2])
    document = bench_run(run_dir.resolve().name, network.net, integers, options, reporter)
    document["levels"] = [_time_level(level, config.bench.repeats, network, values, reporter) for level in levels]
    document["verilator"] = None
    if (run_dir / "accelerator.json").is_file():
        document["verilator"] = _verilator(network, values, config.bench.repeats, reporter)
    temporary = run_dir / "bench.json.tmp"
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(run_dir / "bench.json")
    return document


def _open(run_dir: Path) -> Network:
    """The run's network. Raises: FlipflowError E452 where it was not exported yet."""
    for name in ("model.qonnx.onnx", "integer.json", "integer.npz"):
        if not (run_dir / name).is_file():
            fix = f"Run `flipflow export {run_dir}` first."
            raise FlipflowError("E452", f"the run has no {name}.", str(run_dir), fix)
    return Network(run_dir)


def _levels_of(network: Network) -> list[LevelName]:
    """Levels in software that the run can have: torch where it was trained here."""
    levels: list[LevelName] = ["torch"] if network.has_torch else []
    return [*levels, "qonnx", "finn", "integer", "cpu"]


def _time_level(
    level: LevelName, repeats: int, network: Network, values: np.ndarray, reporter: Reporter
) -> dict[str, Any]:
    """Images a second over `repeats` passes: {"level", "images", "images_per_second" (median), "slowest", "fastest"}."""
    rates = []
    for repeat in range(repeats):
        reporter.progress(f"bench {level}", repeat, repeats)
        started = time.perf_counter()
        network.run(level, values)
        rates.append(len(values) / (time.perf_counter() - started))
    speed = statistics.median(rates)
    reporter.progress(f"bench {level}", repeats, repeats, f"{speed:,.0f} images/s")
    return {
        "level": level,
        "images": len(values),
        "images_per_second": speed,
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
