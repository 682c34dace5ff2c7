"""The compiled cycle model: sim/cycles.cpp, a plain shared library, loaded with ctypes.

Use `flipflow.sim.cycle_model`, which validates what it passes on here.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import flipflow.sim
from flipflow.errors import Exit, FlipflowError

LIBRARY = "libflipflow_cycles.so"
_SLICE = 1 << 22  # cycles between two chances to act on Ctrl-C, a fraction of a second
_STOPPED, _DONE, _MORE = 0, 1, 2  # what flipflow_cycles_run returns

_INT64_ARRAY = ctypes.POINTER(ctypes.c_int64)
_HANDLE = ctypes.c_void_p
_COUNT = ctypes.c_int64
# name: result and arguments, as declared at the end of sim/cycles.cpp
_SIGNATURES = {
    "new": (_HANDLE, ()),
    "free": (None, (_HANDLE,)),
    "add": (ctypes.c_int32, (_HANDLE, ctypes.c_int32, _INT64_ARRAY)),
    "wire": (ctypes.c_int32, (_HANDLE, _COUNT, _COUNT, _COUNT, _COUNT)),
    "run": (
        ctypes.c_int32,
        (_HANDLE, _COUNT, _COUNT, _COUNT, ctypes.c_double, ctypes.c_uint64, _COUNT, _COUNT),
    ),
    "counts": (None, (_HANDLE, _INT64_ARRAY)),
    "completion": (None, (_HANDLE, _INT64_ARRAY)),
    "fifos": (None, (_HANDLE, _INT64_ARRAY)),
}


class Pipeline:
    """Kernels out of reset, in topological order.

    models: 0 fifo, 1 gearbox, 2 steps, 3 window, 4 mvtu, 5 fork, 6 join, 7 pad. parameters: of each kernel, as its class in
    sim/cycle_kernels.h takes them. wires: (number of the source kernel, its output, number of the sink kernel, its input).
    fifos: how many of the kernels are FIFOs.

    After `run`: cycle, the number of cycles stepped; first_accept, the cycle in which the first beat was taken (-1: none);
    accepted and produced, beats taken and given.

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
        self._fifos = fifos
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

    def run(self, frames: int, in_beats: int, out_beats: int, stall: float, seed: int, patience: int) -> bool:
        """Run until `frames` frames have left, or nothing has moved for `patience` cycles; return False for the latter."""
        state = _MORE
        while state == _MORE:
            state = self._library.flipflow_cycles_run(
                self._handle, frames, in_beats, out_beats, stall, seed, patience, _SLICE
            )
        if state < 0:
            raise MemoryError
        self._update()
        return bool(state == _DONE)

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

    def _fifo_states(self) -> NDArray[np.int64]:
        states = np.empty((self._fifos, 3), dtype=np.int64)
        self._library.flipflow_cycles_fifos(self._handle, states.ctypes.data_as(_INT64_ARRAY))
        return states

    def _update(self) -> None:
        counts = (ctypes.c_int64 * 5)()
        self._library.flipflow_cycles_counts(self._handle, counts)
        self.cycle, self.first_accept, self.accepted, self.produced, self._finished = counts


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
