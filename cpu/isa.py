"""Names of instruction sets, and which of them this machine offers."""

import importlib
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
    """The instruction set to write a plan for: any known one, whatever this machine has; "auto" is the best one here.

    Raises: FlipflowError E550 where there is no such name.
    """
    if isa == "auto":
        return str(core().best_isa())
    if isa not in ISAS:
        raise _unknown(isa)
    return isa


def runnable(isa: str) -> str:
    """`isa` where this machine has it. Raises FlipflowError E550 where it has not, or the name is unknown."""
    if isa == "auto":
        return isa
    if isa not in ISAS:
        raise _unknown(isa)
    available = available_isas()
    if isa not in available:
        raise FlipflowError(
            "E550", "this machine lacks this instruction set.", isa, f"Available are {', '.join(available)}."
        )
    return isa


def _unknown(isa: str) -> FlipflowError:
    return FlipflowError("E550", "there is no such instruction set.", repr(isa), f"Known are auto, {', '.join(ISAS)}.")
