"""What to benchmark."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchOptions:
    """threads: of every engine. isas: instruction sets, all of this machine's if empty. rounds: of each measurement.

    kernels: whether to time single convolutions as well.
    """

    threads: int = 1
    isas: tuple[str, ...] = ()
    rounds: int = 15
    kernels: bool = True
