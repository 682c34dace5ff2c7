"""Cycle model: when every frame leaves a folded accelerator, without simulating its data.

`predict` takes the "pipeline" list of accelerator.json (`flipflow.sim.pipeline` says how kernels are wired). It has two engines.
One steps the registers that decide when a word may move (counters, levels, valid bits), cycle by cycle, as the RTL kernels do:
for random stalls, and to say where a pipeline is stuck. The other works out in which cycle each word moves, which is much
quicker. Models of a kernel, counts in words unless said:

- fifo: depth. A word pushed in cycle t is offered from t+1; ready while fewer than depth words are held.
- gearbox: in_elems, out_elems, cap (elements). Takes while level + in_elems <= cap, offers while level >= out_elems.
- steps: steps, consume, emit_from, emit_period, latency. A vector is `steps` steps; steps below `consume` take a word;
  step s emits if s >= emit_from and (s - emit_from) % emit_period == 0; what fires in t is offered in t + latency.
- mvtu: the same parameters and steps, with a skid buffer behind the last stage: ready depends on registers only, and
  the stages move on for one cycle when a result is refused, then stand until it is taken.
- window: sliding-window generator with a ring of `rows` rows, reader order oy, ox, ky, kx, word.
- fork: outputs. One register: a word taken in t is offered at every output from t+1 until taken there; the next one is
  taken in the cycle in which the last output lets go of it.
- join: latency. Takes a word from each of two inputs in the same cycle, gives one; all stages stand while the last is refused.
- pad: before, pass, after, latency. A pixel is before + pass + after words given, of which the `pass` in the middle are
  taken; all stages stand while the last is refused.

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
from flipflow.sim.pipeline import PARAMETERS, Pipeline, check
from flipflow.sim.watchdog import deadlock, meetings


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
    interval: int = 0,
    every: bool = False,
) -> Prediction:
    """When the first `frames` frames leave `pipeline`.

    pipeline: kernels in topological order, each {"name", "model", parameters of the model} and, where its words do not come
        from the kernel before, "inputs".
    in_beats_per_frame, out_beats_per_frame: beats of a frame at the first kernel's input and the last kernel's output.
    stall, seed: probability that an end holds back in a cycle (source and sink drawn apart), as `simulate` draws them.
    interval: a frame's beats are not offered before so many cycles times its number; 0: they are offered all the time.
    every: step every kernel in every cycle; the same answer, much slower.

    Raises: FlipflowError E400 (bad description or argument), E401 (beats do not add up along the pipeline),
    E402 (deadlock; names the full and the empty FIFOs), E411 (the compiled part is missing).
    """
    _check_arguments(frames, in_beats_per_frame, out_beats_per_frame, stall, seed, interval)
    checked = check(pipeline, in_beats_per_frame, out_beats_per_frame)
    job = cycles.Job(frames, in_beats_per_frame, out_beats_per_frame, interval)
    if stall or every:
        return _stepped(pipeline, checked, job, cycles.Stepping(stall=stall, seed=seed, every=every))
    solution = start(checked).solve(job)
    if solution is None:
        return _stepped(pipeline, checked, job, cycles.Stepping())
    return _prediction(checked, solution.completion, solution.first_accept, solution.high_water)


def _stepped(
    pipeline: Sequence[Mapping[str, Any]],
    checked: Pipeline,
    job: cycles.Job,
    stepping: cycles.Stepping,
) -> Prediction:
    """`predict` by steps. Raises: FlipflowError E402."""
    chain = start(checked)
    if not chain.run(job, stepping=stepping):
        raise stuck(pipeline, checked, chain)
    return _prediction(checked, chain.completion(), chain.first_accept, chain.high_water())


def _prediction(
    checked: Pipeline, completion: NDArray[np.int64], first_accept: int, high_water: Sequence[int]
) -> Prediction:
    gaps = np.diff(completion)
    return Prediction(
        ii=int(gaps[-1]) if len(gaps) else 0,
        latency=int(completion[0]) - first_accept,
        completion=completion,
        high_water=dict(zip(checked.fifos, high_water, strict=True)),
        steady=bool(len(gaps) > 1 and gaps[-1] == gaps[-2]),
        cycles=int(completion[-1]) + 1,
    )


def start(checked: Pipeline) -> cycles.Pipeline:
    """The kernels of a checked pipeline, out of reset. Raises: FlipflowError E411."""
    numbers = list(PARAMETERS)
    wires = [(wire.source, wire.port, wire.sink, wire.slot) for wire in checked.wires]
    models = [numbers.index(model) for model in checked.models]
    return cycles.Pipeline(models, checked.parameters, wires, len(checked.fifos))


def stuck(pipeline: Sequence[Mapping[str, Any]], checked: Pipeline, chain: cycles.Pipeline) -> FlipflowError:
    """The error E402 for a pipeline whose run by steps has ended in a deadlock."""
    when = f"in cycle {chain.cycle - chain.idle}, with {chain.accepted} beats taken and {chain.produced} given"
    return deadlock("E402", checked.fifos, chain.full(), chain.empty(), when, meetings(pipeline))


def _check_arguments(frames: int, in_beats: int, out_beats: int, stall: float, seed: int, interval: int) -> None:
    for name, value in (("frames", frames), ("in_beats_per_frame", in_beats), ("out_beats_per_frame", out_beats)):
        if value < 1:
            raise FlipflowError(
                "E400", f"{name} is {value}, but must be at least 1.", "cycle model", "Give a count above 0."
            )
    if not 0 <= stall <= 0.99:
        raise FlipflowError("E400", f"stall is {stall}, but must lie in 0..0.99.", "cycle model", "Give a probability.")
    if not 0 <= interval < 2**40:
        fix = "Give cycles between frames, or 0."
        raise FlipflowError("E400", f"interval is {interval}, but must lie in 0..2^40-1.", "cycle model", fix)
    if not 0 <= seed < 2**62:
        raise FlipflowError("E400", f"seed is {seed}, but must lie in 0..2^62-1.", "cycle model", "Give another seed.")
