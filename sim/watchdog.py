"""What a pipeline that has stopped moving says about its culprit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flipflow.errors import FlipflowError


@dataclass(frozen=True)
class Meeting:
    """A kernel at which two branches meet, and the FIFO nearest to each of its inputs."""

    join: str
    fifos: tuple[str, str]


def meetings(pipeline: Sequence[Mapping[str, Any]]) -> list[Meeting]:
    """The meetings of a pipeline that has passed `flipflow.sim.pipeline.check`; those without a FIFO on either side left out."""
    nearest: dict[str, str] = {}  # the FIFO that a kernel is, or hangs on
    found = []
    before = ""
    for kernel in pipeline:
        name = str(kernel["name"])
        sources = [nearest.get(source.partition(":")[0], "") for source in kernel.get("inputs", [before])]
        nearest[name] = name if kernel["model"] == "fifo" else sources[0]
        if kernel["model"] == "join" and all(sources):
            found.append(Meeting(name, (sources[0], sources[1])))
        before = name
    return found


def deadlock(
    code: str,
    fifos: Sequence[str],
    full: Sequence[bool],
    empty: Sequence[bool],
    when: str,
    branches: Sequence[Meeting] = (),
) -> FlipflowError:
    """Return the error for a pipeline that stopped moving.

    fifos, full, empty: names and states of the FIFOs in stream order. when: cycle and progress, for the message. branches: where
    branches meet. A full FIFO before a meeting at whose other side the FIFO is empty is the culprit: the fork before it cannot
    go on. Else the culprit stands between the last FIFO that holds words, which it refuses, and the next, which it starves.
    """
    is_full = {name for name, flag in zip(fifos, full, strict=True) if flag}
    is_empty = {name for name, flag in zip(fifos, empty, strict=True) if flag}
    listed = [", ".join(name for name in fifos if name in names) or "none" for names in (is_full, is_empty)]
    what = f"nothing moves any more {when}; full: {listed[0]}; empty: {listed[1]}."
    for meeting in branches:
        for bypass, other in (meeting.fifos, meeting.fifos[::-1]):
            if bypass in is_full and other in is_empty:
                reason = f"it is full, and {meeting.join!r} waits for the other branch ({other!r} is empty); {what}"
                return FlipflowError(code, reason, f"FIFO {bypass!r}", "Make this FIFO deeper.")
    holding = max((i for i, name in enumerate(fifos) if name not in is_empty), default=-1)
    before = f"FIFO {fifos[holding]!r}" if holding >= 0 else "the input"
    after = f"FIFO {fifos[holding + 1]!r}" if holding + 1 < len(fifos) else "the output"
    return FlipflowError(
        code,
        what,
        f"between {before} and {after}",
        "The kernel there waits for words that cannot come: give its buffer (rows of a window, cap of a gearbox) "
        "or the FIFO before it more room.",
    )
