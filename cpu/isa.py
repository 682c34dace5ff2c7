"""Names of instruction sets, and which of them this machine offers."""

import importlib
import os
from types import ModuleType

from flipflow.errors import Exit, FlipflowError

ISAS = ("scalar", "avx2", "avx512bw", "avx512", "neon", "neon_dot")


def core() -> ModuleType:
    """The compiled part. Raises FlipflowError E556 where it is missing."""
    try:
        return importlib.import_module("flipflow.cpu._core")  # plans for "scalar" are written without it
    except ImportError as error:
        raise FlipflowError(
            "E556", f"it cannot be loaded ({error}).", "flipflow.cpu._core", "Run `make setup`.", Exit.TOOL_MISSING
        ) from error


def available_isas() -> tuple[str, ...]:
    """Instruction sets that this processor can run, fastest first."""
    native = core()
    return tuple(isa for isa in native.isas() if native.supported(isa))


def target(isa: str) -> str:
    """The instruction set to write a plan for: any known one, whatever this machine has.

    "auto" is the one that the environment variable FLIPFLOW_ISA names, else the best one here.
    Raises: FlipflowError E550 where there is no such name.
    """
    forced = _forced(isa)
    if isa == "auto" and not forced:
        return str(core().best_isa())
    name = forced or isa
    if name not in ISAS:
        known = f"Known are auto, {', '.join(ISAS)}."
        raise FlipflowError("E550", "there is no such instruction set.", _where(name, forced), known)
    return name


def runnable(isa: str) -> str:
    """The instruction set to run; "auto" as for target().

    Raises: FlipflowError E550 where this machine lacks it, or there is no such name.
    """
    name, forced = target(isa), _forced(isa)
    available = available_isas()
    if name not in available:
        fix = (
            f"{'Unset FLIPFLOW_ISA, or take what is' if forced else 'Take what is'} available: {', '.join(available)}."
        )
        raise FlipflowError("E550", "this machine lacks this instruction set.", _where(name, forced), fix)
    return name


def _forced(isa: str) -> str:
    """What stands in for "auto", "" for nothing."""
    name = os.environ.get("FLIPFLOW_ISA", "")
    return name if isa == "auto" and name != "auto" else ""


def _where(name: str, forced: str) -> str:
    return f"FLIPFLOW_ISA={name}" if forced else repr(name)
