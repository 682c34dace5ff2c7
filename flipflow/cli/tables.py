"""The tables at the end of a run."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show_summary(outcomes: list[dict[str, Any]], verified: dict[str, Any] | None, rates: dict[str, Any] | None) -> None:
    """Stages with their times, then every level with its mismatches, cycles and accuracy."""
    console = Console(stderr=True, highlight=False)
    if outcomes:
        console.print(_stages(outcomes))
    if verified is None:
        return
    console.print(_levels(verified))
    cycles = verified["cycles"]
    if cycles:
        console.print(_cycles(cycles, rates, "RTL"))
    netlist = verified.get("netlist")
    if netlist:
        console.print(_cycles(netlist["cycles"], rates, f"netlist ({netlist['family']})"))
    if verified["accuracy"] is not None:
        samples = next(entry["samples"] for entry in verified["levels"] if entry["level"] == "integer")
        console.print(f"accuracy {verified['accuracy']:.2%} on {samples:,} images of {verified['data']}")


def show_bench(document: dict[str, Any], with_layers: bool) -> None:
    """The CPU engines beside each other; for a run also every level's rate and the simulator's clock cycles a second."""
    from flipflow.cpu.bench.tables import show  # noqa: PLC0415 - needed by this verb only

    console = Console(stderr=True, highlight=False)
    show(document, console, with_layers)
    if "levels" in document:
        console.print(_rates(document))


def _rates(document: dict[str, Any]) -> Table:
    """Images a second at every level, and the simulator's clock cycles a second: median and spread."""
    table = Table("level", title="speed of the levels", title_justify="left")
    for name in ("images", "median", "slowest", "fastest"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for row in document["levels"]:
        rates = (row["images_per_second"], row["slowest"], row["fastest"])
        table.add_row(row["level"], f"{row['images']:,}", *(f"{rate:,.0f}" for rate in rates), "images/s")
    speed = document["verilator"]
    if speed:
        rates = (speed["cycles_per_second"], speed["slowest"], speed["fastest"])
        table.add_row("rtl", f"{speed['images']:,}", *(f"{rate / 1e6:,.2f}" for rate in rates), "M clock cycles/s")
    return table


def _stages(outcomes: list[dict[str, Any]]) -> Table:
    table = Table("stage", "result", title="stages", title_justify="left")
    table.add_column("seconds", justify="right")
    for outcome in outcomes:
        result = "unchanged, skipped" if outcome["skipped"] else "done"
        table.add_row(outcome["stage"], result, f"{outcome['seconds']:,.1f}")
    return table


def _levels(verified: dict[str, Any]) -> Table:
    table = Table("level", title="the same integers at every level", title_justify="left")
    table.add_column("images", justify="right")
    table.add_column("mismatches", justify="right")
    rows = list(verified["levels"])
    if verified["stalled"]:
        rows.append({"level": "rtl, random stalls", **verified["stalled"]})
    for row in rows:
        style = "green" if row["mismatches"] == 0 else "bold red"
        table.add_row(row["level"], f"{row['samples']:,}", f"[{style}]{row['mismatches']:,}[/]")
    return table


def _cycles(cycles: dict[str, Any], rates: dict[str, Any] | None, what: str) -> Table:
    table = Table("clock cycles", title=f"the cycle model against the {what}", title_justify="left")
    for name in ("predicted", "measured"):
        table.add_column(name, justify="right")
    if rates:
        table.add_column(f"at {rates['clock_mhz']:g} MHz", justify="right")
    ii, latency = (
        [cycles["predicted_ii"], cycles["measured_ii"]],
        [cycles["predicted_latency"], cycles["measured_latency"]],
    )
    extra_ii = [f"{rates['clock_mhz'] * 1e6 / max(ii[1], 1):,.0f} images/s"] if rates else []
    extra_latency = [f"{latency[1] / rates['clock_mhz']:,.1f} us"] if rates else []
    table.add_row("between images", *(f"{value:,}" for value in ii), *extra_ii)
    table.add_row("latency", *(f"{value:,}" for value in latency), *extra_latency)
    return table
