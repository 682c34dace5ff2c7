"""Single binary 3x3 convolutions: MAC a cycle beside the machine's limit, and beside onnxruntime.

Each shape of the ResNets' four stages is a plan of two convolutions: the first gives bits (its threshold is fused), the
second raw sums. The engine's profile times them one by one. In each round the clock and the instruction set's limit (the inner
loop's vector operations on registers alone) are measured right before, so the share of the limit compares two times of
the same moment, whatever the clock does. A binary MAC is one product of two signs, border taps included: 115.6 M in each shape.

onnxruntime's convolutions are timed by its own profiler, so changes of layout at the ends of the model do not count.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession

from flipflow.cpu.bench.engines import clock_ghz, layer_times, limit, random_images
from flipflow.cpu.bench.float_graph import conv_layer
from flipflow.cpu.bench.float_onnx import INPUT
from flipflow.cpu.bench.networks import BIT
from flipflow.cpu.bench.peers import model_bytes, onnxruntime_session
from flipflow.cpu.compile import compile_plan
from flipflow.cpu.engine import Engine
from flipflow.export.integer.net import Conv, IntegerNet, Threshold
from flipflow.sim.reporter import Reporter

SHAPES = ((56, 64), (28, 128), (14, 256), (7, 512))
FORMS = ("bits", "sums")
_CALLS = 10
_LIMIT_SECONDS = 1e-3


def conv_pair(size: int, channels: int, seed: int = 0) -> IntegerNet:
    """A map of bits through two binary 3x3 convolutions with zero padding: conv0 gives bits, conv1 sums."""
    random = np.random.default_rng(seed)

    def conv(name: str) -> Conv:
        weights = (random.integers(0, 2, (channels, 3, 3, channels), np.int8) * 2 - 1).astype(np.int16)
        return Conv(name, weights, (1, 1), (1, 1, 1, 1), "zero", BIT, 1, True, "sum")

    levels = random.integers(-8, 9, (channels, 1)).astype(np.int32)
    threshold = Threshold("threshold0", levels, random.random(channels) < 0.5, BIT)
    operators = (conv("conv0"), threshold, conv("conv1"))
    return IntegerNet(BIT, (size, size, channels), operators, 1.0, size * size * channels)


def shape_name(size: int, channels: int) -> str:
    """As in the tables: 56x56x64."""
    return f"{size}x{size}x{channels}"


def macs(size: int, channels: int) -> int:
    """Products of one 3x3 convolution that keeps size and channels."""
    return size * size * 9 * channels * channels


@dataclass(frozen=True)
class _Sample:
    """One round of one shape: milliseconds by form, what the limit did in a nanosecond, the clock."""

    milliseconds: dict[str, float]
    limit_mac_per_ns: float
    clock_ghz: float


def measure_kernels(
    isas: Sequence[str], rounds: int, reporter: Reporter, shapes: Sequence[tuple[int, int]] = SHAPES
) -> list[dict[str, Any]]:
    """Rows {"shape", "isa", "form", "mac_per_cycle", "limit_mac_per_cycle", "of_limit", "ms", "kernel"}; medians over rounds."""
    cases = [(isa, size, channels) for size, channels in shapes for isa in isas]
    nets = [conv_pair(size, channels) for _, size, channels in cases]
    engines = [Engine(compile_plan(net, isa), isa=isa, threads=1) for net, (isa, _, _) in zip(nets, cases, strict=True)]
    images = [random_images(net, 1) for net in nets]
    lengths = {isa: _limit_rounds(isa) for isa in isas}
    samples: list[list[_Sample]] = [[] for _ in cases]
    names: list[dict[str, str]] = [{} for _ in cases]
    for number in range(rounds):
        for index, (isa, *_) in enumerate(cases):
            rate = _limit_rate(isa, lengths[isa])
            found = {row.name: row for row in layer_times(engines[index], images[index], _CALLS)}
            times = {"bits": found["conv0"].ms, "sums": found["conv1"].ms}
            samples[index].append(_Sample(times, max(rate, _limit_rate(isa, lengths[isa])), clock_ghz()))
            names[index] = {"bits": found["conv0"].kernel, "sums": found["conv1"].kernel}
        reporter.progress("bench kernels", number + 1, rounds, f"{rounds} rounds")
    return [
        {"shape": shape_name(size, channels), "isa": isa, "form": form, "kernel": names[index][form]}
        | _summary(samples[index], form, macs(size, channels))
        for index, (isa, size, channels) in enumerate(cases)
        for form in FORMS
    ]


def _summary(samples: Sequence[_Sample], form: str, work: int) -> dict[str, float]:
    rates = [work / (sample.milliseconds[form] * 1e6) for sample in samples]
    return {
        "mac_per_cycle": statistics.median(rate / s.clock_ghz for rate, s in zip(rates, samples, strict=True)),
        "limit_mac_per_cycle": statistics.median(s.limit_mac_per_ns / s.clock_ghz for s in samples),
        "of_limit": statistics.median(rate / s.limit_mac_per_ns for rate, s in zip(rates, samples, strict=True)),
        "ms": statistics.median(s.milliseconds[form] for s in samples),
    }


def _limit_rounds(isa: str) -> int:
    """How many rounds of the limit's loop take about _LIMIT_SECONDS."""
    rounds = 1000
    while True:
        started = time.perf_counter()
        limit(isa, rounds)
        if time.perf_counter() - started >= _LIMIT_SECONDS:
            return rounds
        rounds *= 2


def _limit_rate(isa: str, rounds: int) -> float:
    """Binary MAC a nanosecond: the best of three short runs, as a limit is."""
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        done = limit(isa, rounds)
        best = max(best, done / ((time.perf_counter() - started) * 1e9))
    return best


def measure_peers(rounds: int, reporter: Reporter, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[dict[str, Any]]:
    """Rows {"shape", "engine", "ms", "mac_per_cycle"} of onnxruntime's fp32 and int8 convolutions; medians."""
    cases = [(size, channels, int8) for size, channels in shapes for int8 in (False, True)]
    clocks = []
    with tempfile.TemporaryDirectory(prefix="flipflow-profile-") as folder:
        sessions = [_profiled(*case, Path(folder)) for case in cases]
        for number in range(rounds):
            for session, (size, channels, _) in zip(sessions, cases, strict=True):
                feed = {INPUT: np.ones((1, channels, size, size), np.float32)}
                for _ in range(_CALLS):
                    session.run(None, feed)
                clocks.append(clock_ghz())
            reporter.progress("bench peers' kernels", number + 1, rounds, f"{rounds} rounds")
        times = [_convolution_ms(Path(session.end_profiling())) for session in sessions]
    clock = statistics.median(clocks)
    return [
        {
            "shape": shape_name(size, channels),
            "engine": "onnxruntime-int8" if int8 else "onnxruntime-fp32",
            "ms": ms,
            "mac_per_cycle": macs(size, channels) / (ms * 1e6 * clock),
        }
        for (size, channels, int8), ms in zip(cases, times, strict=True)
    ]


def _profiled(size: int, channels: int, int8: bool, folder: Path) -> InferenceSession:
    model = model_bytes(conv_layer((channels, size, size)), int8)
    return onnxruntime_session(model, 1, folder / f"{shape_name(size, channels)}-{int8}")


def _convolution_ms(profile: Path) -> float:
    """Median time of the one convolution in onnxruntime's profile; the first calls are left out."""
    events = json.loads(profile.read_text())
    times = [
        event["dur"] * 1e-3
        for event in events
        if event["cat"] == "Node"
        and event["args"].get("op_name") in ("Conv", "FusedConv", "QLinearConv")
        and event["name"].endswith("_kernel_time")
    ]
    return float(statistics.median(times[min(_CALLS, len(times) // 2) :]))
