"""A whole benchmark: exactness first, then whole networks, layers and kernels, as one JSON-able document."""

import importlib.metadata
import os
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import flipflow
from flipflow.cpu.bench.engines import (
    choose_isas,
    clock_ghz,
    layer_times,
    our_contender,
    random_images,
    require_exact,
    save_plan,
)
from flipflow.cpu.bench.float_graph import FloatGraph, float_twin, standard_resnet
from flipflow.cpu.bench.kernels import measure_kernels, measure_peers
from flipflow.cpu.bench.networks import NETWORKS, random_residual_net
from flipflow.cpu.bench.options import BenchOptions
from flipflow.cpu.bench.paper import table4
from flipflow.cpu.bench.peers import Contender, peers
from flipflow.cpu.bench.runner import measure
from flipflow.export.integer.net import IntegerNet
from flipflow.sim.reporter import Reporter

_LAYER_CALLS = 15
_INT8 = "onnxruntime-int8"


def bench_named(name: str, options: BenchOptions, reporter: Reporter) -> dict[str, Any]:
    """Benchmark of resnet18 or resnet34 with random weights against the standard float networks of that name."""
    net = random_residual_net(name)
    return bench_net(name, net, standard_resnet(name), random_images(net, 1), options, reporter)


def bench_run(
    name: str, net: IntegerNet, images: np.ndarray, options: BenchOptions, reporter: Reporter
) -> dict[str, Any]:
    """Benchmark of a run's network against float twins of the same topology. images: integers, for the exactness check."""
    return bench_net(name, net, float_twin(net), images, options, reporter)


def bench_net(
    target: str, net: IntegerNet, graph: FloatGraph, images: np.ndarray, options: BenchOptions, reporter: Reporter
) -> dict[str, Any]:
    """The document: see docs/cpu.md for its keys. images: at least one; the first is what is timed.

    Raises: FlipflowError E550 for an instruction set that is not there, E572 where an engine is not exact.
    """
    isas = choose_isas(options.isas)
    with tempfile.TemporaryDirectory(prefix="flipflow-bench-") as folder:
        reporter.progress("bench plans", 0, 1)
        plans = {isa: save_plan(net, Path(folder), isa) for isa in isas}
        ours = {isa: our_contender(net, plan, isa, options.threads, images[:1]) for isa, plan in plans.items()}
        reporter.progress("bench plans", 1, 1, f"instruction sets: {', '.join(isas)}")
        checked = require_exact(net, {isa: engine for isa, (_, engine) in ours.items()}, images)
        reporter.progress("bench peers", 0, 1)
        contenders = [*(found for found, _ in ours.values()), *peers(graph, options.threads)]
        reporter.progress("bench peers", 1, 1, "onnxruntime fp32 and int8, torch fp32")
        rows = _with_int8(measure(contenders, options.rounds, reporter))
        best = min((row for row in rows if row["engine"] == "flipflow"), key=lambda row: float(row["ms_median"]))
        clock = statistics.median(clock_ghz() for _ in range(5))
        layers = _layers(ours[best["isa"]], images[:1], clock)
    kernel_isas = isas if options.kernels else []
    return {
        "target": target,
        "rounds": options.rounds,
        "machine": machine(),
        "tools": tools(),
        "clock_ghz": clock,
        "checked": checked,
        "rows": rows,
        "layers": layers,
        "kernels": measure_kernels(kernel_isas, options.rounds, reporter) if kernel_isas else [],
        "kernel_peers": measure_peers(options.rounds, reporter) if kernel_isas else [],
        "paper": table4(target if target in NETWORKS else None),
    }


def _with_int8(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `speedup_int8`: median over rounds of onnxruntime-int8's time over this row's."""
    baseline = next(row["ms_rounds"] for row in rows if row["engine"] == _INT8)
    return [
        row | {"speedup_int8": statistics.median(b / t for b, t in zip(baseline, row["ms_rounds"], strict=True))}
        for row in rows
    ]


def _layers(ours: tuple[Contender, Any], image: np.ndarray, clock: float) -> list[dict[str, Any]]:
    contender, engine = ours
    found = layer_times(engine, image, _LAYER_CALLS)
    total = sum(layer.ms for layer in found)
    return [
        {
            "name": layer.name,
            "kernel": layer.kernel,
            "isa": contender.isa,
            "threads": contender.threads,
            "ms": layer.ms,
            "share": layer.ms / total,
            "mac_per_cycle": layer.macs / (layer.ms * 1e6 * clock) if layer.macs else None,
            "fallback": layer.fallback,
        }
        for layer in found
    ]


def machine() -> dict[str, Any]:
    """Processor and cores of this machine, without its name."""
    return {"cpu": _cpu(), "architecture": platform.machine(), "cores": os.cpu_count() or 1}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def tools() -> dict[str, str]:
    """Versions of what was compared."""
    names = ("onnxruntime", "torch", "numpy")
    return {"flipflow": flipflow.__version__} | {name: importlib.metadata.version(name) for name in names}
