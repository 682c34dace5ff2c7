"""Equality of all levels on the same images, and of predicted and measured cycles."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.config import Config, LevelName
from flipflow.errors import FlipflowError
from flipflow.export.rtl_path import off_rtl_path
from flipflow.sim.cycle_model import predict
from flipflow.sim.images import Images, test_images
from flipflow.sim.levels import Answer, Network
from flipflow.sim.reporter import Reporter

_STALL = 0.3
_MODELLED_FRAMES = 64
_FEWEST_FRAMES = 4


@dataclass(frozen=True)
class LevelResult:
    """One level: how many images it executed, and on how many its logits or class differ from the reference's."""

    level: str
    samples: int
    mismatches: int


@dataclass(frozen=True)
class Cycles:
    """Clock cycles by the cycle model and as simulated.

    ii: between images in steady state. latency: from the first beat in to the last beat out, of the first image.
    """

    predicted_ii: int
    measured_ii: int
    predicted_latency: int
    measured_latency: int
    frames: int
    all_completions_equal: bool

    @property
    def equal(self) -> bool:
        """Whether the model foresaw the hardware, cycle for cycle."""
        pairs = (self.predicted_ii, self.predicted_latency), (self.measured_ii, self.measured_latency)
        return pairs[0] == pairs[1] and self.all_completions_equal


def verify(config: Config, run_dir: Path, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Run the configured levels and write verify.json to `out`; returns its content. Raises the levels' own errors."""
    network = Network(run_dir)
    settings = config.verify
    left_out = _left_out(network)
    levels = [level for level in settings.levels if level not in left_out and (level != "torch" or network.has_torch)]
    for level in settings.levels:
        if level in left_out:
            reporter.message(f"level {level} left out: {left_out[level]}")
    images = test_images(config, network.canonical, settings.samples)
    values = network.canonical.accept(images.values)
    reference = network.run("integer", values)
    counts = {level: _count(settings, level, len(values)) for level in levels}
    results: list[LevelResult] = []
    stalled: dict[str, Any] | None = None
    cycles: Cycles | None = None
    for level in levels:
        count = counts[level]
        reporter.progress(f"verify {level}", 0, count)
        if level == "rtl":
            answer, cycles = _rtl(network, values[:count], reporter)
            stalled = _stalled(network, values[: min(count, settings.stalled_samples)], reference, settings.seed)
        else:
            answer = reference if level == "integer" else network.run(level, values[:count])
        wrong = mismatches(answer, reference, count)
        results.append(LevelResult(level, count, wrong))
        reporter.progress(f"verify {level}", count, count, f"{wrong} mismatches")
    document = {
        "levels": [asdict(result) for result in results],
        "left_out": [{"level": level, "reason": reason} for level, reason in left_out.items()],
        "reference": "integer",
        "cycles": asdict(cycles) if cycles else None,
        "stalled": stalled,
        "accuracy": _accuracy(reference, images),
        "data": images.name,
    }
    out.write_text(json.dumps(document, indent=1) + "\n")
    return document


def _left_out(network: Network) -> dict[str, str]:
    """Levels that the run's network does not have by its nature, and why."""
    obstacle = off_rtl_path(network.canonical.graph)
    return {} if obstacle is None else dict.fromkeys(("finn", "rtl"), str(obstacle))


def passed(document: dict[str, Any]) -> bool:
    """Whether a verify.json says that everything is equal."""
    cycles, stalled = document["cycles"], document["stalled"]
    return (
        all(level["mismatches"] == 0 for level in document["levels"])
        and (cycles is None or Cycles(**cycles).equal)
        and (stalled is None or stalled["mismatches"] == 0)
    )


def mismatches(answer: Answer, reference: Answer, count: int) -> int:
    """Number of the first `count` images on which the integer logits or the class differ."""
    logits = np.any(answer.logits != reference.logits[:count], axis=1)
    return int(np.count_nonzero(logits | (answer.classes != reference.classes[:count])))


def _count(settings: Any, level: LevelName, available: int) -> int:
    wanted = {"finn": settings.finn_samples, "rtl": settings.rtl_samples}.get(level, 0)
    return min(wanted, available) if wanted else available


def _rtl(network: Network, values: np.ndarray, reporter: Reporter) -> tuple[Answer, Cycles]:
    """At least a few frames go through, so that there is an interval to measure."""
    count = len(values)
    fed = np.resize(values, (max(count, _FEWEST_FRAMES), *values.shape[1:]))
    answer = network.run("rtl", fed, progress=lambda done, total: reporter.progress("verify rtl", done, total))
    cycles = compare_cycles(network.accelerator(), answer.details)
    return Answer(answer.logits[:count], answer.classes[:count], answer.details), cycles


def compare_cycles(accelerator: dict[str, Any], result: Any) -> Cycles:
    """The cycle model against a simulation without stalls: every completion of the first frames, then the interval to the end."""
    frames = len(result.completion)
    modelled = min(frames, _MODELLED_FRAMES)
    expected = predict(
        accelerator["pipeline"],
        modelled,
        accelerator["input"]["beats_per_frame"],
        accelerator["output"]["beats_per_frame"],
    )
    rest = np.diff(result.completion[modelled - 1 :])
    equal = np.array_equal(expected.completion, result.completion[:modelled]) and bool(np.all(rest == expected.ii))
    measured = int(result.completion[modelled - 1] - result.completion[modelled - 2])
    return Cycles(expected.ii, measured, expected.latency, result.latency, frames, bool(equal))


def _stalled(network: Network, values: np.ndarray, reference: Answer, seed: int) -> dict[str, Any] | None:
    if not len(values):
        return None
    answer = network.run("rtl", values, stall=_STALL, seed=seed)
    return {"samples": len(values), "probability": _STALL, "mismatches": mismatches(answer, reference, len(values))}


def _accuracy(answer: Answer, images: Images) -> float | None:
    if images.labels is None:
        return None
    return float(np.mean(answer.classes == images.labels))


def require_equal(document: dict[str, Any], where: Path) -> None:
    """Raise FlipflowError E453 (exit code 1) where verify.json shows a difference."""
    from flipflow.errors import Exit  # noqa: PLC0415

    if passed(document):
        return
    wrong = [
        f"{entry['level']}: {entry['mismatches']} of {entry['samples']}"
        for entry in document["levels"]
        if entry["mismatches"]
    ]
    if document["stalled"] and document["stalled"]["mismatches"]:
        wrong.append(f"rtl with stalls: {document['stalled']['mismatches']} of {document['stalled']['samples']}")
    if document["cycles"] and not Cycles(**document["cycles"]).equal:
        wrong.append("predicted and measured cycles differ")
    raise FlipflowError(
        "E453",
        f"not everything is equal ({'; '.join(wrong)}).",
        str(where),
        "`flipflow diff` names the first difference.",
        Exit.CHECK_FAILED,
    )
