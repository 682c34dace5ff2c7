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
    """Prove a run's kernels, add each proof to proof.json as it is found, and return its content, of `kernels` alone if given.

    kernels: names; if empty, all that are not proven yet for the present netlist.
    Raises: FlipflowError E452 (no accelerator), and those of flipflow.hw.formal.
    """
    from flipflow.hw.formal.accelerator import PROOF, KernelProof, prove_accelerator  # noqa: PLC0415
    from flipflow.hw.netlist import made_of  # noqa: PLC0415

    config_of(run_dir, ())
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        accel = _accelerator(run_dir)
        netlist = {"family": family, "made_of": made_of(run_dir, accel, family)}
        rows = _known(run_dir / PROOF, netlist)

        def add(item: KernelProof) -> None:
            rows[item.name] = {**item.row(), "limit_seconds": limit_s}
            write_json(run_dir / PROOF, {**netlist, "kernels": list(rows.values())})
            reporter.message(f"{item.name}: {item.proof.result} in {item.proof.seconds:,.1f} s")

        proven = [name for name, row in rows.items() if row["result"] == "proved"]
        names = list(kernels) or [name for name in _names(accel) if name not in proven]
        if proven and not kernels:
            reporter.message(f"{len(proven)} kernels are proven already")
        if names:
            prove_accelerator(
                run_dir, accel, family, names, limit_s=limit_s,
                synthesis=lambda share, note: reporter.progress(f"synthesis {family}", share, 1.0, note),
                progress=lambda done, total, name: reporter.progress("prove", done, total, name),
                found=add,
            )  # fmt: skip
        reporter.progress("prove", len(names), len(names), "")
    document = {**netlist, "kernels": [rows[name] for name in kernels] if kernels else list(rows.values())}
    if not quiet:
        _show(document)
    return document


def _names(accel: dict[str, Any]) -> list[str]:
    return [str(kernel["name"]) for kernel in accel["pipeline"]]


def _known(path: Path, netlist: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Rows of an earlier proof.json, by kernel; none where it is of another netlist, or no proof.json that can be read."""
    try:
        document = json.loads(path.read_text())
        if {key: document[key] for key in netlist} != netlist:
            return {}
        return {row["name"]: row for row in document["kernels"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


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
