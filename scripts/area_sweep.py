"""Area estimates against synthesis: every kernel over a sweep of folds, written to docs/results/area.json.

    python scripts/area_sweep.py [--kernel fifo ...] [--family ecp5]

Synthesises what is not in the cache of flipflow.sim.cache yet, many kernels in one run of Yosys, so that it can be stopped and
started again. Points of the set "fit" were looked at when the estimates' constants were chosen, those of "check" were not.
Weights and thresholds are random, from seeds named after the point.
"""

import argparse
import importlib.metadata
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from area_points import POINTS, Point, build

import flipflow.hw
from flipflow.hw.emit import memories, sources
from flipflow.hw.kernels.base import Bits, KernelOp, RtlModule
from flipflow.hw.synth.families import family
from flipflow.hw.synth.yosys import synthesise
from flipflow.sim import cache
from flipflow.sim.kernel_bench import Instance, top_source

RESULT = Path(__file__).parents[1] / "docs" / "results" / "area.json"
RTL = Path(flipflow.hw.__file__).parent / "rtl"
BATCH = 16
# An error of this many LUTs is none: rounding, below 40 LUTs.
FLOOR_LUTS = 4
_FLAGS = {"argmax": ("out_last_o",)}
_STATUS = {"fifo": ("full_o", "empty_o")}


@dataclass(frozen=True)
class Task:
    """A point with its op and RTL instance, and the key of its synthesis."""

    point: Point
    op: KernelOp
    module: RtlModule
    key: str


def task(point: Point, target: str) -> Task:
    """What a point's synthesis takes; its key covers all that the result depends on."""
    op, params = build(point)
    module = op.rtl_module(params)
    texts = {**sources([module]), **memories([module])}
    values = repr(sorted((name, repr(value)) for name, value in module.parameters.items()))
    recipe = [
        importlib.metadata.version("pyosys"),
        family(target).command,
        repr(family(target).cells),
        module.name,
        values,
    ]
    return Task(point, op, module, cache.digest([*recipe, *(part for pair in sorted(texts.items()) for part in pair)]))


def instance(item: Task, name: str) -> Instance:
    """The kernel as the generated top holds it."""
    flags = _FLAGS.get(item.module.name, ())
    params = {key: value.value if isinstance(value, Bits) else value for key, value in item.module.parameters.items()}
    widths = tuple(stream.width for stream in item.op.in_streams())
    return Instance(
        name, item.module.name, params, sum(widths), item.op.out_stream().width - len(flags), flags,
        _STATUS.get(item.module.name, ()), streams=widths if len(widths) > 1 else (), outs=len(item.op.out_streams()),
    )  # fmt: skip


def cached(item: Task) -> Path:
    """File of a point's measured area."""
    return cache.root() / "area" / f"{item.key}.json"


def measure(items: Sequence[Task], target: str) -> None:
    """Synthesise kernels side by side, their borders kept, and put each one's area into the cache."""
    with tempfile.TemporaryDirectory(prefix="flipflow-area-") as scratch:
        place = Path(scratch)
        for item in items:
            for name, text in memories([item.module]).items():
                (place / name).write_text(text)
        top = place / "kernel_bench.sv"
        top.write_text(top_source([instance(item, item.point.name) for item in items]))
        netlist = synthesise(
            [*sorted(RTL.glob("*.sv")), top], "kernel_bench", target, place / "out", memories=place, flatten=False
        )
    for index, item in enumerate(items):
        path = cached(item)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(netlist.areas[f"u_{index}"].as_dict()))


def record(item: Task, target: str) -> dict[str, Any]:
    """A point's row in the result."""
    measured = json.loads(cached(item).read_text())
    lut, bram = int(item.op.lut_estimation(target)), int(item.op.bram_estimation(target))
    return {
        "kernel": item.module.name, "point": item.point.name, "fold": dict(item.point.fold), "family": target,
        "set": item.point.subset, "lut": measured["lut"], "bram": measured["bram"], "ff": measured["ff"],
        "dsp": measured["dsp"], "estimated_lut": lut, "estimated_bram": bram,
        "estimated_dsp": int(item.op.dsp_estimation(target)),
        "lut_error_percent": round(100 * (lut - measured["lut"]) / max(1, measured["lut"]), 1),
    }  # fmt: skip


def summary(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each kernel and set: points, worst error in percent with and without the floor, points out of 10 %."""
    for kernel in sorted({item["kernel"] for item in records}):
        for subset in ("fit", "check"):
            part = [item for item in records if item["kernel"] == kernel and item["set"] == subset]
            if not part:
                continue
            errors = [abs(item["lut_error_percent"]) for item in part]
            off = [abs(item["estimated_lut"] - item["lut"]) for item in part]
            counted = [error for error, luts in zip(errors, off, strict=True) if luts > FLOOR_LUTS]
            yield {
                "kernel": kernel, "set": subset, "points": len(part),
                "median_error_percent": round(float(np.median(errors)), 1), "worst_error_percent": max(errors),
                "worst_error_percent_above_floor": max(counted, default=0.0),
                "beyond_10_percent": sum(error > 10 for error in counted),
                "block_rams_wrong": sum(
                    abs(item["estimated_bram"] - item["bram"]) > 0.1 * item["bram"] for item in part
                ),
                "multipliers_wrong": sum(item["estimated_dsp"] != item["dsp"] for item in part),
            }  # fmt: skip


def main() -> None:
    """Synthesise what is missing, then write all that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", nargs="*", help="RTL modules to synthesise; others are taken from the cache alone")
    parser.add_argument("--family", default="ecp5")
    options = parser.parse_args()
    tasks = [task(point, options.family) for point in POINTS]
    missing = [item for item in tasks if not cached(item).exists()]
    missing = [item for item in missing if not options.kernel or item.module.name in options.kernel]
    for first in range(0, len(missing), BATCH):
        measure(missing[first : first + BATCH], options.family)
        print(f"{min(first + BATCH, len(missing))} of {len(missing)} synthesised", flush=True)
    records = [record(item, options.family) for item in tasks if cached(item).exists()]
    about = {
        "format": "flipflow-area", "version": 1,
        "command": "python scripts/area_sweep.py", "yosys": importlib.metadata.version("pyosys"),
        "synthesis": family(options.family).command, "floor_luts": FLOOR_LUTS,
        "summary": list(summary(records)), "points": records,
    }  # fmt: skip
    RESULT.write_text(json.dumps(about, indent=1) + "\n")
    for line in about["summary"]:
        print(line)


if __name__ == "__main__":
    main()
