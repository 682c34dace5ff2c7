"""Cycle model: when every frame leaves a folded accelerator, without simulating its data.

`predict` takes the "pipeline" list of accelerator.json and steps the registers that decide when a word may move
(counters, levels, valid bits), cycle by cycle, as the RTL kernels do. Models of a kernel, counts in words unless said:

- fifo: depth. A word pushed in cycle t is offered from t+1; ready while fewer than depth words are held.
- gearbox: in_elems, out_elems, cap (elements). Takes while level + in_elems <= cap, offers while level >= out_elems.
- steps: steps, consume, emit_from, emit_period, latency. A vector is `steps` steps; steps below `consume` take a word;
  step s emits if s >= emit_from and (s - emit_from) % emit_period == 0; what fires in t is offered in t + latency.
- mvtu: the same parameters and steps, with a skid buffer behind the last stage: ready depends on registers only, and
  the stages move on for one cycle when a result is refused, then stand until it is taken.
- window: sliding-window generator with a ring of `rows` rows, reader order oy, ox, ky, kx, word.

Cycle 0 is the first one out of reset; the source offers its first beat in it. A beat counts in the cycle in which it is
accepted. The Verilator harness (sim/accelerator.py) counts the same way, and draws the same stalls from the same seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.sim import cycles

# Parameters of each model (models and parameters in the order of sim/cycles.cpp), with the smallest value that makes sense.
_PARAMETERS: dict[str, dict[str, int]] = {
    "fifo": {"depth": 2},
    "gearbox": {"in_elems": 1, "out_elems": 1, "cap": 1},
    "steps": {"steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 1},
    "window": {
        "words_per_pixel": 1,
        "ifm_height": 1,
        "ifm_width": 1,
        "kernel_h": 1,
        "kernel_w": 1,
        "stride_h": 1,
        "stride_w": 1,
        "pad_top": 0,
        "pad_left": 0,
        "ofm_height": 1,
        "ofm_width": 1,
        "rows": 1,
        "latency": 1,
    },
    "mvtu": {"steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 1},
}
_MAX_LATENCY = 64  # the model keeps the valid bits of a kernel's stages in one 64-bit word
_PATIENCE = 10_000  # cycles without any movement; far more than any chain of stages or random stall can hold


@dataclass(frozen=True)
class Prediction:
    """Timing of a run of `predict`, in clock cycles.

    ii: cycles between the last output beats of the last two frames; 0 if only one frame was run.
    latency: from the first input beat to the last output beat of frame 0 (accepted in the same cycle: 0).
    completion: int64 [frames], cycle in which the last output beat of a frame is accepted.
    high_water: the most words each FIFO ever held.
    steady: the last two intervals between frames are equal (never so for fewer than 3 frames).
    cycles: cycles run, completion[-1] + 1.
    """

    ii: int
    latency: int
    completion: NDArray[np.int64]
    high_water: dict[str, int]
    steady: bool
    cycles: int


def predict(
    pipeline: Sequence[Mapping[str, Any]],
    frames: int,
    in_beats_per_frame: int,
    out_beats_per_frame: int,
    *,
    stall: float = 0.0,
    seed: int = 0,
) -> Prediction:
    """Step `pipeline` until `frames` frames have left it.

    pipeline: kernels in stream order, each {"name", "model", parameters of the model}.
    in_beats_per_frame, out_beats_per_frame: beats of a frame at the first kernel's input and the last kernel's output.
    stall, seed: probability that an end holds back in a cycle (source and sink drawn apart), as `simulate` draws them.

    Raises: FlipflowError E400 (bad description or argument), E401 (beats do not add up along the pipeline),
    E402 (deadlock; names the full and the empty FIFOs), E411 (the compiled part is missing).
    """
    _check_arguments(frames, in_beats_per_frame, out_beats_per_frame, stall, seed)
    names = check_pipeline(pipeline)
    check_beats(pipeline, in_beats_per_frame, out_beats_per_frame)
    models = [str(kernel["model"]) for kernel in pipeline]
    parameters = [
        [int(kernel[key]) for key in _PARAMETERS[model]] for kernel, model in zip(pipeline, models, strict=True)
    ]
    fifos = [name for name, model in zip(names, models, strict=True) if model == "fifo"]
    numbers = list(_PARAMETERS)
    chain = cycles.Pipeline([numbers.index(model) for model in models], parameters, len(fifos))
    if not chain.run(frames, in_beats_per_frame, out_beats_per_frame, stall, seed, _PATIENCE):
        raise deadlock(
            "E402",
            fifos,
            chain.full(),
            chain.empty(),
            f"in cycle {chain.cycle - _PATIENCE}, with {chain.accepted} beats taken and {chain.produced} given",
        )
    completion = chain.completion()
    gaps = np.diff(completion)
    return Prediction(
        ii=int(gaps[-1]) if frames > 1 else 0,
        latency=int(completion[0]) - chain.first_accept,
        completion=completion,
        high_water=dict(zip(fifos, chain.high_water(), strict=True)),
        steady=bool(frames > 2 and gaps[-1] == gaps[-2]),
        cycles=int(completion[-1]) + 1,
    )


def deadlock(code: str, fifos: Sequence[str], full: Sequence[bool], empty: Sequence[bool], when: str) -> FlipflowError:
    """Return the error for a pipeline that stopped moving.

    fifos, full, empty: names and states of the FIFOs in stream order. when: cycle and progress, for the message.
    The culprit stands between the last FIFO that holds words, which it refuses, and the next, which it starves.
    """
    holding = max((i for i, flag in enumerate(empty) if not flag), default=-1)
    before = f"FIFO {fifos[holding]!r}" if holding >= 0 else "the input"
    after = f"FIFO {fifos[holding + 1]!r}" if holding + 1 < len(fifos) else "the output"
    is_full = ", ".join(name for name, flag in zip(fifos, full, strict=True) if flag)
    is_empty = ", ".join(name for name, flag in zip(fifos, empty, strict=True) if flag)
    return FlipflowError(
        code,
        f"nothing moves any more {when}; full: {is_full or 'none'}; empty: {is_empty or 'none'}.",
        f"between {before} and {after}",
        "The kernel there waits for words that cannot come: give its buffer (rows of a window, cap of a gearbox) "
        "or the FIFO before it more room.",
    )


def _check_arguments(frames: int, in_beats: int, out_beats: int, stall: float, seed: int) -> None:
    for name, value in (("frames", frames), ("in_beats_per_frame", in_beats), ("out_beats_per_frame", out_beats)):
        if value < 1:
            raise FlipflowError(
                "E400", f"{name} is {value}, but must be at least 1.", "cycle model", "Give a count above 0."
            )
    if not 0 <= stall <= 0.99:
        raise FlipflowError("E400", f"stall is {stall}, but must lie in 0..0.99.", "cycle model", "Give a probability.")
    if not 0 <= seed < 2**62:
        raise FlipflowError("E400", f"seed is {seed}, but must lie in 0..2^62-1.", "cycle model", "Give another seed.")


def check_pipeline(pipeline: Sequence[Mapping[str, Any]]) -> list[str]:
    """Check names, models, keys and ranges of a pipeline description; return the kernels' names in stream order.

    Raises: FlipflowError E400 naming the kernel and the key.
    """
    if not pipeline:
        raise FlipflowError("E400", "the pipeline is empty.", "cycle model", "Describe at least one kernel.")
    names: list[str] = []
    for position, kernel in enumerate(pipeline):
        name = kernel.get("name")
        where = f"pipeline[{position}] {name!r}"
        if not isinstance(name, str) or not name or name in names:
            raise FlipflowError("E400", "the name is missing or not unique.", where, "Give every kernel its own name.")
        names.append(name)
        _check_kernel(kernel, where)
    return names


def _check_kernel(kernel: Mapping[str, Any], where: str) -> None:
    model = kernel.get("model")
    if model not in _PARAMETERS:
        known = ", ".join(_PARAMETERS)
        raise FlipflowError("E400", f"unknown model {model!r}.", where, f"Known models: {known}.")
    expected = _PARAMETERS[model]
    wrong = set(kernel) ^ ({"name", "model"} | set(expected))
    if wrong:
        raise FlipflowError(
            "E400",
            f"missing or unknown keys: {', '.join(sorted(wrong))}.",
            where,
            f"A {model} takes name, model, {', '.join(expected)}.",
        )
    for key, least in expected.items():
        value = kernel[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise FlipflowError("E400", f"{key} is {value!r}.", where, f"Give an integer of at least {least}.")
    problem = _inconsistency(kernel)
    if problem:
        raise FlipflowError("E400", problem, where, "Correct the parameters of this kernel.")


def _inconsistency(kernel: Mapping[str, Any]) -> str:
    """What is wrong between the parameters of one kernel, "" if nothing is."""
    if kernel.get("latency", 1) > _MAX_LATENCY:
        return f"latency {kernel['latency']} is above {_MAX_LATENCY}."
    if kernel["model"] in ("steps", "mvtu"):
        if kernel["consume"] > kernel["steps"]:
            return f"consume {kernel['consume']} is above steps {kernel['steps']}."
        if kernel["emit_from"] >= kernel["steps"]:
            return f"emit_from {kernel['emit_from']} is not below steps {kernel['steps']}."
    if kernel["model"] == "window":
        for pad, size in (("pad_top", "kernel_h"), ("pad_left", "kernel_w")):
            if kernel[pad] >= kernel[size]:
                return f"{pad} {kernel[pad]} is not below {size} {kernel[size]}."
    return ""


def check_beats(pipeline: Sequence[Mapping[str, Any]], in_beats: int, out_beats: int) -> None:
    """Follow the beats of a frame through a pipeline that `check_pipeline` accepted.

    Raises: FlipflowError E401 where a kernel does not get whole vectors, frames or words, or the last count differs.
    """
    beats = in_beats
    for kernel in pipeline:
        unit, given = _exchange(kernel)
        if beats % unit:
            raise FlipflowError(
                "E401",
                f"gets {beats} beats a frame, which is not a multiple of {unit}.",
                str(kernel["name"]),
                "The folding of this kernel and of its producer do not fit; compare SIMD, PE and word counts.",
            )
        beats = beats // unit * given
    if beats != out_beats:
        raise FlipflowError(
            "E401",
            f"gives {beats} beats a frame, but the output is said to have {out_beats}.",
            str(pipeline[-1]["name"]),
            "Correct beats_per_frame of the output or the last kernel.",
        )


def _exchange(kernel: Mapping[str, Any]) -> tuple[int, int]:
    """Words a kernel takes for how many it gives."""
    if kernel["model"] in ("steps", "mvtu"):
        return kernel["consume"], (kernel["steps"] - 1 - kernel["emit_from"]) // kernel["emit_period"] + 1
    if kernel["model"] == "gearbox":
        common = int(np.gcd(kernel["in_elems"], kernel["out_elems"]))
        return kernel["out_elems"] // common, kernel["in_elems"] // common
    if kernel["model"] == "window":
        words = kernel["words_per_pixel"]
        taps = kernel["ofm_height"] * kernel["ofm_width"] * kernel["kernel_h"] * kernel["kernel_w"]
        return kernel["ifm_height"] * kernel["ifm_width"] * words, taps * words
    return 1, 1
