"""Figures of folding: taken over from outputs of `flipflow fold RUN --json`, and shown as Markdown tables."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
_KEPT = ("fps", "cycles", "lut", "bram", "dsp", "finn_setfolding", "optimal")


def collect(files: Sequence[Path]) -> Result:
    """docs/results/folding.json: answers and fronts by network, the part of the file's name before the first hyphen or dot.

    Exits where a file is no such output.
    """
    answers: dict[str, Any] = {}
    fronts: dict[str, Any] = {}
    for file in files:
        name = file.name.split(".")[0].split("-")[0]
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            if "pareto" in document:
                fronts[name] = [{key: row[key] for key in _KEPT} for row in document["pareto"]]
            else:
                answers[name] = {key: document[key] for key in (*_KEPT, "seconds")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.exit(f"{file}: not the output of `flipflow fold --json` ({error!r})")
    return {"format": "flipflow-folding", "version": 1, "name": "folding", "answers": answers, "fronts": fronts}


def answers(result: Result) -> str:
    """The cheapest folding of each network, and FINN's."""
    rows = [(name, *_row(entry), _proof(entry), f"{entry['seconds']:.1f}") for name, entry in result["answers"].items()]
    return table(("network", *_HEAD, "proven", "seconds"), rows)


def front(result: Result) -> str:
    """All points of the first network's front, from fast to slow."""
    name, rows = next(iter(result["fronts"].items()))
    return (
        table(("images/s", *_HEAD[1:]), [_row(entry) for entry in rows])
        + f"\n\n{name} at 100 MHz; `flipflow fold RUN --pareto`."
    )


_HEAD = ("images/s", "cycles", "LUT4", "block RAM", "multipliers", "FINN: cycles", "LUT4", "block RAM")


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    finn = entry["finn_setfolding"]
    ours = (f"{entry['fps']:,.6g}", *(f"{entry[key]:,}" for key in ("cycles", "lut", "bram", "dsp")))
    return (*ours, *(f"{finn[key]:,}" for key in ("cycles", "lut", "bram")))


def _proof(entry: Mapping[str, Any]) -> str:
    return "yes" if entry["optimal"] else "no"


BLOCKS: Mapping[str, Callable[[Result], str]] = {"fold-answers": answers, "fold-front": front}
