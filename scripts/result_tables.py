"""Figures of runs: taken over from a run directory, and shown as Markdown tables."""

import json
import statistics
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
_SPEED = ("levels", "verilator")  # what is kept of bench.json; CPU benchmarks are collected by themselves
_PATHS = ("data.path", "export.model")  # paths of a machine, not settings


def collect(run: Path, configs: Path) -> Result:
    """What docs/results keeps of a run directory: figures, versions, command and seed, and no paths.

    Exits where the run is not finished; bench.json and metrics.jsonl may be missing.
    """
    from flipflow.run.machine import machine  # noqa: PLC0415

    needed = {name: run / name for name in ("verify.json", "manifest.json", "accelerator.json", "config.toml")}
    missing = [name for name, path in needed.items() if not path.is_file()]
    if missing:
        sys.exit(f"{run.name}: {', '.join(missing)} missing; finish the run first")
    verified, manifest, accelerator = (json.loads(path.read_text()) for path in list(needed.values())[:3])
    settings = tomllib.loads(needed["config.toml"].read_text())
    stages = manifest["stages"]
    bench = run / "bench.json"
    return {
        "format": "flipflow-result",
        "version": 1,
        "name": run.resolve().name,
        "command": _command(run.resolve().name, settings, configs),
        "seed": settings["train"]["seed"],
        "machine": machine(),
        "tools": next(iter(stages.values()))["tools"],
        "stage_seconds": {name: stage["seconds"] for name, stage in stages.items()},
        "verify": verified,
        "accelerator": {
            **{key: accelerator[key] for key in ("input", "output", "layers", "predicted", "target")},
            "fifos": len(accelerator["fifos"]),
        },
        "training": _training(run / "metrics.jsonl"),
        "bench": _speed(bench) if bench.is_file() else None,
    }


def _speed(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    return {key: document[key] for key in _SPEED}


def _command(name: str, settings: dict[str, Any], configs: Path) -> str:
    """The command that repeats the run, with the keys in which it differs from configs/NAME.toml."""
    from flipflow.config import load_config  # noqa: PLC0415
    from flipflow.run.example import is_example  # noqa: PLC0415

    model = settings.get("export", {}).get("model")
    if model is not None:
        goals = [f"--{key} {settings['fold'][key]}" for key in ("fps", "cycles") if key in settings["fold"]]
        samples = settings["verify"]["samples"]
        folder = Path(model).parent
        source = f"examples/networks/{folder.name}" if is_example(folder) else Path(model).name
        steps = (
            f"export {source} --out runs/{name}",
            " ".join([f"build runs/{name}", *goals]),
            " ".join([f"verify runs/{name}", *([f"--samples {samples}"] if samples else [])]),
        )
        return " && ".join(f"flipflow {step}" for step in steps)
    file = configs / f"{name}.toml"
    if not file.is_file():
        return f"flipflow run {name}.toml"
    plain = _flat(load_config(file).model_dump(mode="json", exclude_none=True))
    given = _flat(settings)
    changed = [f"--set {key}={json.dumps(value)}" for key, value in given.items() if plain.get(key) != value]
    return " ".join([f"flipflow run configs/{name}.toml", *(item for item in changed if not _is_path(item))])


def _is_path(item: str) -> bool:
    return any(item.startswith(f"--set {key}=") for key in _PATHS)


def _flat(document: dict[str, Any], start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= _flat(value, f"{start}{key}.") if isinstance(value, dict) else {f"{start}{key}": value}
    return found


def _training(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    epochs = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        "epochs": len(epochs),
        "hook_share": statistics.median(epoch["hook_share"] for epoch in epochs),
        "layers": epochs[-1]["layers"],
    }


def summary(result: Result) -> str:
    """Accuracy, equality, cycles and time in a few lines."""
    verified, cycles = result["verify"], result["verify"]["cycles"]
    clock = result["accelerator"]["target"]["clock_mhz"]
    wrong = sum(level["mismatches"] for level in verified["levels"])
    rows = [("command", f"`{result['command']}` (seed {result['seed']})")]
    if verified["accuracy"] is not None:
        rows.append(
            ("accuracy", f"{verified['accuracy']:.2%} on {_most(verified):,} test images of {verified['data']}")
        )
    rows.append(("mismatches", f"{wrong:,} over {len(verified['levels'])} levels"))
    if cycles:
        rate = clock * 1e6 / cycles["measured_ii"]
        for name, key in (("cycles an image", "ii"), ("latency in cycles", "latency")):
            measured, predicted = cycles[f"measured_{key}"], cycles[f"predicted_{key}"]
            rows.append((name, f"{measured:,} measured, {predicted:,} predicted"))
        rows.append((f"rate at {clock:g} MHz", f"{rate:,.0f} images/s (arithmetic; no board was used)"))
    total = sum(result["stage_seconds"].values())
    rows.append(("time", f"{total:,.0f} s ({_stage_list(result)}) on {_machine(result)}"))
    return table(("what", "result"), rows).replace("---:", "---")


def _most(verified: dict[str, Any]) -> int:
    return max(int(level["samples"]) for level in verified["levels"])


def _stage_list(result: Result) -> str:
    return ", ".join(f"{name} {seconds:,.0f}" for name, seconds in result["stage_seconds"].items())


def _machine(result: Result) -> str:
    return f"{result['machine']['cores']} cores of {result['machine']['cpu']}"


def levels(result: Result) -> str:
    """Images and mismatches of every level."""
    verified = result["verify"]
    rows = [(item["level"], f"{item['samples']:,}", f"{item['mismatches']:,}") for item in verified["levels"]]
    stalled = verified["stalled"]
    if stalled:
        name = f"rtl, {stalled['probability']:.0%} random stalls at both ends"
        rows.append((name, f"{stalled['samples']:,}", f"{stalled['mismatches']:,}"))
    return table(("level", "images", "mismatches"), rows)


def cycles(result: Result) -> str:
    """Predicted and measured cycles."""
    found = result["verify"]["cycles"]
    rows = [
        (name, f"{found[f'predicted_{key}']:,}", f"{found[f'measured_{key}']:,}")
        for name, key in (("between images", "ii"), ("latency", "latency"))
    ]
    return table(("clock cycles", "cycle model", "RTL"), rows)


def layers(result: Result) -> str:
    """Kernels with folding, cycles and estimated area."""
    rows = [
        tuple(f"{item[key]:,}" if isinstance(item[key], int) else f"`{item[key]}`" for key in _LAYER_KEYS)
        for item in result["accelerator"]["layers"]
    ]
    return table(("kernel", "op", "PE", "SIMD", "MW", "MH", "cycles", "LUT4 (estimate)", "block RAM (estimate)"), rows)


_LAYER_KEYS = ("name", "op", "pe", "simd", "mw", "mh", "cycles", "lut", "bram")


def speed(result: Result) -> str:
    """Speed of the levels in software, and of the simulator."""
    bench = result["bench"]
    if bench is None:
        return "Not measured."
    rows = [
        (item["level"], f"{item['images']:,}", f"{item['images_per_second']:,.0f}", _spread(item, 1, ",.0f"))
        for item in bench["levels"]
    ]
    text = table(("level", "images", "images/s, median", "slowest to fastest"), rows)
    simulator = bench["verilator"]
    if simulator:
        median = simulator["cycles_per_second"] / 1e6
        text += (
            f"\n\nVerilator simulates {median:,.2f} million clock cycles a second ({_spread(simulator, 1e6, ',.2f')};"
            f" {simulator['images']:,} images, {simulator['cycles']:,} cycles)."
        )
    return text + f"\n\nMeasured on {_machine(result)}. The levels are references, not fast inference."


def _spread(item: dict[str, Any], unit: float, form: str) -> str:
    return f"{item['slowest'] / unit:{form}} to {item['fastest'] / unit:{form}}"


def ovsw(result: Result) -> str:
    """What binary weights did in the last epoch, and what the hook cost."""
    training = result["training"]
    if training is None:
        return "No training in this run."
    rows = [
        (f"`{name}`", *(f"{layer[key]:.2%}" for key in ("flip_ratio", "never_flipped", "ags_rate", "silent")))
        for name, layer in training["layers"].items()
    ]
    text = table(("layer", "flip_ratio", "never_flipped", "ags_rate", "silent"), rows)
    cost = f"The hook took {training['hook_share']:.1%} of the training time (median of {training['epochs']} epochs)."
    return f"{text}\n\n{cost}"


def tools(result: Result) -> str:
    """Versions of the tools."""
    return table(("tool", "version"), [(name, version) for name, version in result["tools"].items()])


BLOCKS: dict[str, Callable[[Result], str]] = {
    "summary": summary,
    "levels": levels,
    "cycles": cycles,
    "layers": layers,
    "speed": speed,
    "ovsw": ovsw,
    "tools": tools,
}
