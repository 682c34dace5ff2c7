"""Times of every level on the same images, and the speed of the RTL simulation."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.config import Config, LevelName
from flipflow.sim.images import test_images
from flipflow.sim.levels import Network
from flipflow.sim.reporter import Reporter

_RTL_CYCLES = 3_000_000


def bench(config: Config, run_dir: Path, reporter: Reporter) -> dict[str, Any]:
    """Median and spread of images/s for each level, cycles/s of Verilator; also written to bench.json.

    Returns {"rows": [{"level", "images", "images_per_second", "slowest", "fastest"}], "verilator": {"cycles_per_second", ...}}.
    """
    network = Network(run_dir)
    images = test_images(config, network.canonical, config.bench.images)
    values = network.canonical.accept(images.values)
    levels: list[LevelName] = ["qonnx", "finn", "integer"]
    if network.has_torch:
        levels.insert(0, "torch")
    rows = []
    for level in levels:
        network.run(level, values[:2])
        rates = []
        for repeat in range(config.bench.repeats):
            reporter.progress(f"bench {level}", repeat, config.bench.repeats)
            started = time.perf_counter()
            network.run(level, values)
            rates.append(len(values) / (time.perf_counter() - started))
        rows.append(_row(level, len(values), rates))
        reporter.progress(
            f"bench {level}",
            config.bench.repeats,
            config.bench.repeats,
            f"{rows[-1]['images_per_second']:,.0f} images/s",
        )
    document: dict[str, Any] = {"rows": rows, "verilator": None}
    if (run_dir / "accelerator.json").is_file():
        document["verilator"] = _verilator(network, values, config.bench.repeats, reporter)
    temporary = run_dir / "bench.json.tmp"
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(run_dir / "bench.json")
    return document


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
