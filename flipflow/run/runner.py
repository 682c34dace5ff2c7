"""Running stages: skip what is unchanged, let a half-done stage leave nothing behind that could be taken for done."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flipflow.config import Config
from flipflow.run.files import digest, disk_errors, replace_tree
from flipflow.run.manifest import Manifest, StageRecord, code_digest, settings_digest, tool_versions
from flipflow.sim.reporter import Reporter

STAGING = ".staging"


@dataclass(frozen=True)
class Context:
    """What a stage works with. out: where it puts its outputs; they are moved into run_dir when it is done."""

    config: Config
    run_dir: Path
    out: Path
    reporter: Reporter


@dataclass(frozen=True)
class Stage:
    """A step of a run.

    inputs, outputs: names in the run directory (outputs may be folders). outside: further files read, from the configuration.
    settings: what of the configuration it depends on. rooms: whose code. in_place: it writes to the run directory by itself and
    resumes there (training).
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rooms: tuple[str, ...]
    settings: Callable[[Config], Any]
    work: Callable[[Context], None]
    outside: Callable[[Config], tuple[Path, ...]] = field(default=lambda _: ())
    in_place: bool = False


@dataclass(frozen=True)
class StageOutcome:
    """What became of a stage in this call."""

    name: str
    skipped: bool
    seconds: float


def run_stage(stage: Stage, config: Config, run_dir: Path, reporter: Reporter, force: bool = False) -> StageOutcome:
    """Bring one stage up to date. The caller holds the run's lock."""
    manifest = Manifest(run_dir)
    inputs = {name: digest(run_dir / name) for name in stage.inputs}
    inputs.update({str(path): digest(path) for path in stage.outside(config)})
    settings, code = settings_digest(stage.settings(config)), code_digest(stage.rooms)
    record = manifest.stages.get(stage.name)
    if record and not force and (record.inputs, record.settings, record.code) == (inputs, settings, code):
        # An output may be absent by right: what counts is that all is as the stage left it.
        whole = all(digest(run_dir / name) == sha for name, sha in record.outputs.items())
        if whole:
            return StageOutcome(stage.name, True, record.seconds)
    started = time.monotonic()
    with disk_errors(run_dir):
        _work(stage, config, run_dir, reporter, manifest)
        seconds = round(time.monotonic() - started, 3)
        outputs = {name: digest(run_dir / name) for name in stage.outputs}
        seed = config.train.seed
        manifest.put(stage.name, StageRecord(inputs, outputs, settings, code, tool_versions(), seed, seconds))
    return StageOutcome(stage.name, False, seconds)


def _remove(run_dir: Path, names: Iterable[str]) -> None:
    for name in names:
        path = run_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _work(stage: Stage, config: Config, run_dir: Path, reporter: Reporter, manifest: Manifest) -> None:
    if stage.in_place:
        manifest.drop(stage.name)
        stage.work(Context(config, run_dir, run_dir, reporter))
        return
    staging = run_dir / STAGING / stage.name
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        stage.work(Context(config, run_dir, staging, reporter))
        manifest.drop(stage.name)
        made = {entry.name for entry in staging.iterdir()}
        replace_tree(staging, run_dir)
        _remove(run_dir, set(stage.outputs) - made)
    finally:
        shutil.rmtree(run_dir / STAGING, ignore_errors=True)
