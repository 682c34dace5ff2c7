"""Yosys' ABC as a judge: can an output of a circuit ever be 1?

Sequential sweeping (`scorr`) finds registers and gates that are equal in all reachable states, by induction over all of them
at once, and merges them; of two equivalent circuits little is left. Property-directed reachability (`pdr`) decides the rest:
its answers hold for any number of cycles.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flipflow.errors import FlipflowError
from flipflow.hw.synth.process import require_package

Answer = Literal["never", "sometimes", "undecided"]
_STATUS = re.compile(r"^Status = (-?\d+)", re.MULTILINE)
_FRAME = re.compile(r"asserted in frame (\d+)")
_GRACE = 5.0  # seconds to read and sweep on top of what the engines are told


@dataclass(frozen=True)
class Verdict:
    """answer: whether an output is ever 1. cycle: the first one seen in which it is, for "sometimes"."""

    answer: Answer
    cycle: int | None = None


def differ_never(aiger: Path, asserts: int, limit_s: float) -> Verdict:
    """Whether output 0 of a miter is ever 1. asserts: number of the other outputs; once proven never 1, they are used.

    limit_s: seconds in all. Raises: FlipflowError E350 (no pyosys), E423 (ABC ends unexpectedly).
    """
    end = time.monotonic() + limit_s
    alone = "cone -O 0"
    known = asserts > 0 and _ask(aiger, f"cone -O 1 -R {asserts}; orpos; scorr", limit_s / 3).answer == "never"
    prepare = f"constr -N {asserts}; scorr -c" if known else f"{alone}; scorr"
    verdict = _ask(aiger, prepare, (end - time.monotonic()) * 0.7)
    if verdict.answer != "undecided":
        return verdict
    # Nothing proven: perhaps because there is a difference, deeper than pdr came.
    return _ask(aiger, alone, end - time.monotonic(), "bmc3")


def _ask(aiger: Path, prepare: str, limit_s: float, engine: str = "pdr") -> Verdict:
    if limit_s < 1:
        return Verdict("undecided")
    program = require_package("pyosys", "board") / "yosys-abc"
    swept = aiger.with_name("swept.aig")
    swept.unlink(missing_ok=True)
    steps = [f"read_aiger {aiger.name}", prepare, f"write_aiger {swept.name}", f"{engine} -T {int(limit_s)}"]
    try:
        done = subprocess.run(
            [str(program), "-c", "; ".join([*steps, "print_status"])], cwd=aiger.parent, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=limit_s + _GRACE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Verdict("undecided")
    found = _STATUS.search(done.stdout)
    if done.returncode != 0 or found is None:
        tail = (done.stdout + done.stderr).strip()[-1000:]
        what = f"ABC ended with code {done.returncode}: {tail or 'no message'}."
        raise FlipflowError("E423", what, str(aiger), "Please report it.")
    if _is_zero(swept) or (found[1] == "1" and engine == "pdr"):
        return Verdict("never")
    if found[1] == "0":
        frame = _FRAME.search(done.stdout)
        return Verdict("sometimes", int(frame[1]) if frame else None)
    return Verdict("undecided")


def _is_zero(aiger: Path) -> bool:
    """Whether the first output of a circuit is the constant 0: sweeping proved all, and pdr says nothing of constants."""
    with aiger.open("rb") as file:
        registers = int(file.readline().split()[3])
        for _ in range(registers):
            file.readline()
        return file.readline().strip() == b"0"
