"""The record of area estimates against syntheses (docs/results/area.json) as a Markdown table."""

from collections.abc import Callable, Mapping
from typing import Any

from markdown_table import table

Result = dict[str, Any]


def summary(result: Result) -> str:
    """A row for each kernel and set of folds."""
    head = (
        *(
            "kernel",
            "folds",
            "set",
            "median error",
            "worst",
            f"worst of those off by more than {result['floor_luts']} LUTs",
        ),
        *("beyond 10 %", "block RAMs wrong", "multipliers wrong"),
    )
    rows = [
        (
            *(f"`{line['kernel']}`", str(line["points"]), line["set"]),
            *(
                f"{line[key]:.1f} %"
                for key in ("median_error_percent", "worst_error_percent", "worst_error_percent_above_floor")
            ),
            *(str(line[key]) for key in ("beyond_10_percent", "block_rams_wrong", "multipliers_wrong")),
        )
        for line in result["summary"]
    ]
    return f"{table(head, rows)}\n\nYosys {result['yosys']}, `{result['synthesis']}`; `{result['command']}`."


BLOCKS: Mapping[str, Callable[[Result], str]] = {"area-summary": summary}
