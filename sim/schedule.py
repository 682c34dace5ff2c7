"""The steady state of a pipeline, and what every kernel does meanwhile, from the cycle model.

A pipeline without random stalls runs into a cycle of its own: where its state at the end of a frame equals that at the end of an
earlier one, all in between repeats itself for ever. So its rate is exact after a few frames, however many are asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.sim import cycles
from flipflow.sim.cycle_model import start, stuck
from flipflow.sim.pipeline import check

_MOST_FRAMES = 192  # that are run in search of a repetition


@dataclass(frozen=True)
class Steady:
    """The steady state of a pipeline whose ends never hold back, in clock cycles.

    period, frames: so many frames leave every `period` cycles. latency: of the first frame, as of `cycle_model.Prediction`.
    high_water: the most words each FIFO ever holds. proven: the state has repeated itself; otherwise period is what the second
    half of the frames took.
    """

    period: int
    frames: int
    latency: int
    high_water: dict[str, int]
    proven: bool

    @property
    def pace(self) -> float:
        """Cycles a frame."""
        return self.period / self.frames

    @property
    def ii(self) -> int:
        """Cycles a frame, rounded up."""
        return -(-self.period // self.frames)


def steady(
    pipeline: Sequence[Mapping[str, Any]], in_beats: int, out_beats: int, interval: int = 0, frames: int = _MOST_FRAMES
) -> Steady:
    """Run `pipeline` until it repeats itself, for at most `frames` frames; arguments and errors as of `cycle_model.predict`."""
    checked = check(pipeline, in_beats, out_beats)
    job = cycles.Job(frames, in_beats, out_beats, interval)
    solution = start(checked).solve(job, until_repeat=True)
    if solution is None:
        chain = start(checked)
        chain.run(job)
        raise stuck(pipeline, checked, chain)
    completion = solution.completion
    water = dict(zip(checked.fifos, solution.high_water, strict=True))
    latency = int(completion[0]) - solution.first_accept
    if solution.period_frames:
        return Steady(solution.period_cycles, solution.period_frames, latency, water, True)
    half = frames // 2
    return Steady(int(completion[-1] - completion[half - 1]), frames - half, latency, water, False)


def keeps(pipeline: Sequence[Mapping[str, Any]], in_beats: int, out_beats: int, interval: int, latency: int) -> bool:
    """Whether every frame n, offered in cycle n * interval, leaves within `latency` cycles, for ever; False for a deadlock, too.

    Raises: FlipflowError E400, E401, E411, as `cycle_model.predict`.
    """
    job = cycles.Job(_MOST_FRAMES, in_beats, out_beats, interval)
    solution = start(check(pipeline, in_beats, out_beats)).solve(job, latency, until_repeat=True)
    return solution is not None and solution.period_cycles == solution.period_frames * interval > 0


def full_fifos(
    pipeline: Sequence[Mapping[str, Any]], in_beats: int, out_beats: int, frames: int = 2
) -> list[str] | None:
    """FIFOs that are full where the pipeline comes to a stop before so many frames have left it; None if it does not.

    Raises: FlipflowError E400, E401, E411, as `cycle_model.predict`.
    """
    checked = check(pipeline, in_beats, out_beats)
    job = cycles.Job(frames, in_beats, out_beats)
    if start(checked).solve(job) is not None:
        return None
    chain = start(checked)
    chain.run(job)
    return [name for name, full in zip(checked.fifos, chain.full(), strict=True) if full]


@dataclass(frozen=True)
class Timeline:
    """What every kernel did over time.

    names: of the kernels but FIFOs and width converters. edges: int64 [bins + 1], cycles at which bins begin and end.
    activity: int64 [kernels, bins, 3], cycles in which a kernel worked, was refused its word, and waited.
    completion: int64 [frames], cycle in which a frame's last beat leaves.
    """

    names: tuple[str, ...]
    edges: NDArray[np.int64]
    activity: NDArray[np.int64]
    completion: NDArray[np.int64]


def timeline(
    pipeline: Sequence[Mapping[str, Any]], in_beats: int, out_beats: int, frames: int = 3, bins: int = 240
) -> Timeline:
    """What every kernel does while `frames` frames pass; arguments and errors as of `cycle_model.predict`."""
    checked = check(pipeline, in_beats, out_beats)
    job = cycles.Job(frames, in_beats, out_beats)
    whole = start(checked)
    if not whole.run(job):
        raise stuck(pipeline, checked, whole)
    width = max(1, -(-whole.cycle // bins))
    chain = start(checked)
    edges, sums = [0], [chain.activity()]
    while chain.run(job, width) is None:
        edges.append(chain.cycle)
        sums.append(chain.activity())
    edges.append(chain.cycle)
    sums.append(chain.activity())
    shown = [index for index, model in enumerate(checked.models) if model not in ("fifo", "gearbox")]
    total = np.stack(sums, axis=1)[shown]
    activity: NDArray[np.int64] = total[:, 1:] - total[:, :-1]
    return Timeline(
        tuple(checked.names[index] for index in shown), np.array(edges, dtype=np.int64), activity, chain.completion()
    )
