"""`flipflow synth`: a built run, or a single kernel, to a netlist and its area."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from flipflow.cli.console import ConsoleReporter
from flipflow.cli.work import config_of, require_inputs
from flipflow.errors import FlipflowError
from flipflow.run.files import locked
from flipflow.run.runner import Context, Stage, run_stage
from flipflow.run.stages import ACCELERATOR, FOLDED, RTL

_DEFAULT_FAMILY = "ecp5"
_BINARY = "xnor_mvtu"  # the kernel whose binary operations are PE x SIMD products and as many additions a cycle


@dataclass(frozen=True)
class KernelRequest:
    """A kernel by name, its attributes by the names of its op, and the seed of its contents."""

    name: str
    attributes: dict[str, Any]
    seed: int


def synth(  # noqa: PLR0913, PLR0917 - a parameter an option
    run_dir: Annotated[Path | None, typer.Argument(help="Run directory.")] = None,
    family: Annotated[str | None, typer.Option(help="ecp5, gowin, xc7 or xcup; ecp5 by default.")] = None,
    board: Annotated[str | None, typer.Option(help="Take the family of this board.")] = None,
    kernel: Annotated[str | None, typer.Option(help="Synthesise one kernel with random contents, no run.")] = None,
    mw: Annotated[int | None, typer.Option(min=1, help="Kernel: inputs of a matrix unit.")] = None,
    mh: Annotated[int | None, typer.Option(min=1, help="Kernel: outputs of a matrix unit.")] = None,
    pe: Annotated[int | None, typer.Option(min=1, help="Kernel: outputs a cycle.")] = None,
    simd: Annotated[int | None, typer.Option(min=1, help="Kernel: inputs a cycle.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Kernel: any attribute of its op, Name=value; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Kernel: of its random contents; 0 by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Work again even where nothing changed.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Synthesise the accelerator, or a single kernel; report the area of every kernel beside its estimate."""
    sizes = {key: value for key, value in (("MW", mw), ("MH", mh), ("PE", pe), ("SIMD", simd)) if value is not None}
    if family is not None and board is not None:
        raise FlipflowError("E106", "a board has its own family.", "--family, --board", "Give one of them.")
    if (run_dir is None) == (kernel is None):
        what = "there is neither a run nor a kernel." if kernel is None else "it takes a run or a kernel, not both."
        raise FlipflowError("E106", what, "flipflow synth", "Name a run directory, or give --kernel NAME.")
    if run_dir is not None:
        if sizes or attribute or seed is not None:
            what, fix = "--mw, --mh, --pe, --simd, --attribute and --seed go with --kernel.", "Leave them away."
            raise FlipflowError("E106", what, str(run_dir), fix)
        result = synth_run(run_dir, family, board, force, as_json)
    else:
        assert kernel is not None
        if force:
            raise FlipflowError("E106", "--force goes with a run.", f"--kernel {kernel}", "Leave it away.")
        request = KernelRequest(kernel, sizes | _attributes(attribute or []), seed or 0)
        result = synth_kernel(request, family, board, as_json)
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")


def synth_run(run_dir: Path, family: str | None, board: str | None, force: bool, quiet: bool) -> dict[str, Any]:
    """Bring a run's netlist of a family up to date; the content of area.json, with the run and whether it was skipped.

    Raises: FlipflowError E112, E452 (no run, or no RTL in it), E361 (family), E360, E362, E363 (synthesis), E370, E371.
    """
    from flipflow.hw import netlist  # noqa: PLC0415
    from flipflow.hw.synth.report import AREA, save_area  # noqa: PLC0415

    config = config_of(run_dir, ())
    name = _family(family, board or (config.target.board if family is None else None))
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        stage = _stage(name)
        require_inputs(stage, config, run_dir)
        outcome = run_stage(stage, config, run_dir, reporter, force)
        place = netlist.folder(run_dir, name)
        area = json.loads((place / AREA).read_text(encoding="utf-8"))
        save_area(area, run_dir / AREA)
        if not quiet:
            show_area(area)
        reporter.message(f"{place}: netlist.v, netlist.json{' (unchanged, skipped)' if outcome.skipped else ''}")
    return {"run": str(run_dir), "skipped": outcome.skipped, **area}


def synth_kernel(request: KernelRequest, family: str | None, board: str | None, quiet: bool) -> dict[str, Any]:
    """One kernel's area, in the form of area.json; for xnor_mvtu also `lut_per_binary_op`, LUT / (2 PE SIMD).

    Raises: FlipflowError E304 (fold), E361, E364 (kernel, attribute), E360, E362, E363 (synthesis), E370, E371.
    """
    from flipflow.hw.synth.kernel import kernel_synthesis  # noqa: PLC0415
    from flipflow.hw.synth.random_kernel import random_kernel  # noqa: PLC0415
    from flipflow.hw.synth.report import kernel_document  # noqa: PLC0415

    name = _family(family, board)
    op, params = random_kernel(request.name, request.attributes, request.seed)
    with ConsoleReporter(quiet) as reporter:
        found = kernel_synthesis(
            op.rtl_module(params), name, lambda share, note: reporter.progress("synthesis", 100 * share, 100, note)
        )
        reporter.progress("synthesis", 100, 100, "done")
    document = kernel_document(op, found, name)
    document |= {"kernel": request.name, "attributes": request.attributes, "seed": request.seed}
    (row,) = document["kernels"]
    if row["kind"] == _BINARY:
        document["lut_per_binary_op"] = round(row["lut"] / (2 * row["pe"] * row["simd"]), 4)
    if not quiet:
        show_area(document)
    return document


def _family(name: str | None, board: str | None) -> str:
    """The family asked for, or a board's; ECP5 where neither is named."""
    from flipflow.hw.synth.families import family as checked  # noqa: PLC0415

    if name is not None or board is None:
        return checked(name or _DEFAULT_FAMILY).name
    from flipflow.hw.boards import find_board, flow_of, load_board  # noqa: PLC0415

    path = find_board(board)
    if flow_of(path) == "vivado":
        from flipflow.hw.vivado.board import load_vivado_board  # noqa: PLC0415

        return load_vivado_board(path).family
    return load_board(board).family


def _attributes(texts: list[str]) -> dict[str, Any]:
    """Name=value pairs: numbers, lists of numbers (16,16), or text."""
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise FlipflowError("E364", "it is not of the form Name=value.", f"--attribute {text}", "Such as Depth=64.")
        parts = value.split(",")
        try:
            numbers = [int(part) for part in parts]
        except ValueError:
            values[key] = value
        else:
            values[key] = numbers if len(numbers) > 1 else numbers[0]
    return values


def _stage(family: str) -> Stage:
    """A family's netlist as a stage. It works in place: netlists of other families stay beside it."""

    def work(context: Context) -> None:
        from flipflow.hw.synth.run import synthesise_run  # noqa: PLC0415

        def show(share: float, note: str) -> None:
            context.reporter.progress("synthesis", min(100 * share, 99.0), 100, note)

        netlist, _ = synthesise_run(context.run_dir, family, show)
        spent = f"{netlist.usage.cpu_seconds:.0f} s of CPU time, {netlist.usage.memory_mb:,.0f} MB"
        context.reporter.progress("synthesis", 100, 100, spent)

    return Stage(
        name=f"synth-{family}",
        inputs=(RTL, ACCELERATOR, FOLDED),
        outputs=(f"synth/{family}",),
        rooms=("hw.synth", "hw.kernels"),  # Yosys' commands and the estimates; the RTL itself is an input
        settings=lambda config: {"family": family},
        work=work,
        in_place=True,
    )


def show_area(area: dict[str, Any]) -> None:
    """Every kernel's LUTs and block RAMs, measured and estimated, and the totals."""
    # Narrow enough for 80 columns.
    table = Table(title=f"area, {area['family']}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("kernel", no_wrap=True)
    for name in ("PE", "SIMD", "LUT", "est.", "error", "FF", "BRAM", "est.", "DSP"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in area["kernels"]:
        error = row["lut_error_percent"]
        table.add_row(
            *(row["name"], str(row["pe"]), str(row["simd"]), f"{row['lut']:,}", f"{row['estimated_lut']:,}"),
            *("-" if error is None else f"{error:+.1f} %", f"{row['ff']:,}"),
            *(str(row["bram"]), str(row["estimated_bram"]), str(row["dsp"])),
        )
    console = Console(stderr=True, highlight=False)
    console.print(table)
    whole, spent = area["total"], area["synthesis"]
    per_op = f"; {area['lut_per_binary_op']:.3f} LUT a binary operation" if "lut_per_binary_op" in area else ""
    console.print(
        f"{whole['lut']:,} LUT, {whole['ff']:,} flip-flops, {whole['bram']} block RAMs, {whole['dsp']} DSP blocks{per_op} "
        f"(CPU time {spent['cpu_seconds']:.0f} s, {spent['memory_mb']:,.0f} MB)"
    )
