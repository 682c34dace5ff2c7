"""A user's own images through any level."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np

from flipflow.config import Config, LevelName
from flipflow.errors import FlipflowError
from flipflow.sim.images import read_images
from flipflow.sim.levels import Answer, Network
from flipflow.sim.reporter import Reporter


def infer(
    config: Config, run_dir: Path, source: Path, level: str, out: Path | None, reporter: Reporter
) -> dict[str, Any]:
    """Classify the images of `source`; returns {"images", "level", "accuracy", "class", "out"}.

    out: `logits` int64 [N, classes] and `class` int64 [N], written in one step; as JSON where it ends in .json, else as .npz.
    Raises: FlipflowError E450 (shape), E452 (missing stage), E454 (unreadable), E455 (no such level),
    E456 (nowhere to write).
    """
    chosen = level_name(level)
    if out is not None:
        _require_place(out)
    network = Network(run_dir, config.verify)
    images = read_images(source, network.canonical, config)
    values = network.canonical.accept(images.values)
    answer = network.run(
        chosen, values, progress=lambda done, total: reporter.progress(f"infer {level}", done, total), reporter=reporter
    )
    if out is not None:
        _save(answer, out)
    accuracy = None
    if images.labels is not None:
        accuracy = float(np.mean(answer.classes == images.labels))
        reporter.message(f"{len(values):,} images at level {level}: accuracy {accuracy:.2%}")
    else:
        reporter.message(f"{len(values):,} images at level {level}")
    return {
        "images": len(values),
        "level": level,
        "accuracy": accuracy,
        "class": answer.classes.tolist(),
        "out": None if out is None else str(out),
    }


def _require_place(out: Path) -> None:
    """Before the work, not after it."""
    if out.is_dir() or not out.parent.is_dir():
        reason = "it is a folder" if out.is_dir() else "its folder does not exist"
        raise FlipflowError(
            "E456", f"the answers cannot be written: {reason}.", str(out), "Name a file in an existing folder."
        )


def _save(answer: Answer, out: Path) -> None:
    temporary = out.with_name(out.name + ".tmp.npz")
    if out.suffix == ".json":
        temporary.write_text(json.dumps({"logits": answer.logits.tolist(), "class": answer.classes.tolist()}) + "\n")
    else:
        np.savez_compressed(temporary, allow_pickle=False, **{"logits": answer.logits, "class": answer.classes})
    temporary.replace(out)


def level_name(text: str) -> LevelName:
    """The level of this name. Raises FlipflowError E455."""
    for name in get_args(LevelName):
        if name == text:
            return name  # type: ignore[no-any-return]
    raise FlipflowError("E455", "there is no such level.", repr(text), f"Levels are {', '.join(get_args(LevelName))}.")
