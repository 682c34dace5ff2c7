"""Descriptions of pipelines: the "pipeline" list of accelerator.json, checked, with its wires.

Every entry is {"name", "model", parameters of the model}, and where its words do not come from the entry just before, "inputs":
the outputs that it takes, "fork0" for the first (or only) one of kernel fork0, "fork0:1" for its second. Entries are in
topological order: the first takes the accelerator's input, the last gives its output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flipflow.errors import FlipflowError

_STEPS = {"steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 1}
# Parameters of each model (models and parameters in the order of sim/cycle_kernels.h), with the smallest value that makes sense.
PARAMETERS: dict[str, dict[str, int]] = {
    "fifo": {"depth": 2},
    "gearbox": {"in_elems": 1, "out_elems": 1, "cap": 1},
    "steps": _STEPS,
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
    "mvtu": _STEPS,
    "fork": {"outputs": 2},
    "join": {"latency": 1},
    "pad": {"before": 0, "pass": 1, "after": 0, "latency": 1},
}
_MAX_LATENCY = 64  # the model keeps the valid bits of a kernel's stages in one 64-bit word
_MAX_OUTPUTS = 32  # of a fork, likewise


@dataclass(frozen=True)
class Wire:
    """Words go from output `port` of kernel number `source` to input `slot` of kernel number `sink`."""

    source: int
    port: int
    sink: int
    slot: int


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that has passed all checks: names, models, parameters (in PARAMETERS' order) of its kernels, its wires in
    the order of the sinks, and the beats of a frame on every wire.
    """

    names: tuple[str, ...]
    models: tuple[str, ...]
    parameters: tuple[tuple[int, ...], ...]
    wires: tuple[Wire, ...]
    beats: tuple[int, ...]

    @property
    def fifos(self) -> list[str]:
        """Names of the FIFOs."""
        return [name for name, model in zip(self.names, self.models, strict=True) if model == "fifo"]


def check(pipeline: Sequence[Mapping[str, Any]], in_beats: int, out_beats: int) -> Pipeline:
    """Check names, models, keys, ranges, wires and beats of a description.

    in_beats, out_beats: beats of a frame at the first kernel's input and the last kernel's output.
    Raises: FlipflowError E400 naming the kernel and the key; E401 where a kernel does not get whole vectors, frames or words,
    or the last count differs.
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
    wires = _wires(pipeline)
    beats = _beats(pipeline, wires, in_beats, out_beats)
    models = tuple(str(kernel["model"]) for kernel in pipeline)
    parameters = tuple(tuple(int(kernel[key]) for key in PARAMETERS[kernel["model"]]) for kernel in pipeline)
    return Pipeline(tuple(names), models, parameters, wires, beats)


def _check_kernel(kernel: Mapping[str, Any], where: str) -> None:
    model = kernel.get("model")
    if model not in PARAMETERS:
        known = ", ".join(PARAMETERS)
        raise FlipflowError("E400", f"unknown model {model!r}.", where, f"Known models: {known}.")
    expected = PARAMETERS[model]
    wrong = set(kernel) - {"inputs"} ^ ({"name", "model"} | set(expected))
    if wrong:
        raise FlipflowError(
            "E400",
            f"missing or unknown keys: {', '.join(sorted(wrong))}.",
            where,
            f"A {model} takes name, model, {', '.join(expected)}, and inputs.",
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
    if kernel["model"] == "fork" and kernel["outputs"] > _MAX_OUTPUTS:
        return f"outputs {kernel['outputs']} is above {_MAX_OUTPUTS}."
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


def _wires(pipeline: Sequence[Mapping[str, Any]]) -> tuple[Wire, ...]:
    """Wires of kernels that are each right by themselves. Raises: FlipflowError E400."""
    free: dict[str, tuple[int, int]] = {}  # outputs without a consumer
    wires: list[Wire] = []
    for position, kernel in enumerate(pipeline):
        where = f"pipeline[{position}] {kernel['name']!r}"
        inputs = kernel.get("inputs", [pipeline[position - 1]["name"]] if position else [])
        slots = (2 if kernel["model"] == "join" else 1) if position else 0
        if not isinstance(inputs, list) or len(inputs) != slots or (position == 0 and kernel["model"] == "join"):
            what = f"inputs is {inputs!r}."
            fix = "A join takes two outputs, every other kernel one; the first takes the input of the pipeline."
            raise FlipflowError("E400", what, where, fix)
        for slot, name in enumerate(inputs):
            source = free.pop(name.removesuffix(":0"), None) if isinstance(name, str) else None
            if source is None:
                what = f"its input {name!r} is no output of an earlier kernel, or another kernel takes it, too."
                raise FlipflowError("E400", what, where, "Name every output of an earlier kernel once.")
            wires.append(Wire(*source, position, slot))
        ports = kernel.get("outputs", 1)
        free |= {f"{kernel['name']}:{port}" if port else kernel["name"]: (position, port) for port in range(ports)}
    if list(free.values()) != [(len(pipeline) - 1, 0)]:
        left = next(name for name, source in free.items() if source != (len(pipeline) - 1, 0))
        fix = "Every output but the last kernel's only one must be an input of one later kernel."
        raise FlipflowError("E400", f"nothing takes its output {left!r}.", "pipeline", fix)
    return tuple(wires)


def _beats(
    pipeline: Sequence[Mapping[str, Any]], wires: Sequence[Wire], in_beats: int, out_beats: int
) -> tuple[int, ...]:
    """Beats of a frame on every wire. Raises: FlipflowError E401."""
    taken: list[list[int]] = [[] for _ in pipeline]
    taken[0] = [in_beats]
    given = [0] * len(pipeline)
    beats = []
    for position, kernel in enumerate(pipeline):
        for wire in wires:
            if wire.sink == position:
                taken[position].append(given[wire.source])
                beats.append(given[wire.source])
        given[position] = _given(kernel, taken[position])
    if given[-1] != out_beats:
        raise FlipflowError(
            "E401",
            f"gives {given[-1]} beats a frame, but the output is said to have {out_beats}.",
            str(pipeline[-1]["name"]),
            "Correct beats_per_frame of the output or the last kernel.",
        )
    return tuple(beats)


def _given(kernel: Mapping[str, Any], taken: Sequence[int]) -> int:
    """Beats of a frame at every output of a kernel that takes `taken` at its inputs."""
    unit, per_unit = _exchange(kernel)
    fix = "The folding of this kernel and of its producer do not fit; compare SIMD, PE and word counts."
    if taken[0] % unit:
        what = f"gets {taken[0]} beats a frame, which is not a multiple of {unit}."
        raise FlipflowError("E401", what, str(kernel["name"]), fix)
    if taken[-1] != taken[0]:
        what = f"gets {taken[0]} beats a frame at one input and {taken[-1]} at the other."
        raise FlipflowError("E401", what, str(kernel["name"]), fix)
    return taken[0] // unit * per_unit


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
    if kernel["model"] == "pad":
        return kernel["pass"], kernel["before"] + kernel["pass"] + kernel["after"]
    return 1, 1
