"""Figures of synthesis: taken over from outputs of `flipflow synth --json`, and shown as Markdown tables."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
_SIZES = {"MW": "--mw", "MH": "--mh", "PE": "--pe", "SIMD": "--simd"}
_KEPT = ("family", "total", "estimated", "synthesis")


def collect(files: Sequence[Path]) -> Result:
    """docs/results/synthesis.json: kernels on their own, and whole accelerators. Exits where a file is no such output."""
    kernels, runs = [], []
    for file in files:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            kept = {key: document[key] for key in _KEPT}
            if "run" in document:
                runs.append({"run": Path(document["run"]).name, **kept})
            else:
                extra = {key: document[key] for key in ("kernel", "attributes", "seed")}
                spent = {key: kept["synthesis"][key] for key in ("cpu_seconds", "tool")}
                per_op = document.get("lut_per_binary_op")
                kernels.append({**extra, **kept, "synthesis": spent, "lut_per_binary_op": per_op})
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.exit(f"{file}: not the output of `flipflow synth --json` ({error!r})")
    return {"format": "flipflow-synthesis", "version": 1, "name": "synthesis", "kernels": kernels, "runs": runs}


def kernels(result: Result) -> str:
    """Kernels on their own."""
    rows = [
        (
            entry["family"],
            f"`{entry['kernel']}`",
            ", ".join(f"{key} {_value(value)}" for key, value in entry["attributes"].items()),
            *_area(entry["total"]),
            "" if entry["lut_per_binary_op"] is None else f"{entry['lut_per_binary_op']:.3f}",
            f"{entry['synthesis']['cpu_seconds']:.0f}",
        )
        for entry in result["kernels"]
    ]
    head = ("family", "kernel", "attributes", "LUT", "flip-flops", "block RAM", "DSP", "LUT a binary op", "CPU s")
    return f"{table(head, rows)}\n\n{_tools(result['kernels'])}; the first is `{command(result['kernels'][0])}`."


def runs(result: Result) -> str:
    """Whole accelerators."""
    rows = [
        (
            entry["run"],
            entry["family"],
            *_area(entry["total"]),
            _percent(entry["estimated"]["lut_error_percent"]),
            f"{entry['synthesis']['cpu_seconds']:.0f}",
            f"{entry['synthesis']['memory_mb']:,.0f}",
        )
        for entry in result["runs"]
    ]
    head = ("run", "family", "LUT", "flip-flops", "block RAM", "DSP", "estimate of LUTs", "CPU s", "MB")
    return f"{table(head, rows)}\n\n{_tools(result['runs'])}; `flipflow synth runs/NAME --family FAMILY`."


def command(entry: Mapping[str, Any]) -> str:
    """What gives a kernel's figures again."""
    words = [f"flipflow synth --kernel {entry['kernel']}"]
    for key, value in entry["attributes"].items():
        words.append(f"{_SIZES[key]} {value}" if key in _SIZES else f"--attribute {key}={_value(value)}")
    return " ".join([*words, f"--seed {entry['seed']} --family {entry['family']}"])


def _area(area: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{area[key]:,}" for key in ("lut", "ff", "bram", "dsp"))


def _value(value: Any) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f} %"


def _tools(entries: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({entry["synthesis"]["tool"] for entry in entries}))


BLOCKS: Mapping[str, Callable[[Result], str]] = {"synthesised-kernels": kernels, "synthesised-runs": runs}
