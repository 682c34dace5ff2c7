"""The level hls: FINN's HLS layers of a built run, compiled with g++ against finn-hlslib and simulated.

What is compiled is FINN's own code of every layer (see `flipflow.hw.hls.codegen`) with finn-hlslib's templates. Compiled
simulators are cached by their sources, the headers and the compiler.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.hls.codegen import Program, generate
from flipflow.hw.hls.compiler import build, find_headers
from flipflow.hw.hls.convert import DEFAULT_PART, convert
from flipflow.hw.hls.finn_graph import specialise

Progress = Callable[[int, int], None]  # frames done, frames in all
_WARNING = "WARNING: Hls::stream"  # what ap_types' streams print when they are read empty or left full
_ERROR_LINES = 6


@dataclass(frozen=True)
class HlsResult:
    """logits: int64 [N, classes]. compile_seconds: 0 where the simulator came from the cache. run_seconds: of the simulation."""

    logits: NDArray[np.int64]
    compile_seconds: float
    run_seconds: float


def run(
    run_dir: Path,
    integers: NDArray[np.integer],
    hlslib: Path | None = None,
    ap_types: Path | None = None,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """Logits int64 [N, classes] of images; arguments and errors as for `simulate`."""
    return simulate(run_dir, integers, hlslib, ap_types, progress).logits


def simulate(
    run_dir: Path,
    integers: NDArray[np.integer],
    hlslib: Path | None = None,
    ap_types: Path | None = None,
    progress: Progress | None = None,
) -> HlsResult:
    """Run images through FINN's HLS layers of a built run.

    integers: [N, H, W, C] or [N, K] as the input quantizer gives them, bipolar as -1 and +1. hlslib: a clone of
    finn-hlslib, $FLIPFLOW_HLSLIB by default. ap_types: the folder of ap_int.h, by default $FLIPFLOW_AP_TYPES or that of an
    installed hls4ml.

    Raises: FlipflowError E395 (a layer that FINN lacks), E396 (finn-hlslib), E397 (ap_types), E398 (compiler), E399
    (simulation), E300 (no folded.onnx), E405 (images).
    """
    from flipflow.hw.graph import load_model  # noqa: PLC0415

    headers = find_headers(hlslib, ap_types)
    graph = convert(load_model(run_dir / "folded.onnx"))
    program = generate(specialise(graph, DEFAULT_PART, converters=True), DEFAULT_PART)
    started = time.monotonic()
    binary, fresh = build(program.files, headers)
    compiled = time.monotonic() - started if fresh else 0.0
    started = time.monotonic()
    outputs = _execute(binary, program, np.asarray(integers), progress)
    return HlsResult(program.scale * outputs + program.offset, compiled, time.monotonic() - started)


def obstacle(run_dir: Path) -> str | None:
    """Why a built run's network has no level hls; None where it has one. Raises: FlipflowError E300."""
    from flipflow.hw.graph import load_model  # noqa: PLC0415

    try:
        convert(load_model(run_dir / "folded.onnx"))
    except FlipflowError as error:
        if error.code != "E395":
            raise
        return f"{error.where}: {error.what}"
    return None


def _execute(
    binary: Path, program: Program, integers: NDArray[np.integer], progress: Progress | None
) -> NDArray[np.int64]:
    frames = _frames(integers, program)
    with tempfile.TemporaryDirectory(prefix="flipflow-hls-") as scratch:
        source, sink = Path(scratch) / "in.bin", Path(scratch) / "out.bin"
        frames.tofile(source)
        command = [str(binary), str(source), str(sink), str(len(frames))]
        lines = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                done = re.fullmatch(r"frame (\d+)\n", line)
                if done and progress:
                    progress(int(done[1]), len(frames))
                if not done:
                    lines.append(line.rstrip())
        if process.returncode or any(_WARNING in line for line in lines):
            quoted = "; ".join(lines[:_ERROR_LINES]) or f"exit code {process.returncode}"
            raise FlipflowError(
                "E399", f"the simulation failed: {quoted}.", str(binary), "Report this as a bug.", Exit.CHECK_FAILED
            )
        values = np.fromfile(sink, np.int32)
    return values.reshape(len(frames), program.outputs).astype(np.int64)


def _frames(integers: NDArray[np.integer], program: Program) -> NDArray[np.int32]:
    """Images as the first layer's stream elements, int32 [N, inputs]."""
    if integers.ndim < 2 or int(np.prod(integers.shape[1:])) != program.inputs:
        what = f"images of shape {list(integers.shape[1:])} do not have {program.inputs} elements."
        raise FlipflowError("E405", what, "images", "Pass the integers that the input quantizer produces.")
    values = integers.reshape(len(integers), -1)
    return np.where(values < 0, program.zero, 1).astype(np.int32) if program.bipolar else values.astype(np.int32)
