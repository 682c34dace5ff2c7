"""Runs a simulator built by sim/verilator.py on packed beats, and reads what it says."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.sim.watchdog import Meeting, deadlock

Progress = Callable[[int, int], None]  # frames done, frames in all


@dataclass(frozen=True)
class Job:
    """What to run. Beats are counted per frame; words are the 32-bit words of a beat.

    patience: cycles without a beat at either end until the run is given up.
    stall: probability that an end holds back in a cycle. seed: of that and of registers without a reset.
    check_last: tlast must mark each frame's last beat. trace: waveform file, for a simulator built with that format.
    arguments: further ones for the model, such as "+name=value".
    """

    frames: int
    in_beats: int
    out_beats: int
    in_words: int
    out_words: int
    patience: int
    stall: float = 0.0
    seed: int = 0
    check_last: bool = True
    trace: Path | None = None
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class RawResult:
    """beats: uint32 [frames, out_beats, out_words]. completion: int64 [frames], counted as in sim/cycle_model.py.

    first_accept: cycle of the first input beat. cycles: simulated, without reset. seconds: of the simulation alone.
    """

    beats: NDArray[np.uint32]
    completion: NDArray[np.int64]
    first_accept: int
    cycles: int
    seconds: float


def run(
    binary: Path,
    directory: Path,
    job: Job,
    beats: Iterable[NDArray[np.uint32]],
    *,
    fifos: Sequence[str],
    branches: Sequence[Meeting] = (),
    progress: Progress | None = None,
) -> RawResult:
    """Run a simulator until all frames are out.

    directory: working directory, where $readmemh finds its files.
    beats: uint32 [n, in_beats, in_words] blocks of frames, `job.frames` in all.
    fifos: names of the bits of fifo_full_o and fifo_empty_o. branches: where branches meet, for the watchdog.
    progress: called with frames done and frames in all.

    Raises: FlipflowError E403 (deadlock; names the full and the empty FIFOs), E404 (output breaks the handshake),
    E407 (the simulator stopped or complained, e.g. a ROM file is missing), E409 (tlast misplaced).
    """
    with tempfile.TemporaryDirectory(prefix="flipflow-sim-") as scratch:
        files = {name: Path(scratch) / name for name in ("in", "out", "done", "errors")}
        with files["in"].open("wb") as stream:
            for block in beats:
                stream.write(np.ascontiguousarray(block, dtype="<u4").data)
        report = _execute(
            [str(binary.resolve()), *_arguments(job, files)], directory, files["errors"], job.frames, progress
        )
        _judge(report, job, fifos, branches)
        out = np.fromfile(files["out"], dtype="<u4").astype(np.uint32, copy=False)
        completion = np.fromfile(files["done"], dtype=np.int64)
    return RawResult(
        beats=out.reshape(job.frames, job.out_beats, job.out_words),
        completion=completion,
        first_accept=int(report["first"]),
        cycles=int(report["cycles"]),
        seconds=float(report["seconds"]),
    )


def _arguments(job: Job, files: dict[str, Path]) -> list[str]:
    values = {
        "in": files["in"],
        "out": files["out"],
        "done": files["done"],
        "frames": job.frames,
        "in_beats": job.in_beats,
        "out_beats": job.out_beats,
        "in_words": job.in_words,
        "out_words": job.out_words,
        "stall": f"{job.stall:.17g}",  # the very double that the cycle model gets
        "seed": job.seed,
        "patience": job.patience,
        "check_last": int(job.check_last),
        "trace": job.trace.resolve() if job.trace else "",
    }
    return [f"{key}={value}" for key, value in values.items()] + list(job.arguments)


def _execute(
    command: list[str], directory: Path, errors: Path, frames: int, progress: Progress | None
) -> dict[str, Any]:
    """Run the simulator, passing its progress on; return its last line."""
    report: dict[str, Any] = {}
    said = ""
    with (
        errors.open("w") as complaints,
        subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                if line.startswith("{"):
                    report = json.loads(line)
                elif line.startswith("frames ") and progress is not None:
                    progress(int(line.split()[1]), frames)
                elif not line.startswith("frames "):
                    said += line  # Verilator warns on standard output, of a missing ROM file for one
        except BaseException:
            process.kill()  # Ctrl-C, or a progress callback that raised: leave no simulator behind
            raise
    said = (said + errors.read_text(errors="replace")).strip()
    if process.returncode != 0 or said or not report:
        raise FlipflowError(
            "E407",
            f"ended with code {process.returncode}: {said or 'no message'}.",
            "the simulator",
            "Check that rtl/ holds all .mem files and the disk is not full; else please report it.",
        )
    return report


def _judge(report: dict[str, Any], job: Job, fifos: Sequence[str], branches: Sequence[Meeting]) -> None:
    status, cycle = report["status"], report["cycles"]
    place = f"in cycle {cycle}, with {report['accepted']} beats taken and {report['produced']} given"
    if status == "stuck":
        full = [flag == "1" for flag in report["full"][: len(fifos)]]
        empty = [flag == "1" for flag in report["empty"][: len(fifos)]]
        raise deadlock("E403", fifos, full, empty, f"after {job.patience} idle cycles, {place}", branches)
    if status == "unstable":
        raise FlipflowError(
            "E404",
            f"took a beat back or changed it while tready was low, {place}.",
            "m_axis of the accelerator",
            "A kernel breaks the handshake: its output must hold until it is taken. Please report it.",
        )
    if status == "last":
        raise FlipflowError(
            "E409",
            f"tlast is not where a frame of {job.out_beats} beats ends, {place}.",
            "m_axis of the accelerator",
            "RTL and accelerator.json differ, or a kernel lost a beat: build again; else please report it.",
        )
