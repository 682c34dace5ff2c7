"""Boards and bitstreams as Markdown tables: boards from their files, bitstreams from what `flipflow bitstream` wrote."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

Result = dict[str, Any]
_KEYS = (
    "board",
    "cpu_seconds",
    "device",
    "fmax_mhz",
    "asked_mhz",
    "clock_mhz",
    "met",
    "seed",
    "router",
    "seconds",
    "memory_bytes",
    "tools",
)


def boards() -> str:
    """The boards that nextpnr makes bitstreams for, from hw/boards/."""
    from flipflow.hw.boards import open_boards  # noqa: PLC0415

    rows = [
        (
            f"`{board.name}`",
            board.title,
            f"{board.part.lut:,}",
            f"{board.part.bram:,}",
            f"{board.clock_mhz:g}",
            f"{board.uart_rx.site} / {board.uart_tx.site}",
            board.serial,
        )
        for board in open_boards()
    ]
    head = ("`--board`", "board", "LUT4", "block RAM", "MHz", "serial in / out", "the serial link runs over")
    return table(head, rows)


def collect(runs: list[Path]) -> Result:
    """What docs/results keeps of the bitstreams of these runs. Exits where a run has none."""
    return {"format": "flipflow-bitstreams", "version": 1, "name": "bitstreams", "rows": [_row(run) for run in runs]}


def _row(run: Path) -> dict[str, Any]:
    try:
        timing = json.loads((run / "timing.json").read_text(encoding="utf-8"))
        about = json.loads((run / "accelerator.json").read_text(encoding="utf-8"))
        size = (run / timing["bitstream"]).stat().st_size
        return {
            "network": run.resolve().name,
            "cycles": about["predicted"]["ii"],
            **{key: timing[key] for key in _KEYS},
            "critical": timing["critical"]["kernel"],
            "utilisation": timing["utilisation"],
            "seeds": len(timing["seeds"]),
            "bitstream_bytes": size,
            "machine": timing["machine"],
        }
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{run}: holds no bitstream of `flipflow bitstream` ({error!r})")


def bitstreams(result: Result) -> str:
    """One row a bitstream: what is used, how fast it is, and what making it took."""
    rows = []
    for row in result["rows"]:
        used = row["utilisation"]
        rows.append(
            (
                row["network"],
                f"`{row['board']}`",
                f"{row['cycles']:,}",
                *(
                    f"{used[key]['used']:,} ({used[key]['used'] / used[key]['available']:.0%})"
                    for key in ("lut", "bram")
                ),
                f"{used['ff']['used']:,}",
                f"{row['fmax_mhz']:.1f}",
                f"{row['asked_mhz']:g}",
                f"`{row['critical']}`",
                f"{row['seconds']['total']:,.0f}",
                f"{sum(row['cpu_seconds'].values()):,.0f}",
                f"{row['memory_bytes'] / 1e9:.1f}",
                f"{row['bitstream_bytes'] / 1e3:,.0f}",
            )
        )
    head = (
        *("network", "board", "cycles an image", "LUT4", "block RAM", "flip-flops", "Fmax, MHz", "asked, MHz"),
        *("critical path in", "seconds", "CPU seconds", "memory, GB", "file, kB"),
    )
    first = result["rows"][0]
    tools = ", ".join(f"{name} {version}" for name, version in first["tools"].items())
    machine = f"{first['machine']['cpu']}, {first['machine']['cores']} cores"
    return f"{table(head, rows)}\n\n{machine}; {tools}."


BLOCKS: dict[str, Callable[[Result], str]] = {"bitstreams": bitstreams}
COMPUTED: dict[str, Callable[[], str]] = {"boards": boards}
