"""The compiled cycle model: sim/cycles.cpp, a plain shared library, loaded with ctypes.

Use `flipflow.sim.cycle_model`, which validates what it passes on here.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import flipflow.sim
from flipflow.errors import Exit, FlipflowError

LIBRARY = "libflipflow_cycles.so"
_SLICE = 1 << 22  # cycles, or words on wires, between two chances to act on Ctrl-C, a fraction of a second
_STOPPED, _DONE, _MORE, _LATE = 0, 1, 2, 3  # what flipflow_cycles_solve and _run return

_INT64_ARRAY = ctypes.POINTER(ctypes.c_int64)
_HANDLE = ctypes.c_void_p
_COUNT = ctypes.c_int64
# name: result and arguments, as declared at the end of sim/cycles.cpp
_SIGNATURES = {
    "new": (_HANDLE, ()),
    "free": (None, (_HANDLE,)),
    "add": (ctypes.c_int32, (_HANDLE, ctypes.c_int32, _INT64_ARRAY)),
    "wire": (ctypes.c_int32, (_HANDLE, _COUNT, _COUNT, _COUNT, _COUNT)),
    "solve": (ctypes.c_int32, (_HANDLE, *(_COUNT,) * 4, ctypes.c_int32, _COUNT, _INT64_ARRAY)),
    "solution": (None, (_HANDLE, _INT64_ARRAY, _INT64_ARRAY)),
    "run": (
        ctypes.c_int32,
        (_HANDLE, *(_COUNT,) * 5, ctypes.c_double, ctypes.c_uint64, ctypes.c_int32, _COUNT),
    ),
    "counts": (None, (_HANDLE, _INT64_ARRAY)),
    "completion": (None, (_HANDLE, _INT64_ARRAY)),
    "fifos": (None, (_HANDLE, _INT64_ARRAY)),
    "activity": (None, (_HANDLE, _INT64_ARRAY)),
}


@dataclass(frozen=True)
class Job:
    """What a pipeline is to do: `frames` frames of in_beats beats in and out_beats out.

    interval: cycles before which the next frame's beats are not offered (0: beats are offered all the time).
    """

    frames: int
    in_beats: int
    out_beats: int
    interval: int = 0


@dataclass(frozen=True)
class Stepping:
    """How a pipeline is stepped. stall, seed: as of `flipflow.sim.cycle_model.predict`. patience: with stalls, cycles without
    movement after which it counts as stuck. every: step every kernel in every cycle, as a check of what is otherwise left out.
    """

    patience: int = 10_000  # far more than any chain of stages or random stall can hold
    stall: float = 0.0
    seed: int = 0
    every: bool = False


@dataclass(frozen=True)
class Solution:
    """When frames leave. completion: int64 [frames], cycle in which the last beat of each was taken. first_accept: cycle in which
    the first beat was taken. high_water: the most words that each FIFO ever held. period_cycles, period_frames: of what repeats
    itself from some frame on (0: nothing).
    """

    completion: NDArray[np.int64]
    first_accept: int
    high_water: list[int]
    period_cycles: int
    period_frames: int


class Pipeline:
    """Kernels out of reset, in topological order.

    models: 0 fifo, 1 gearbox, 2 steps, 3 window, 4 mvtu, 5 fork, 6 join, 7 pad. parameters: of each kernel, as its class in
    sim/cycle_kernels.h takes them. wires: (number of the source kernel, its output, number of the sink kernel, its input).
    fifos: how many of the kernels are FIFOs.

    After `run`: cycle, the number of cycles run; first_accept, the cycle in which the first beat was taken (-1: none);
    accepted and produced, beats taken and given; idle, cycles since something moved; steps, of all kernels together.

    Raises: FlipflowError E411 if the library is missing; MemoryError.
    """

    def __init__(
        self,
        models: Sequence[int],
        parameters: Sequence[Sequence[int]],
        wires: Sequence[tuple[int, int, int, int]],
        fifos: int,
    ) -> None:
        self._handle: int | None = None
        self._library = _load()
        self._fifos, self._kernels = fifos, len(models)
        self._handle = self._library.flipflow_cycles_new()
        if self._handle is None:
            raise MemoryError
        for model, values in zip(models, parameters, strict=True):
            added = self._library.flipflow_cycles_add(self._handle, model, (ctypes.c_int64 * len(values))(*values))
            if added < 0:
                raise MemoryError
            if not added:
                raise ValueError(f"unknown kernel model {model}")
        for wire in wires:
            if self._library.flipflow_cycles_wire(self._handle, *wire) < 0:
                raise MemoryError
        self._update()

    def __del__(self) -> None:
        if self._handle is not None:
            self._library.flipflow_cycles_free(self._handle)

    def solve(self, job: Job, latency: int = 0, until_repeat: bool = False) -> Solution | None:
        """Work out when frames leave, without stepping; None where the pipeline comes to a stop or a frame is late. Call it once.

        latency: where it is not 0, frame n must be done in cycle latency + n * interval, counted from the first beat taken.
        until_repeat: stop with the frame from which on all repeats itself.
        """
        task = (job.frames, job.in_beats, job.interval, latency, until_repeat, _SLICE)
        state, counts = _MORE, (ctypes.c_int64 * 4)()
        while state == _MORE:
            state = self._library.flipflow_cycles_solve(self._handle, *task, counts)
        if state < 0:
            raise MemoryError
        if state != _DONE:
            return None
        completion, marks = np.empty(counts[0], dtype=np.int64), np.empty(self._fifos, dtype=np.int64)
        arrays = completion.ctypes.data_as(_INT64_ARRAY), marks.ctypes.data_as(_INT64_ARRAY)
        self._library.flipflow_cycles_solution(self._handle, *arrays)
        return Solution(completion, counts[1], [int(mark) for mark in marks], counts[2], counts[3])

    def run(self, job: Job, cycles: int | None = None, stepping: Stepping = Stepping()) -> bool | None:
        """Step until all frames have left (True), nothing can move any more (False), or about `cycles` more are over (None)."""
        state, end = _MORE, None if cycles is None else self.cycle + cycles
        while state == _MORE and (end is None or self.cycle < end):
            span = _SLICE if end is None else min(_SLICE, end - self.cycle)
            state = self._library.flipflow_cycles_run(self._handle, *astuple(job), *astuple(stepping), span)
            self._update()
        if state < 0:
            raise MemoryError
        return None if state == _MORE else bool(state == _DONE)

    def completion(self) -> NDArray[np.int64]:
        """Return the cycle in which the last beat of each finished frame was taken; int64 [frames]."""
        cycles = np.empty(self._finished, dtype=np.int64)
        self._library.flipflow_cycles_completion(self._handle, cycles.ctypes.data_as(_INT64_ARRAY))
        return cycles

    def high_water(self) -> list[int]:
        """Return the most words that each FIFO ever held."""
        return [int(words) for words in self._fifo_states()[:, 0]]

    def full(self) -> list[bool]:
        """Return which FIFOs are full."""
        return [bool(flag) for flag in self._fifo_states()[:, 1]]

    def empty(self) -> list[bool]:
        """Return which FIFOs are empty."""
        return [bool(flag) for flag in self._fifo_states()[:, 2]]

    def activity(self) -> NDArray[np.int64]:
        """Return the cycles in which each kernel worked, was refused its word, and waited; int64 [kernels, 3]."""
        cycles = np.empty((self._kernels, 3), dtype=np.int64)
        self._library.flipflow_cycles_activity(self._handle, cycles.ctypes.data_as(_INT64_ARRAY))
        return cycles

    def _fifo_states(self) -> NDArray[np.int64]:
        states = np.empty((self._fifos, 3), dtype=np.int64)
        self._library.flipflow_cycles_fifos(self._handle, states.ctypes.data_as(_INT64_ARRAY))
        return states

    def _update(self) -> None:
        counts = (ctypes.c_int64 * 7)()
        self._library.flipflow_cycles_counts(self._handle, counts)
        self.cycle, self.first_accept, self.accepted, self.produced, self._finished, self.idle, self.steps = counts


def library_path() -> Path:
    """Return the path of the compiled library, next to this package (in site-packages even if the source is elsewhere).

    Raises: FlipflowError E411.
    """
    folders = [Path(folder) for folder in flipflow.sim.__path__]
    for folder in folders:
        if (folder / LIBRARY).is_file():
            return folder / LIBRARY
    raise _unusable(f"it is not in {', '.join(map(str, folders))}.")


@cache
def _load() -> ctypes.CDLL:
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, f"flipflow_cycles_{name}")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:  # built for another machine, or by another version of flipflow
        raise _unusable(f"it does not load: {error}.") from error
    return library


def _unusable(reason: str) -> FlipflowError:
    return FlipflowError(
        "E411",
        f"the compiled part of the cycle model cannot be used; {reason}",
        LIBRARY,
        "Run `make setup` (remove .venv first if it finds nothing to do), or install flipflow's wheel again.",
        Exit.TOOL_MISSING,
    )
