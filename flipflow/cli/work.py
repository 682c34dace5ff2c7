"""What the verbs do: find the run, hold its lock, bring stages up to date, gather the result."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipflow.cli.console import ConsoleReporter
from flipflow.cli.tables import show_bench, show_summary
from flipflow.config import Config, load_config, save_config
from flipflow.errors import FlipflowError
from flipflow.results import TRAINING, make_row, read_training
from flipflow.run.example import is_example, read_example
from flipflow.run.files import locked
from flipflow.run.runner import Stage, StageOutcome, run_stage
from flipflow.run.stages import ACCELERATOR, CHECKPOINT, VERIFY, stages_of

if TYPE_CHECKING:
    from flipflow.cpu.bench.options import BenchOptions

RUNS = Path("runs")
CONFIG = "config.toml"
_SAMPLES = ("samples", "finn_samples", "rtl_samples", "netlist_samples", "hls_samples")


def run(config_path: Path, overrides: tuple[str, ...], out: Path | None, fresh: bool, quiet: bool) -> dict[str, Any]:
    """All stages of a configuration."""
    config = load_config(config_path, overrides)
    _require_deployable(config, str(config_path))
    run_dir = out or RUNS / config_path.stem
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        _prepare(config, run_dir, fresh)
        reporter.message(f"run directory: {run_dir}")
        outcomes = [run_stage(stage, config, run_dir, reporter) for stage in stages_of(config)]
    return _finish(config, run_dir, outcomes, quiet)


def train(config_path: Path, overrides: tuple[str, ...], out: Path | None, fresh: bool, quiet: bool) -> dict[str, Any]:
    """The training stage of a configuration; the result is a row of a table of accuracies as well."""
    config = load_config(config_path, overrides)
    if config.export.model is not None:
        raise FlipflowError(
            "E110", "it takes its model from a file.", f"{config_path}, [export] model", "Nothing to train."
        )
    run_dir = out or RUNS / config_path.stem
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        _prepare(config, run_dir, fresh)
        outcome = run_stage(stages_of(config)[0], config, run_dir, reporter)
    row = make_row([read_training(run_dir)], str(run_dir / TRAINING))
    return _finish(config, run_dir, [outcome], quiet) | row


def export(source: Path, out: Path | None, overrides: tuple[str, ...], quiet: bool) -> dict[str, Any]:
    """The export stage, of a run's checkpoint, of a shipped example or of a QONNX file."""
    if source.is_dir() and is_example(source):
        network, data = read_example(source)
        known = tuple(
            f"data.{key}={json.dumps(value)}" for key, value in data.model_dump(mode="json", exclude_none=True).items()
        )
        return _export_file(network, out or RUNS / source.resolve().name, (*known, *overrides), quiet)
    if source.is_dir():
        if out is not None and out.resolve() != source.resolve():
            raise FlipflowError("E111", f"{source} is a run itself.", "--out", "Leave --out away.")
        return stage("export", source, overrides, False, quiet)
    return _export_file(source, out or RUNS / source.name.split(".")[0], overrides, quiet)


def _export_file(source: Path, run_dir: Path, overrides: tuple[str, ...], quiet: bool) -> dict[str, Any]:
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        if not source.is_file():
            raise FlipflowError(
                "E200", "there is no such file.", str(source), "Name an existing .onnx file or run directory."
            )
        config = _outside_config(run_dir, source.resolve(), overrides)
        outcome = run_stage(_named("export", config), config, run_dir, reporter)
        save_config(config, run_dir / CONFIG)
    return _finish(config, run_dir, [outcome], quiet)


def stage(name: str, run_dir: Path, overrides: tuple[str, ...], force: bool, quiet: bool) -> dict[str, Any]:
    """One stage of an existing run."""
    config = config_of(run_dir, overrides)
    _require_deployable(config, str(run_dir))
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        wanted = _named(name, config)
        require_inputs(wanted, config, run_dir)
        outcome = run_stage(wanted, config, run_dir, reporter, force)
        # Only settings that worked are kept: a refused target must not spoil the next call.
        save_config(config, run_dir / CONFIG)
    return _finish(config, run_dir, [outcome], quiet)


def _require_deployable(config: Config, where: str) -> None:
    """Raise E114 before hours of training are spent on what cannot be exported afterwards."""
    if config.export.model is None and config.model is not None and not config.model.deployable:
        what = "deployable = false is the form of the papers, which trains and does not export."
        fix = "Take `flipflow train`, or leave model.deployable out to train the form that deploys."
        raise FlipflowError("E114", what, f"{where}, key 'model.deployable'", fix)


def fold_overrides(fps: float | None, cycles: int | None, clock_mhz: float | None) -> tuple[str, ...]:
    """The build verb's options as overrides; asking for a goal replaces the other kind of goal."""
    pairs = [f"target.clock_mhz={clock_mhz}"] if clock_mhz is not None else []
    pairs += [f"fold.fps={fps}"] if fps is not None else []
    pairs += [f"fold.cycles={cycles}"] if cycles is not None else []
    return tuple(pairs)


def verify_overrides(
    samples: int | None, levels: str | None, tools: Mapping[str, str | Path | None] | None = None
) -> tuple[str, ...]:
    """The verify verb's options as overrides; --samples holds for every level. tools: values of further keys of [verify]."""
    pairs = [f"verify.{key}={json.dumps(str(value))}" for key, value in (tools or {}).items() if value is not None]
    if samples is not None:
        pairs += [f"verify.{key}={samples}" for key in _SAMPLES]
    if levels is not None:
        names = [name.strip() for name in levels.split(",") if name.strip()]
        names = names if "integer" in names else [*names, "integer"]
        pairs.append(f"verify.levels={json.dumps(names)}")
    return tuple(pairs)


def check(source: Path, quiet: bool) -> list[dict[str, Any]]:
    """Every reason why a network cannot be deployed exactly."""
    from flipflow.export.check import check_file  # noqa: PLC0415

    path = source / "model.qonnx.onnx" if source.is_dir() else source
    problems = check_file(path)
    reporter = ConsoleReporter(quiet)
    for problem in problems:
        reporter.message(f"{problem.code} {problem.where}\n  {problem.what}\n  {problem.fix}")
    reporter.message(f"{path}: {len(problems)} problems" if problems else f"{path}: deploys exactly")
    return [vars(problem) for problem in problems]


def infer(run_dir: Path, images: Path, level: str, out: Path | None, quiet: bool) -> dict[str, Any]:
    """A user's images through one level."""
    from flipflow.sim.infer import infer as infer_images  # noqa: PLC0415

    config = config_of(run_dir, ())
    with ConsoleReporter(quiet) as reporter:
        return infer_images(config, run_dir, images, level, out, reporter)


def diff(run_dir: Path, level_a: str, level_b: str, images: Path | None, samples: int, quiet: bool) -> dict[str, Any]:
    """The first difference between two levels."""
    from flipflow.sim.diff import diff as find_difference  # noqa: PLC0415

    config = config_of(run_dir, ())
    with ConsoleReporter(quiet) as reporter:
        return find_difference(config, run_dir, (level_a, level_b), images, samples, reporter)


def bench(
    target: str, options: "BenchOptions", overrides: tuple[str, ...], layers: bool, plot: Path | None, quiet: bool
) -> dict[str, Any]:
    """Times of a named network's engines, or of a run's engines and levels."""
    from flipflow.cpu.bench.networks import NETWORKS  # noqa: PLC0415

    if plot is not None:
        from flipflow.cpu.bench.plot import require_place  # noqa: PLC0415

        require_place(plot)
    if target in NETWORKS:
        if overrides:
            what = f"{target} is no run and has no configuration."
            raise FlipflowError("E113", what, "--set", "Leave --set away, or name a run.")
        document = _bench_named(target, options, quiet)
    else:
        document = _bench_run(target, options, overrides, quiet)
    if not quiet:
        show_bench(document, layers)
    if plot is not None:
        from flipflow.cpu.bench.plot import save_chart  # noqa: PLC0415

        save_chart(document, plot)
    return document


def _bench_named(name: str, options: "BenchOptions", quiet: bool) -> dict[str, Any]:
    from flipflow.cpu.bench.report import bench_named  # noqa: PLC0415

    with ConsoleReporter(quiet) as reporter:
        return bench_named(name, options, reporter)


def _bench_run(target: str, options: "BenchOptions", overrides: tuple[str, ...], quiet: bool) -> dict[str, Any]:
    from flipflow.sim.bench import bench as measure  # noqa: PLC0415

    run_dir = Path(target)
    config = config_of(run_dir, overrides)
    with locked(run_dir), ConsoleReporter(quiet) as reporter:
        return measure(config, run_dir, options, reporter)


def wave(run_dir: Path, out: Path, samples: int, quiet: bool) -> dict[str, Any]:
    """A waveform of the accelerator."""
    from flipflow.sim.images import test_images  # noqa: PLC0415
    from flipflow.sim.levels import Network  # noqa: PLC0415

    config = config_of(run_dir, ())
    with ConsoleReporter(quiet) as reporter:
        network = Network(run_dir)
        images = network.canonical.accept(test_images(config, network.canonical, samples).values)
        network.run("rtl", images, trace=out)
        reporter.message(f"{out}: {len(images)} images; look at it with gtkwave or surfer")
    return {"file": str(out), "images": len(images)}


def doctor(quiet: bool) -> dict[str, Any]:
    """Tools found and what each unlocks."""
    from flipflow.doctor import examine  # noqa: PLC0415

    return examine(ConsoleReporter(quiet))


def explain(code: str, quiet: bool) -> dict[str, Any]:
    """The catalogue's entry of an error code."""
    from flipflow.catalogue import CATALOGUE  # noqa: PLC0415

    text = CATALOGUE.get(code.upper())
    if text is None:
        raise FlipflowError("E105", "there is no such error code.", code, "docs/errors.md lists them all.")
    ConsoleReporter(quiet).message(f"{code.upper()}: {text}")
    return {"code": code.upper(), "text": text}


# --- runs ---


def _prepare(config: Config, run_dir: Path, fresh: bool) -> None:
    if fresh:
        for entry in run_dir.iterdir():
            if entry.name == ".lock":
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    save_config(config, run_dir / CONFIG)


def config_of(run_dir: Path, overrides: tuple[str, ...], drop: tuple[str, ...] = ()) -> Config:
    """A run's configuration without the keys `drop`, with overrides; one for fold.fps takes fold.cycles' place, and the other
    way round.
    """
    path = run_dir / CONFIG
    if not path.is_file():
        raise FlipflowError(
            "E112",
            "this is no run directory (it holds no config.toml).",
            str(run_dir),
            "Make one with `flipflow run CONFIG` or `flipflow export MODEL.onnx --out RUN`.",
        )
    goals = {"fold.fps=": "cycles", "fold.cycles=": "fps"}
    dropped = {other for start, other in goals.items() for override in overrides if override.startswith(start)}
    return load_config(path, overrides, drop=(*drop, *(f"fold.{key}" for key in dropped)))


def _outside_config(run_dir: Path, model: Path, overrides: tuple[str, ...]) -> Config:
    """Settings of an earlier export into the same run are kept."""
    path = run_dir / CONFIG
    chosen = (f"export.model={json.dumps(str(model))}", *overrides)
    if path.is_file():
        return load_config(path, chosen)
    from flipflow.config.load import parse_overrides  # noqa: PLC0415

    return parse_overrides(chosen)


def _named(name: str, config: Config) -> Stage:
    return next(stage for stage in stages_of(config) if stage.name == name)


def require_inputs(wanted: Stage, config: Config, run_dir: Path) -> None:
    """Name the stage that makes a missing input."""
    makers = {output: stage.name for stage in stages_of(config) for output in stage.outputs}
    for name in wanted.inputs:
        if not (run_dir / name).exists():
            verb = makers.get(name, "run")
            source = run_dir / CONFIG if name == CHECKPOINT else run_dir
            raise FlipflowError(
                "E452", f"the run has no {name}.", str(run_dir), f"Run `flipflow {verb} {source}` first."
            )


def _finish(config: Config, run_dir: Path, outcomes: list[StageOutcome], quiet: bool) -> dict[str, Any]:
    """The result as data, shown as tables; raises where the verification found a difference."""
    stages = [{"stage": o.name, "skipped": o.skipped, "seconds": o.seconds} for o in outcomes]
    verified = None
    if any(outcome.name == "verify" for outcome in outcomes):
        verified = json.loads((run_dir / VERIFY).read_text())
    accelerator = run_dir / ACCELERATOR
    rates = {"clock_mhz": config.target.clock_mhz} if accelerator.is_file() else None
    if not quiet:
        show_summary(stages, verified, rates)
    if verified is not None:
        from flipflow.sim.verify import require_equal  # noqa: PLC0415

        require_equal(verified, run_dir / VERIFY)
    return {"run": str(run_dir), "stages": stages, "verify": verified}
