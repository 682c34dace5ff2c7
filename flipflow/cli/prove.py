"""The verb `prove`: each kernel's netlist against its RTL."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flipflow.cli.console import ConsoleReporter
from flipflow.cli.work import config_of
from flipflow.errors import Exit, FlipflowError
from flipflow.run.files import locked, write_json

_STYLES = {"proved": "green", "different": "bold red", "undecided": "yellow"}


def prove(run_dir: Path, family: str, kernels: tuple[str, ...], limit_s: float, quiet: bool) -> dict[str, Any]:
    """Prove a run's kernels, write proof.json and return its content.

    Raises: FlipflowError E452 (no accelerator), E422 (exit code 1: a kernel differs, or could not be decided), and those of
    flipflow.hw.formal.
    """
    from flipflow.hw.formal.accelerator import PROOF, prove_accelerator  # noqa: PLC0415

    config_of(run_dir, ())
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        proofs = prove_accelerator(
            run_dir, _accelerator(run_dir), family, kernels, limit_s=limit_s,
            synthesis=lambda share, note: reporter.progress(f"synthesis {family}", share, 1.0, note),
            progress=lambda done, total, name: reporter.progress("prove", done, total, name),
            found=lambda it: reporter.message(f"{it.name}: {it.proof.result} in {it.proof.seconds:,.1f} s"),
        )  # fmt: skip
        reporter.progress("prove", len(proofs), len(proofs), "")
        document = {"family": family, "limit_seconds": limit_s, "kernels": [proof.row() for proof in proofs]}
        write_json(run_dir / PROOF, document)
    if not quiet:
        _show(document)
    return document


def require_proved(document: dict[str, Any], where: Path) -> None:
    """Raise FlipflowError E422 (exit code 1) where a kernel differs or is undecided."""
    rows = document["kernels"]
    short = [f"{row['name']} {row['result']}" for row in rows if row["result"] != "proved"]
    if not short:
        return
    count = Counter(row["result"] for row in rows)
    fix = "Different: please report it, with the run. Undecided: give --limit more seconds, or rely on `verify --levels netlist`."
    what = f"{count['proved']} of {len(rows)} kernels are proven equivalent; not {', '.join(short)}."
    raise FlipflowError("E422", what, str(where), fix, Exit.CHECK_FAILED)


def _accelerator(run_dir: Path) -> dict[str, Any]:
    path = run_dir / "accelerator.json"
    if not path.is_file():
        fix = f"Run `flipflow build {run_dir}` first."
        raise FlipflowError("E452", "the run has no accelerator.json.", str(run_dir), fix)
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        fix = f"Run `flipflow build {run_dir} --force`."
        raise FlipflowError("E452", f"it is damaged ({error}).", str(path), fix) from error
    return document


def _show(document: dict[str, Any]) -> None:
    table = Table(
        "kernel", "module", "result", title=f"RTL against netlist ({document['family']})", title_justify="left"
    )
    for name in ("registers", "gates", "seconds"):
        table.add_column(name, justify="right")
    for row in document["kernels"]:
        note = "" if row["cycle"] is None else f" in cycle {row['cycle']}"
        result = f"[{_STYLES[row['result']]}]{row['result']}{note}[/]"
        table.add_row(
            row["name"], row["kind"], result, f"{row['registers']:,}", f"{row['gates']:,}", f"{row['seconds']:,.1f}"
        )
    Console(stderr=True, highlight=False).print(table)
