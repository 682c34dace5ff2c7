"""Times contenders beside each other: in one process, in interleaved rounds, so that drift of the machine hits all alike.

A round gives every contender one turn, in the same order. A turn is one inference that is not timed, which warms caches and
wakes threads, and then as many timed ones as fill TURN_SECONDS; its time is their median. The median over rounds is
reported, the spread is from the 10th to the 90th percentile over rounds. Ratios are formed within each round, and
their median is reported: two contenders of the same round saw the same machine.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flipflow.cpu.bench.peers import Contender
from flipflow.sim.reporter import Reporter

BASELINE = "onnxruntime-fp32"
TURN_SECONDS = 0.03
_MOST_CALLS = 50
_PAUSE_SECONDS = 0.05  # until another library's waiting threads have ceased to spin


def measure(contenders: Sequence[Contender], rounds: int, reporter: Reporter) -> list[dict[str, Any]]:
    """One row for each contender, times in ms: see row(). The first round is thrown away.

    waited: share of the time in which this process was not running, because others used the processor; with several threads
    it is a lower bound.
    """
    times: list[list[float]] = [[] for _ in contenders]
    waited: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds + 1):
        for contender, found, idle in zip(contenders, times, waited, strict=True):
            if contender.threads > 1:
                time.sleep(_PAUSE_SECONDS)
            wall, cpu = time.perf_counter(), time.process_time()
            found.append(turn(contender.call) * 1e3)
            idle.append(max(0.0, 1.0 - (time.process_time() - cpu) / (time.perf_counter() - wall)))
        reporter.progress("bench", number, rounds)
    kept = [found[1:] for found in times]
    baseline = next((found for c, found in zip(contenders, kept, strict=True) if c.engine == BASELINE), None)
    reporter.progress("bench", rounds, rounds, f"{rounds} rounds")
    return [
        row(contender, found, baseline) | {"waited": statistics.mean(idle)}
        for contender, found, idle in zip(contenders, kept, waited, strict=True)
    ]


def turn(call: Callable[[], object]) -> float:
    """Median seconds of a call, repeated for TURN_SECONDS after one call that does not count."""
    call()
    times: list[float] = []
    while len(times) < _MOST_CALLS and (not times or sum(times) < TURN_SECONDS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def row(contender: Contender, times: Sequence[float], baseline: Sequence[float] | None) -> dict[str, Any]:
    """A row of the result.

    ms_median, ms_min, ms_p10, ms_p90 over rounds and ms_spread = ms_p90 - ms_p10; ms_rounds: all; speedup: median over rounds of
    onnxruntime-fp32's time over this one's, None where it did not run; load_ms and first_ms as in Contender.
    """
    low, high = (float(value) for value in np.percentile(times, (10, 90)))
    ratios = [b / t for b, t in zip(baseline, times, strict=True)] if baseline else None
    return {
        "engine": contender.engine,
        "isa": contender.isa,
        "threads": contender.threads,
        "ms_median": statistics.median(times),
        "ms_spread": high - low,
        "file_bytes": contender.file_bytes,
        "ms_min": min(times),
        "ms_p10": low,
        "ms_p90": high,
        "ms_rounds": list(times),
        "speedup": statistics.median(ratios) if ratios else None,
        "load_ms": contender.load_ms,
        "first_ms": contender.first_ms,
        **contender.details,
    }
