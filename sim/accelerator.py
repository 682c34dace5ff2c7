"""Simulates a whole accelerator: its RTL in Verilator, fed with integer images, read back as logits and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.sim import verilator
from flipflow.sim.beats import check_images, input_stream, output_stream, pack, unpack
from flipflow.sim.runner import Job, Progress, run
from flipflow.sim.watchdog import Meeting, meetings

_SOURCES = (".sv", ".v")


@dataclass(frozen=True)
class SimResult:
    """What an accelerator answered, and when, in clock cycles counted as in sim/cycle_model.py.

    logits: int64 [N, classes]. classes: int64 [N].
    completion: int64 [N], cycle in which a frame's last beat is accepted.
    latency: from the first input beat to the last output beat of frame 0.
    ii: cycles between the last two frames; 0 if there was only one.
    cycles: simulated. seconds: of the simulation alone; cycles_per_second = cycles / seconds.
    """

    logits: NDArray[np.int64]
    classes: NDArray[np.int64]
    completion: NDArray[np.int64]
    latency: int
    ii: int
    cycles: int
    seconds: float
    cycles_per_second: float


def simulate(  # noqa: PLR0913 - images, and how to run them
    run_rtl_dir: Path,
    accel: Mapping[str, Any],
    images_int: NDArray[Any],
    *,
    stall: float = 0.0,
    seed: int = 0,
    trace: Path | None = None,
    progress: Progress | None = None,
    quick: bool = False,
    sources: Sequence[Path] | None = None,
) -> SimResult:
    """Build the simulator of an accelerator (or take it from the cache) and run images through it.

    run_rtl_dir: the run's rtl/ directory, with sources and .mem files. accel: accelerator.json.
    images_int: integers [N, H, W, C] or [N, K] as the input quantizer gives them, bipolar as -1 and +1.
    stall: probability in 0..0.99 that an end holds back in a cycle. seed: of that and of registers without a reset.
    trace: waveform file to write, .vcd or .fst. progress: called with frames done and frames in all.
    quick: build fast rather than simulate fast. sources: simulate these instead of the run's RTL, its netlist for one.

    Raises: FlipflowError E403 (deadlock), E404 (broken handshake), E405 (images), E406 (accelerator.json),
    E407 (simulator stopped), E408 (RTL does not build), E409 (tlast), E410 (argument), E510-E514 (tools).
    """
    source, sink = input_stream(accel), output_stream(accel)
    images = np.asarray(images_int)
    check_images(images, source)
    _check_arguments(stall, seed, trace)
    rtl, fifos, branches, latency = _read(run_rtl_dir, accel)
    binary = verilator.build(sources or rtl, trace=trace.suffix[1:] if trace else "", quick=quick)
    job = Job(
        frames=len(images),
        in_beats=source.beats_per_frame,
        out_beats=sink.beats_per_frame,
        in_words=source.words,
        out_words=sink.words,
        patience=10_000 + int(4 * latency / (1 - stall)),  # both ends may well be silent while one frame is worked on
        stall=stall,
        seed=seed,
        trace=trace,
    )
    raw = run(binary, run_rtl_dir, job, pack(images, source), fifos=fifos, branches=branches, progress=progress)
    logits, classes = unpack(raw.beats, sink)
    return SimResult(
        logits=logits,
        classes=classes,
        completion=raw.completion,
        latency=int(raw.completion[0]) - raw.first_accept,
        ii=int(raw.completion[-1] - raw.completion[-2]) if len(images) > 1 else 0,
        cycles=raw.cycles,
        seconds=raw.seconds,
        cycles_per_second=raw.cycles / max(raw.seconds, 1e-9),
    )


def _check_arguments(stall: float, seed: int, trace: Path | None) -> None:
    if not 0 <= stall <= 0.99:
        raise FlipflowError("E410", f"is {stall}, but must lie in 0..0.99.", "stall", "Give a probability.")
    if not 0 <= seed < 2**62:
        raise FlipflowError("E410", f"is {seed}, but must lie in 0..2^62-1.", "seed", "Give another seed.")
    if trace is not None and trace.suffix not in {".vcd", ".fst"}:
        raise FlipflowError("E410", f"is {trace}, but must end in .vcd or .fst.", "trace", "Name a waveform file.")
    if trace is not None and not trace.resolve().parent.is_dir():
        raise FlipflowError(
            "E410", f"is {trace}, whose directory does not exist.", "trace", "Make the directory first."
        )


def _read(run_rtl_dir: Path, accel: Mapping[str, Any]) -> tuple[list[Path], list[str], list[Meeting], int]:
    """Sources, names of the FIFOs, where branches meet, predicted latency. Raises: FlipflowError E406."""
    try:
        named = [run_rtl_dir.parent / name for name in accel["sources"]]
        fifos = [str(fifo["name"]) for fifo in accel["fifos"]]
        latency = int(accel["predicted"]["latency"])
        branches = meetings(accel.get("pipeline", []))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FlipflowError(
            "E406",
            f"sources, fifos, pipeline or predicted.latency is missing or malformed ({error}).",
            "accelerator.json",
            "Build again; this file is not meant to be edited.",
        ) from error
    missing = [str(path) for path in named if not path.is_file()]
    if missing:
        raise FlipflowError("E406", "is listed in accelerator.json, but not there.", missing[0], "Build again.")
    return [path for path in named if path.suffix in _SOURCES], fifos, branches, latency
