"""Equality of all levels on the same images, and of predicted and measured cycles."""

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.config import Config, LevelName, VerifyConfig
from flipflow.errors import FlipflowError
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


@dataclass(frozen=True)
class Outcome:
    """What running the levels gave, as in verify.json. cycles, stalled: of the rtl. netlist: its family, cycles and speed.
    hls: its times.
    """

    results: list[LevelResult]
    cycles: Cycles | None = None
    netlist: dict[str, Any] | None = None
    hls: dict[str, Any] | None = None
    stalled: dict[str, Any] | None = None


def verify(config: Config, run_dir: Path, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Run the configured levels and write verify.json to `out`; returns its content. Raises the levels' own errors."""
    settings = config.verify
    network = Network(run_dir, settings)
    left_out = _left_out(network, settings)
    for level, reason in left_out.items():
        if level in settings.levels:
            reporter.message(f"level {level} left out: {reason}")
    levels = [level for level in settings.levels if level not in left_out and (level != "torch" or network.has_torch)]
    images = test_images(config, network.canonical, settings.samples)
    values = network.canonical.accept(images.values)
    reference = network.run("integer", values)
    outcome = _run_levels(network, levels, values, reference, reporter)
    document = {
        "levels": [asdict(result) for result in outcome.results],
        "left_out": [{"level": level, "reason": reason} for level, reason in left_out.items()],
        "reference": "integer",
        "cycles": asdict(outcome.cycles) if outcome.cycles else None,
        "netlist": outcome.netlist,
        "hls": outcome.hls,
        "stalled": outcome.stalled,
        "accuracy": _accuracy(reference, images),
        "data": images.name,
    }
    out.write_text(json.dumps(document, indent=1) + "\n")
    return document


def _run_levels(
    network: Network, levels: list[LevelName], values: np.ndarray, reference: Answer, reporter: Reporter
) -> Outcome:
    outcome, settings = Outcome([]), network.settings
    for level in levels:
        count = _count(settings, level, len(values))
        reporter.progress(f"verify {level}", 0, count)
        if level == "integer":
            answer = reference
        elif level == "rtl":
            answer, cycles = _simulated(network, level, values[:count], reporter)
            stalled = _stalled(network, values[: min(count, settings.stalled_samples)], reference, settings.seed)
            outcome = replace(outcome, cycles=cycles, stalled=stalled)
        elif level == "netlist":
            answer, cycles = _simulated(network, level, values[:count], reporter)
            speed = {key: getattr(answer.details, key) for key in ("cycles_per_second", "seconds")}
            about = {"family": settings.netlist_family, "cycles": asdict(cycles), **speed}
            outcome = replace(outcome, netlist=about)
        else:
            bar = partial(_show, reporter, level)
            answer = network.run(level, values[:count], progress=bar if level == "hls" else None)
            if level == "hls":
                times = {key: getattr(answer.details, key) for key in ("compile_seconds", "run_seconds")}
                outcome = replace(outcome, hls=times)
        wrong = mismatches(answer, reference, count)
        outcome.results.append(LevelResult(level, count, wrong))
        reporter.progress(f"verify {level}", count, count, f"{wrong} mismatches")
    return outcome


def _show(reporter: Reporter, level: LevelName, done: int, total: int) -> None:
    reporter.progress(f"verify {level}", done, total)


def _left_out(network: Network, settings: VerifyConfig) -> dict[str, str]:
    """Levels that the run's network does not have by its nature, and why."""
    if "hls" in settings.levels and (network.run_dir / "folded.onnx").is_file():
        from flipflow.sim import hls  # noqa: PLC0415 - FINN only where it is needed

        reason = hls.obstacle(network.run_dir)
        return {} if reason is None else {"hls": reason}
    return {}


def passed(document: dict[str, Any]) -> bool:
    """Whether a verify.json says that everything is equal."""
    stalled = document["stalled"]
    return (
        all(level["mismatches"] == 0 for level in document["levels"])
        and all(cycles.equal for cycles in _all_cycles(document).values())
        and (stalled is None or stalled["mismatches"] == 0)
    )


def _all_cycles(document: dict[str, Any]) -> dict[str, Cycles]:
    """The cycles of the levels that have some; a verify.json of an earlier version knows no netlist."""
    netlist = document.get("netlist")
    found = {"rtl": document["cycles"], "netlist": netlist["cycles"] if netlist else None}
    return {level: Cycles(**cycles) for level, cycles in found.items() if cycles}


def mismatches(answer: Answer, reference: Answer, count: int) -> int:
    """Number of the first `count` images on which the integer logits or the class differ."""
    logits = np.any(answer.logits != reference.logits[:count], axis=1)
    return int(np.count_nonzero(logits | (answer.classes != reference.classes[:count])))


def _count(settings: VerifyConfig, level: LevelName, available: int) -> int:
    wanted = getattr(settings, f"{level}_samples") if level in {"finn", "rtl", "netlist", "hls"} else 0
    return min(wanted, available) if wanted else available


def _simulated(network: Network, level: LevelName, values: np.ndarray, reporter: Reporter) -> tuple[Answer, Cycles]:
    """Images through the rtl or the netlist, at least a few, so that there is an interval to measure."""
    count = len(values)
    fed = np.resize(values, (max(count, _FEWEST_FRAMES), *values.shape[1:]))
    answer = network.run(level, fed, progress=partial(_show, reporter, level), reporter=reporter)
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
    unequal = [level for level, cycles in _all_cycles(document).items() if not cycles.equal]
    wrong += [f"predicted and measured cycles differ ({level})" for level in unequal]
    raise FlipflowError(
        "E453",
        f"not everything is equal ({'; '.join(wrong)}).",
        str(where),
        "`flipflow diff` names the first difference.",
        Exit.CHECK_FAILED,
    )
