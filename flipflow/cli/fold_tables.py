"""What `flipflow fold` shows a person."""

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flipflow.cli.console import ConsoleReporter

if TYPE_CHECKING:
    from flipflow.hw.fold_solve import Answer

_MEMORIES = {"weight_memory": "weights", "threshold_memory": "thresholds"}
_PLACES = {"block": "block RAM", "lut": "LUTs"}


def show_answer(reporter: ConsoleReporter, answer: "Answer", document: dict[str, Any]) -> None:
    """The layers' foldings, the whole accelerator, and FINN's beside it."""
    table = Table(title="folding", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True)
    for name in ("PE", "SIMD", "cycles", "LUT4", "BRAM", "DSP"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("moved from the rule's memory")
    for layer in answer.layers:
        moved = [
            f"{_MEMORIES[key]} in {_PLACES[str(layer.knobs[key])]}"
            for key in _MEMORIES
            if layer.knobs.get(key, "auto") != "auto"
        ]
        cost = (f"{layer.cost.lut:,}", f"{layer.cost.bram:,}", f"{layer.cost.dsp:,}")
        table.add_row(layer.name, f"{layer.pe:,}", f"{layer.simd:,}", f"{layer.cycles:,}", *cost, ", ".join(moved))
    rest = (
        getattr(answer.cost, key) - sum(getattr(layer.cost, key) for layer in answer.layers)
        for key in ("lut", "bram", "dsp")
    )
    table.add_row("FIFOs, width converters", "", "", "", *(f"{value:,}" for value in rest), "")
    reporter.console.print(table)
    finn = document["finn_setfolding"]
    proof = "proven optimal" if answer.optimal else "the best found in the time; not proven optimal"
    reporter.message(
        f"{document['fps']:,.6g} images/s ({answer.cycles:,} cycles an image): {answer.cost.lut:,} LUT4, {answer.cost.bram:,} "
        f"block RAMs, {answer.cost.dsp:,} multipliers; {proof}"
    )
    reporter.message(
        f"FINN's SetFolding, on the same kernels: {finn['cycles']:,} cycles an image, {finn['lut']:,} LUT4, {finn['bram']:,} "
        "block RAMs"
    )


def show_front(reporter: ConsoleReporter, rows: list[dict[str, Any]]) -> None:
    """The points of the front, from fast to slow, and FINN's SetFolding at the same pace."""
    table = Table(title="Pareto front", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("images/s", "cycles", "LUT4", "BRAM", "DSP", "FINN: cycles", "LUT4", "BRAM"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        finn = row["finn_setfolding"]
        ours = (f"{row['fps']:,.6g}", *(f"{row[key]:,}" for key in ("cycles", "lut", "bram", "dsp")))
        table.add_row(*ours, *(f"{finn[key]:,}" for key in ("cycles", "lut", "bram")))
    reporter.console.print(table)
