"""The stages of a run: what each reads, writes and depends on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flipflow.config import Config
from flipflow.run.runner import Context, Stage

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
TRAINING = "training.json"
QONNX = "model.qonnx.onnx"
INTEGER_JSON = "integer.json"
INTEGER_NPZ = "integer.npz"
STREAMLINED = "streamlined.onnx"
EXPORT_REPORT = "export.json"
FOLDED = "folded.onnx"
RTL = "rtl"
ACCELERATOR = "accelerator.json"
VERIFY = "verify.json"


def stages_of(config: Config) -> tuple[Stage, ...]:
    """The stages of this configuration, in order; training is left out where the model comes from elsewhere."""
    trained = config.export.model is None
    return ((_TRAIN,) if trained else ()) + (_export_stage(trained), _BUILD, _verify_stage(trained))


def _train(context: Context) -> None:
    from flipflow.results import write_training  # noqa: PLC0415
    from flipflow.train.loop import train  # noqa: PLC0415 - torch only where it is needed

    config, reporter = context.config, context.reporter
    assert config.model is not None and config.data is not None

    def show(event: Any) -> None:
        accuracy = "" if event.val_accuracy is None else f", validation {event.val_accuracy:.2%}"
        done = event.epoch + (event.step / event.steps if event.steps else 0.0)
        reporter.progress("train", done, event.epochs, f"loss {event.loss:.3f}{accuracy}")

    result = train(config.model, config.data, config.train, config.ovsw, context.run_dir, show)
    write_training(context.run_dir)
    reporter.message(
        f"trained {result.epochs} epochs; best epoch {result.best_epoch}: validation {result.val_accuracy:.2%}, "
        f"test {result.test_accuracy:.2%}"
    )


def _export(context: Context) -> None:
    import onnx  # noqa: PLC0415

    from flipflow.export.finn.streamline import lower as lower_with_finn  # noqa: PLC0415
    from flipflow.export.integer import lower  # noqa: PLC0415

    context.reporter.progress("export", 0, 3, "QONNX")
    model, repairs = _canonical_model(context)
    onnx.save(model, context.out / QONNX)
    context.reporter.progress("export", 1, 3, "integer net")
    net = lower(model)
    net.save(context.out / INTEGER_JSON, context.out / INTEGER_NPZ)
    context.reporter.progress("export", 2, 3, "FINN's streamlining")
    report = lower_with_finn(context.out / QONNX, context.out / STREAMLINED)
    finn = {"layers": [vars(layer) for layer in report.layers], "rewrites": list(report.rewrites)}
    document = {"tie_repairs": repairs, "finn": finn}
    (context.out / EXPORT_REPORT).write_text(json.dumps(document, indent=1, default=str) + "\n")
    context.reporter.progress("export", 3, 3, "done")
    for repair in repairs:
        context.reporter.message(f"tie restored: {repair['node']} channel {repair['channel']}, {repair['ulps']:+d} ulp")


def _canonical_model(context: Context) -> tuple[Any, list[dict[str, Any]]]:
    if context.config.export.model is not None:
        from flipflow.export.importer import canonicalize, read_model, require_same_outputs  # noqa: PLC0415

        source = read_model(context.config.export.model)
        model, problems = canonicalize(source)
        problems.raise_first()
        require_same_outputs(source, model, context.config.export.model)
        return model, []
    from flipflow.export.torch_export import export_module  # noqa: PLC0415
    from flipflow.train.loop import load_model  # noqa: PLC0415

    module = load_model(context.run_dir / CHECKPOINT)
    exported = export_module(module, input_shape(context.run_dir))
    return exported.model, [vars(repair) for repair in exported.repairs]


def input_shape(run_dir: Path) -> tuple[int, ...]:
    """(C, H, W) of the images that the checkpoint was trained on."""
    from flipflow.train.checkpoint import load  # noqa: PLC0415

    return tuple(load(run_dir / CHECKPOINT)["input_shape"])


def _build(context: Context) -> None:
    from flipflow.hw.build import build  # noqa: PLC0415
    from flipflow.hw.folding import FoldRequest  # noqa: PLC0415

    goal, clock = context.config.fold, context.config.target.clock_mhz
    layers = {name: fold.model_dump(exclude_none=True) for name, fold in goal.layers.items()}
    context.reporter.progress("build", 0, 1, "folding and RTL")
    request = FoldRequest(fps=goal.fps, clock_mhz=clock, cycles=goal.cycles, layers=layers)

    def sizing(done: int, total: int) -> None:
        context.reporter.progress("build", done, total, "sizing FIFOs")

    name = context.run_dir.resolve().name
    report = build(context.run_dir / STREAMLINED, context.out, request, name, sizing)
    context.reporter.progress("build", 1, 1, "done")
    context.reporter.message(
        f"accelerator: {report.ii} cycles an image ({report.fps:,.0f} images/s at {clock:g} MHz), "
        f"latency {report.latency} cycles, about {report.lut:,} LUT4 and {report.bram} block RAMs"
    )


def _verify(context: Context) -> None:
    from flipflow.sim.verify import verify  # noqa: PLC0415

    verify(context.config, context.run_dir, context.out / VERIFY, context.reporter)


def _settings(*sections: str) -> Callable[[Config], Any]:
    """What of the configuration a stage depends on."""

    def select(config: Config) -> dict[str, Any]:
        values = {name: getattr(config, name) for name in sections}
        return {name: value.model_dump(mode="json") if value is not None else None for name, value in values.items()}

    return select


def _build_settings(config: Config) -> dict[str, Any]:
    """The fold and the clock it is for; the board does not change the RTL."""
    return {"fold": config.fold.model_dump(mode="json"), "clock_mhz": config.target.clock_mhz}


_TRAIN = Stage(
    name="train",
    inputs=(),
    outputs=(CHECKPOINT, METRICS, TRAINING),
    rooms=("train",),
    settings=_settings("model", "data", "train", "ovsw"),
    work=_train,
    in_place=True,
)


def _export_stage(trained: bool) -> Stage:
    return Stage(
        name="export",
        inputs=(CHECKPOINT,) if trained else (),
        outside=lambda config: () if config.export.model is None else (config.export.model,),
        outputs=(QONNX, INTEGER_JSON, INTEGER_NPZ, STREAMLINED, EXPORT_REPORT),
        rooms=("export",),
        settings=_settings("export"),
        work=_export,
    )


_BUILD = Stage(
    name="build",
    inputs=(STREAMLINED,),
    outputs=(FOLDED, RTL, ACCELERATOR),
    rooms=("hw", "sim"),
    settings=_build_settings,
    work=_build,
)


def _verify_stage(trained: bool) -> Stage:
    return Stage(
        name="verify",
        inputs=((CHECKPOINT,) if trained else ()) + (QONNX, INTEGER_JSON, INTEGER_NPZ, STREAMLINED, RTL, ACCELERATOR),
        outputs=(VERIFY,),
        rooms=("sim", "hw", "cpu", "export"),
        settings=_settings("verify", "data"),
        work=_verify,
    )
