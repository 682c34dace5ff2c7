"""Figures of CPU benchmarks: taken over from `flipflow bench TARGET --json`, and shown as Markdown tables."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
_KEYS = (
    "target",
    "rounds",
    "machine",
    "tools",
    "clock_ghz",
    "checked",
    "rows",
    "layers",
    "kernels",
    "kernel_peers",
    "paper",
)


def collect(file: Path) -> Result:
    """What docs/results keeps of a benchmark: all but the single rounds. Exits where the file is no such document."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        kept = {key: document[key] for key in _KEYS}
        rows = [{key: value for key, value in row.items() if key != "ms_rounds"} for row in kept["rows"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"{file}: not the output of `flipflow bench TARGET --json` ({error!r})")
    threads = rows[0]["threads"]
    options = [f"--rounds {kept['rounds']}", *([f"--threads {threads}"] if threads > 1 else [])]
    return {
        "format": "flipflow-bench",
        "version": 1,
        "name": f"cpu-{kept['target']}{f'-{threads}-threads' if threads > 1 else ''}",
        "command": " ".join(["flipflow bench", shlex.quote(kept["target"]), *options]),
        **kept,
        "rows": rows,
    }


def engines(result: Result) -> str:
    """Whole network, every engine."""
    rows = [
        (
            row["engine"],
            "" if row["isa"] == "auto" else f"`{row['isa']}`",
            str(row["threads"]),
            _ms(row["ms_median"]),
            f"{_ms(row['ms_p10'])} to {_ms(row['ms_p90'])}",
            f"{row['speedup']:,.2f}",
            f"{row['speedup_int8']:,.2f}",
            _ms(row["first_ms"]),
            f"{row['file_bytes'] / 1e6:,.2f}",
        )
        for row in result["rows"]
    ]
    head = ("engine", "isa", "threads", "ms", "10 % to 90 %", "x fp32", "x int8", "first ms", "file MB")
    text = table(head, rows)
    tools = ", ".join(f"{name} {version}" for name, version in result["tools"].items())
    return (
        f"{text}\n\n`{result['command']}` on {_machine(result)}, at {result['clock_ghz']:.2f} GHz; {tools}. The engine's logits "
        f"were equal to the NumPy reference's before anything was timed."
    )


def layers(result: Result) -> str:
    """Every operator of the fastest of our engines."""
    rows = [
        (
            f"`{row['name']}`",
            row["kernel"],
            f"{row['ms'] * 1e3:,.1f}",
            f"{row['share']:.1%}",
            f"{row['mac_per_cycle']:,.1f}" if row["mac_per_cycle"] else "",
        )
        for row in result["layers"]
    ]
    return table(("layer", "kernel", "us", "share", "MAC a cycle"), rows)


def kernels(result: Result) -> str:
    """Binary convolutions against the machine's limit."""
    rows = [
        (
            row["shape"],
            f"`{row['isa']}`",
            row["form"],
            f"{row['ms']:.3f}",
            f"{row['mac_per_cycle']:,.1f}",
            f"{row['limit_mac_per_cycle']:,.1f}",
            f"{row['of_limit']:.1%}",
        )
        for row in result["kernels"]
    ]
    return table(("shape", "isa", "form", "ms", "MAC a cycle", "limit", "share of the limit"), rows)


def kernel_peers(result: Result) -> str:
    """The same convolutions in onnxruntime."""
    rows = [
        (row["shape"], row["engine"], f"{row['ms']:.3f}", f"{row['mac_per_cycle']:,.1f}")
        for row in result["kernel_peers"]
    ]
    return table(("shape", "engine", "ms", "MAC a cycle"), rows)


def paper(result: Result) -> str:
    """Published figures."""
    rows = [
        (
            row["network"],
            row["precision"],
            f"{row['ms']:.2f}",
            f"{row['speedup']:.2f}",
            "" if row["megabytes"] is None else f"{row['megabytes']:.2f}",
            "" if row["smaller"] is None else f"{row['smaller']:.2f}",
        )
        for row in result["paper"]
    ]
    text = table(("network", "precision", "ms", "x fp32", "file MB", "x smaller"), rows)
    return f"{text}\n\n{result['paper'][0]['source']}." if rows else "No published figures."


def _ms(value: float) -> str:
    return f"{value:,.2f}" if value >= 1.0 else f"{value:.3f}"


def _machine(result: Result) -> str:
    machine = result["machine"]
    return f"{machine['cpu']} ({machine['cores']} cores)"


BLOCKS: dict[str, Callable[[Result], str]] = {
    "engines": engines,
    "engine-layers": layers,
    "kernels": kernels,
    "kernel-peers": kernel_peers,
    "paper": paper,
}
