"""Figures of the ARM kernels: taken over from `cpu/arm/measure.py --network --json`, and shown as Markdown tables."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
_BINARY = ("56x56x64", "28x28x128", "14x14x256", "7x7x512")
_FORMS = {"bits": "bits", "sums": "sums", "fixed8": "int8 residual and bits", "fixed16": "int16 residual and bits"}
_CORES = {"neoverse-n1": "N1", "neoverse-v1": "V1", "cortex-a76": "A76", "cortex-a55": "A55"}


def collect(file: Path) -> Result:
    """What docs/results keeps of a measurement. Exits where the file is no such document."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return {
            "format": "flipflow-arm",
            "version": 1,
            "name": "arm",
            "command": "cpu/arm/measure.py --network",
            **{key: document[key] for key in ("compiler", "counts", "loops")},
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{file}: not the output of `cpu/arm/measure.py --network --json` ({error!r})")


def _counts(result: Result) -> dict[tuple[str, str, str], float]:
    return {(row["conv"], row["form"], row["isa"]): row["instructions"] for row in result["counts"]}


def binary(result: Result) -> str:
    """Executed instructions of whole binary convolutions."""
    counts = _counts(result)
    rows = [
        (conv, _FORMS[form], *(f"{counts[conv, form, isa]:.2f}" for isa in ("neon_dot", "neon")))
        for conv in _BINARY
        for form in _FORMS
    ]
    return f"{table(('shape', 'form', '`neon_dot`', '`neon`'), rows)}\n\n`{result['command']}`, {result['compiler']}."


def integer(result: Result) -> str:
    """Executed instructions of whole integer convolutions, and of a whole network."""
    counts = _counts(result)
    convs = [conv for conv in dict.fromkeys(conv for conv, _, _ in counts) if conv not in (*_BINARY, "resnet18")]
    rows = []
    for conv in convs:
        form = next(form for at, form, _ in counts if at == conv)
        rows.append((conv, *(f"{counts[conv, form, isa]:.1f}" for isa in ("neon_dot", "neon"))))
    image = (f"{counts['resnet18', 'image', isa] / 1e6:,.1f} million" for isa in ("neon_dot", "neon"))
    return table(("convolution", "`neon_dot`", "`neon`"), [*rows, ("all of ResNet18, one image, in total", *image)])


def loops(result: Result) -> str:
    """Cycles of inner loops as llvm-mca predicts them, ours beside published ones."""
    rows = [
        (
            loop["name"],
            f"{loop['instructions']:.2f}",
            *(_cycles(loop["cycles"].get(core)) for core in _CORES),
        )
        for loop in result["loops"]
    ]
    return table(("inner loop", "instructions", *_CORES.values()), rows)


def _cycles(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


BLOCKS: dict[str, Callable[[Result], str]] = {"arm-binary": binary, "arm-integer": integer, "arm-loops": loops}
