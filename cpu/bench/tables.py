"""What `flipflow bench` shows: tables for the terminal, one function for each."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_MEGABYTE = 1e6
_BUSY = 0.03  # share of the time that others may take before the figures are doubtful


def show(document: dict[str, Any], console: Console, with_layers: bool) -> None:
    """All tables of a benchmark's result."""
    console.print(engines(document))
    for text in warnings(document):
        console.print(text, soft_wrap=True)
    if with_layers and document["layers"]:
        console.print(layers(document))
    if document["kernels"]:
        console.print(kernels(document))
        console.print(kernel_peers(document))
    if document["paper"]:
        console.print(paper(document))
        console.print(document["paper"][0]["source"])


def engines(document: dict[str, Any]) -> Table:
    """Whole network: one row for each engine and instruction set."""
    threads = document["rows"][0]["threads"]
    table = _table(f"{document['target']}, one image, {threads} thread{'s' if threads > 1 else ''}", ("engine",))
    for name in ("ms", "spread", "x fp32", "x int8", "first ms", "file MB", "memory"):
        table.add_column(name, justify="right")
    for row in document["rows"]:
        memory = row.get("beyond_plan_bytes")
        table.add_row(
            row["engine"] if row["isa"] == "auto" else f"{row['engine']} {row['isa']}",
            milliseconds(row["ms_median"]),
            milliseconds(row["ms_spread"]),
            _times(row["speedup"]),
            _times(row["speedup_int8"]),
            milliseconds(row["first_ms"]),
            f"{row['file_bytes'] / _MEGABYTE:,.2f}",
            "" if memory is None else f"{memory / _MEGABYTE:,.2f}",
            style="bold" if row["engine"] == "flipflow" else None,
        )
    table.caption = (
        f"medians of {document['rounds']} interleaved rounds; spread: 10th to 90th percentile; "
        "first ms: first inference after load; memory: MB beyond the file"
    )
    return table


def milliseconds(value: float) -> str:
    """Three digits or more, whatever the size."""
    return f"{value:,.2f}" if value >= 1.0 else f"{value:.3f}"


def warnings(document: dict[str, Any]) -> list[str]:
    """Lines on operators that run slower than they could, on other programs, and on the exactness check."""
    lines = [
        f"[yellow]{row['isa']} is slower than it could be: {'; '.join(row['fallbacks'])}[/]"
        for row in document["rows"]
        if row.get("fallbacks")
    ]
    waited = max(row["waited"] for row in document["rows"])
    if waited > _BUSY:
        lines.append(
            f"[yellow]other programs took up to {waited:.0%} of the processor; close them and measure again[/]"
        )
    checked = document["checked"]
    return [
        *lines,
        f"logits equal to the NumPy reference on {checked['images']} image(s): {', '.join(checked['isas'])}",
    ]


def layers(document: dict[str, Any]) -> Table:
    """Operators of the fastest of our engines: time, MAC a cycle, share."""
    found = document["layers"]
    table = _table(f"layers, {found[0]['isa']}, {found[0]['threads']} thread(s)", ("layer", "kernel"))
    for name in ("us", "share", "MAC/cycle"):
        table.add_column(name, justify="right")
    for row in found:
        rate = row["mac_per_cycle"]
        table.add_row(
            row["name"], row["kernel"], f"{row['ms'] * 1e3:,.1f}", f"{row['share']:.1%}", f"{rate:,.1f}" if rate else ""
        )
    return table


def kernels(document: dict[str, Any]) -> Table:
    """Binary 3x3 convolutions against the limit of the machine, measured in the same run."""
    table = _table("binary 3x3 convolutions, one thread", ("shape", "isa", "form"))
    for name in ("ms", "MAC/cycle", "limit", "of the limit"):
        table.add_column(name, justify="right")
    for row in document["kernels"]:
        table.add_row(
            row["shape"],
            row["isa"],
            row["form"],
            milliseconds(row["ms"]),
            f"{row['mac_per_cycle']:,.1f}",
            f"{row['limit_mac_per_cycle']:,.1f}",
            f"{row['of_limit']:.1%}",
        )
    table.caption = f"clock {document['clock_ghz']:.2f} GHz, measured by a chain of dependent additions"
    return table


def kernel_peers(document: dict[str, Any]) -> Table:
    """The same convolutions in onnxruntime."""
    table = _table("the same convolutions elsewhere, one thread", ("shape", "engine"))
    for name in ("ms", "MAC/cycle"):
        table.add_column(name, justify="right")
    for row in document["kernel_peers"]:
        table.add_row(row["shape"], row["engine"], milliseconds(row["ms"]), f"{row['mac_per_cycle']:,.1f}")
    return table


def paper(document: dict[str, Any]) -> Table:
    """Published figures of the paper."""
    table = _table("published by the paper's authors, on their machine", ("network", "precision"))
    for name in ("ms", "x fp32", "file MB", "x smaller"):
        table.add_column(name, justify="right")
    for row in document["paper"]:
        size = "" if row["megabytes"] is None else f"{row['megabytes']:.2f}"
        table.add_row(
            row["network"], row["precision"], f"{row['ms']:.2f}", _times(row["speedup"]), size, _times(row["smaller"])
        )
    return table


def _table(title: str, names: tuple[str, ...]) -> Table:
    """A table of 80 columns at most."""
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.2f}x"
