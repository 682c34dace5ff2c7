"""Verbs of the command line, and what becomes of errors."""

import json
import signal
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from flipflow import __version__
from flipflow.cli import sweeps, work
from flipflow.cli.console import show_error
from flipflow.cli.fold import fold
from flipflow.cli.host import host
from flipflow.cli.synth import synth
from flipflow.errors import Exit, FlipflowError

app = typer.Typer(
    name="flipflow",
    help="Binary neural networks from training to a bit-exact FPGA accelerator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130

SetOption = Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")]
RunArgument = Annotated[Path, typer.Argument(help="Run directory.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Work again even where nothing changed.")]


def _report(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="TOML file of the network.")],
    set_: SetOption = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/<name of the file> by default.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw an existing run of this name away.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train, export, build and verify; stages whose inputs are unchanged are skipped."""
    _report(work.run(config, tuple(set_ or ()), out, fresh, as_json), as_json)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML file of the network.")],
    set_: SetOption = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/<name of the file> by default.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw an existing run of this name away.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train only; resumes where an earlier training was stopped."""
    _report(work.train(config, tuple(set_ or ()), out, fresh, as_json), as_json)


@app.command()
def sweep(  # noqa: PLR0913, PLR0917 - a parameter an option
    file: Annotated[Path, typer.Argument(help="TOML file of the sweep.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key in every cell: section.key=value.")
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Base configuration, instead of the sweep's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/<name of the file> by default.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=4096, help="Cells at a time (processes, SLURM jobs); 0: what fits.")
    ] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a cell: sets train.threads.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running dask scheduler.")] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Start the workers as SLURM jobs (dask-jobqueue).")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what an earlier sweep of this name did.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells and their epochs; train nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a grid of configurations and seeds, side by side; ends in a table and plots, and resumes where it was stopped."""
    overrides = tuple(set_ or ()) + ((f"train.threads={threads}",) if threads else ())
    cluster = sweeps.cluster_options(workers, scheduler, slurm)
    result = sweeps.sweep(file, overrides, base, out, cluster, fresh, dry_run, as_json)
    _report(result, as_json)
    if result.get("failed"):
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command()
def plot(
    folder: Annotated[Path, typer.Argument(help="Run directory, or the folder of a sweep.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; <folder>/plots by default.")] = None,
    surface: Annotated[
        bool, typer.Option("--surface", help="The loss surface around a run's weights as well.")
    ] = False,
    points: Annotated[int, typer.Option(min=3, max=201, help="Points of the surface along each direction.")] = 21,
    radius: Annotated[float, typer.Option(min=0.01, max=10.0, help="Reach of the surface, in filter norms.")] = 1.0,
    images: Annotated[int, typer.Option(min=1, help="Training images that the surface's loss is taken over.")] = 500,
    as_json: JsonOption = False,
) -> None:
    """Draw a run's weights and curves, or a sweep's accuracies and curves, as PNG and SVG."""
    _report(sweeps.plot(folder, out, (points, radius, images) if surface else None, as_json), as_json)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Run with a checkpoint, shipped example, or QONNX file.")],
    out: Annotated[Path | None, typer.Option(help="Run directory for the last two; runs/<name> by default.")] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the canonical QONNX file, the integer net and FINN's streamlined graph."""
    _report(work.export(source, out, tuple(set_ or ()), as_json), as_json)


@app.command()
def check(
    source: Annotated[Path, typer.Argument(help="A QONNX file, or a run directory.")],
    as_json: JsonOption = False,
) -> None:
    """List every reason why a network cannot be deployed exactly: node, why, remedy."""
    problems = work.check(source, as_json)
    _report({"problems": problems}, as_json)
    if problems:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command()
def build(
    run_dir: RunArgument,
    fps: Annotated[float | None, typer.Option(help="Images a second to fold for.")] = None,
    cycles: Annotated[int | None, typer.Option(help="Clock cycles an image to fold for.")] = None,
    clock_mhz: Annotated[float | None, typer.Option(help="Clock of the target.")] = None,
    set_: SetOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fold the network and generate its SystemVerilog."""
    overrides = work.fold_overrides(fps, cycles, clock_mhz) + tuple(set_ or ())
    _report(work.stage("build", run_dir, overrides, force, as_json), as_json)


@app.command()
def bitstream(  # noqa: PLR0913, PLR0917 - a parameter an option
    run_dir: RunArgument,
    board: Annotated[str | None, typer.Option(help="Board, or the .toml file of one: docs/boards.md.")] = None,
    clock_mhz: Annotated[float | None, typer.Option(help="Clock of the accelerator.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=256, help="Placements to try side by side; the best is kept.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the first placement.")] = 1,
    router: Annotated[str | None, typer.Option(help="router1 or router2; nextpnr's own choice by default.")] = None,
    placer: Annotated[str | None, typer.Option(help="heap, sa or static; nextpnr's own choice by default.")] = None,
    baud: Annotated[int | None, typer.Option(min=1, help="Bits a second of the serial link.")] = None,
    backend: Annotated[
        str, typer.Option(help="rtl: this accelerator. finn-hls: hand the network to FINN's own builder.")
    ] = "rtl",
    set_: SetOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Synthesise, place and route the accelerator with a serial link for a board, and pack its bitstream."""
    from flipflow.cli import bitstream as verb  # noqa: PLC0415

    overrides = verb.target_overrides(board, clock_mhz) + tuple(set_ or ())
    options = verb.BitstreamOptions(seeds, seed, router, placer, baud)
    _report(verb.bitstream(run_dir, overrides, options, backend, force, as_json), as_json)


app.command()(fold)
app.command()(synth)
app.command()(host)


@app.command()
def verify(  # noqa: PLR0913, PLR0917 - a parameter an option
    run_dir: RunArgument,
    samples: Annotated[int | None, typer.Option(min=0, help="Test images for every level; 0 for all.")] = None,
    levels: Annotated[str | None, typer.Option(help="Levels, separated by commas.")] = None,
    family: Annotated[str | None, typer.Option(help="FPGA family of the netlist: ecp5, gowin, xc7, xcup.")] = None,
    hlslib: Annotated[Path | None, typer.Option(help="Folder of finn-hlslib, for the level hls.")] = None,
    ap_types: Annotated[Path | None, typer.Option(help="Folder of the ap_types headers, for the level hls.")] = None,
    set_: SetOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Demand equal integers at every level, and predicted cycles equal to measured ones."""
    tools = {"netlist_family": family, "hlslib": hlslib, "ap_types": ap_types}
    overrides = work.verify_overrides(samples, levels, tools) + tuple(set_ or ())
    _report(work.stage("verify", run_dir, overrides, force, as_json), as_json)


@app.command()
def prove(
    run_dir: RunArgument,
    family: Annotated[str, typer.Option(help="FPGA family: ecp5, gowin, xc7, xcup.")] = "ecp5",
    kernel: Annotated[
        list[str] | None, typer.Option(help="A kernel to prove; may be repeated. All by default.")
    ] = None,
    limit: Annotated[float, typer.Option(min=1.0, help="Seconds for each kernel.")] = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Prove that every kernel's netlist does what its RTL does, for any input; tell those for which the time was too short."""
    from flipflow.cli import prove as verb  # noqa: PLC0415

    document = verb.prove(run_dir, family, tuple(kernel or ()), limit, as_json)
    _report(document, as_json)
    verb.require_proved(document, run_dir)


@app.command()
def infer(
    run_dir: RunArgument,
    input_: Annotated[
        Path, typer.Option("--input", help=".npz with `images` (and `labels`), or a folder of pictures.")
    ],
    level: Annotated[
        str, typer.Option(help="torch, qonnx, finn, integer, rtl, netlist, hls, cpu, or cpu:ISA.")
    ] = "integer",
    out: Annotated[Path | None, typer.Option(help=".npz or .json file for `logits` and `class`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Classify your own images at any level."""
    _report(work.infer(run_dir, input_, level, out, as_json), as_json)


@app.command()
def diff(
    run_dir: RunArgument,
    level_a: Annotated[str, typer.Argument(help="One level.")],
    level_b: Annotated[str, typer.Argument(help="The other level.")],
    input_: Annotated[Path | None, typer.Option("--input", help="Your own images; test images by default.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images to compare.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Name the first layer, pixel and channel in which two levels differ."""
    result = work.diff(run_dir, level_a, level_b, input_, samples, as_json)
    _report(result, as_json)
    if not result["equal"]:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command()
def bench(  # noqa: PLR0913, PLR0917 - a parameter an option
    target: Annotated[str, typer.Argument(help="resnet18, resnet34, or a run directory.")],
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of every engine.")] = 1,
    isa: Annotated[
        list[str] | None, typer.Option(help="Instruction set to time; may be repeated. All but scalar by default.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds; the median is shown.")] = 15,
    layers: Annotated[bool, typer.Option("--layers", help="Show the time of each layer.")] = False,
    kernels: Annotated[bool, typer.Option(help="Time single convolutions against the machine's limit.")] = True,
    plot: Annotated[Path | None, typer.Option(help="Chart to write: .png, .svg or .pdf.")] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time the CPU engine beside onnxruntime and torch; for a run, every level and the simulation as well."""
    from flipflow.cpu.bench.options import BenchOptions  # noqa: PLC0415

    options = BenchOptions(threads, tuple(isa or ()), rounds, kernels)
    _report(work.bench(target, options, tuple(set_ or ()), layers, plot, as_json), as_json)


@app.command()
def wave(
    run_dir: RunArgument,
    out: Annotated[Path, typer.Option(help="Waveform file, .vcd or .fst.")] = Path("wave.vcd"),
    samples: Annotated[int, typer.Option(min=1, help="Images to run.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write a waveform of the accelerator at work."""
    _report(work.wave(run_dir, out, samples, as_json), as_json)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Show which tools are found, and what each unlocks."""
    _report(work.doctor(as_json), as_json)


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="An error code, such as E104.")], as_json: JsonOption = False
) -> None:
    """Explain an error code."""
    _report(work.explain(code, as_json), as_json)


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(__version__ + "\n")


def _guarded(call: Callable[[], None]) -> Callable[[], int]:
    @wraps(call)
    def guarded() -> int:
        try:
            call()
        except FlipflowError as error:
            show_error(error)
            return int(error.exit_code)
        except typer.TyperException as error:
            sys.stderr.write(f"{error.format_message()} Try `flipflow --help`.\n")
            return int(Exit.BAD_INPUT)
        except (KeyboardInterrupt, typer.Abort):  # the second is typer's word for the first
            sys.stderr.write("\ninterrupted; what was finished is kept, and the same command goes on from there\n")
            return _INTERRUPTED
        except MemoryError:
            full = FlipflowError(
                "E503", "the memory is used up.", "this machine", "Use fewer samples or a smaller batch."
            )
            show_error(full)
            return int(full.exit_code)
        except BrokenPipeError:
            return int(Exit.GOOD)
        return int(Exit.GOOD)

    return guarded


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: runs a verb, prints coded errors, and exits with the code that the documentation promises."""
    from flipflow.run.files import disk_errors  # noqa: PLC0415

    # A polite kill cleans up as Ctrl-C does: Yosys and nextpnr would go on for minutes.
    signal.signal(signal.SIGTERM, _stop)
    # Brevitas says at import that an optional accelerator of something unused here is missing.
    warnings.filterwarnings("ignore", message="fast_hadamard_transform")

    def call() -> None:
        with disk_errors(Path.cwd()):
            result = app(standalone_mode=False)
            if result == _INTERRUPTED:  # typer has made this of it
                raise KeyboardInterrupt
            if isinstance(result, int) and result:
                raise SystemExit(result)

    try:
        sys.exit(_guarded(call)())
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
