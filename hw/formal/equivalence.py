"""RTL against netlist, kernel by kernel."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flipflow.hw.formal.abc import differ_never
from flipflow.hw.formal.miter import Pair, write_miter

Result = Literal["proved", "different", "undecided"]
_RESULTS: dict[str, Result] = {"never": "proved", "sometimes": "different", "undecided": "undecided"}


@dataclass(frozen=True)
class Proof:
    """proved: equal outputs in every cycle for every input sequence. different: cycle counts from the reset's. undecided: neither
    was found within the time. registers, gates: of RTL and netlist together. seconds: what it took.
    """

    module: str
    result: Result
    cycle: int | None
    registers: int
    gates: int
    seconds: float


def prove(pair: Pair, limit_s: float = 120.0) -> Proof:
    """Decide whether a kernel's RTL and its netlist ever give different outputs.

    limit_s: seconds for the decision, beyond those that it takes to read both.

    Raises: FlipflowError E350 (no pyosys), E420 (a cell without a model), E423 (a tool ends unexpectedly), E424 (no such kernel).
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flipflow-proof-") as scratch:
        aiger = Path(scratch) / "miter.aig"
        size = write_miter(pair, aiger)
        verdict = differ_never(aiger, size.asserts, limit_s)
    seconds = round(time.monotonic() - started, 2)
    return Proof(pair.module, _RESULTS[verdict.answer], verdict.cycle, size.registers, size.gates, seconds)
