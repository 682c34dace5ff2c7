"""Clocks of a board: the dividers of the FPGA's PLL that come nearest to a wanted clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from flipflow.errors import FlipflowError

_TOLERANCE = Fraction(2, 100)  # of the wanted clock; beyond that it is another clock


@dataclass(frozen=True)
class Limits:
    """What a family's PLL can do; frequencies in MHz. input / input_div is compared with output / feedback_div.

    oscillator = output * output_div. middle: of the oscillator's range, where its jitter is low.
    """

    input_divs: range
    feedback_divs: range
    output_divs: tuple[int, ...]
    compared: tuple[float, float]
    oscillator: tuple[float, float]
    output: tuple[float, float]
    middle: float


# ECP5: Lattice FPGA-DS-02012, "sysCLOCK PLL Timing"; the slowest comparison as Project Trellis' ecppll has it. GW2A-18C: Gowin
# DS102, "PLL Switching Characteristics", speed grade C8/I7, and apycula's gowin_pll.
LIMITS = {
    "ecp5": Limits(
        range(1, 129), range(1, 81), tuple(range(1, 129)), (3.125, 400.0), (400.0, 800.0), (3.125, 400.0), 600.0
    ),
    "gowin": Limits(
        range(1, 65), range(1, 65), (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
        (3.0, 500.0), (500.0, 1250.0), (3.90625, 625.0), 875.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Clock:
    """A clock made from a board's oscillator. mhz: what comes out, exactly; dividers are all 1 where no PLL is needed."""

    mhz: Fraction
    input_div: int = 1
    feedback_div: int = 1
    output_div: int = 1

    @property
    def direct(self) -> bool:
        """Whether the oscillator's own clock is used, without a PLL."""
        return self.output_div == self.feedback_div == self.input_div == 1


def plan_clock(family: str, oscillator_mhz: float, wanted_mhz: float) -> Clock:
    """The clock nearest to `wanted_mhz` that the family's PLL makes of a board's oscillator.

    family: a key of LIMITS. Among equally near ones that with the oscillator nearest to the middle of its range, then that
    with the fastest comparison. The oscillator's own clock is used as it is where it is what is wanted.

    Raises: FlipflowError E380 where nothing comes within 2 %.
    """
    source, wanted = Fraction(oscillator_mhz).limit_denominator(10**6), Fraction(wanted_mhz).limit_denominator(10**6)
    if source == wanted:
        return Clock(source)
    limits = LIMITS[family]
    best = min(_clocks(limits, source, wanted), key=lambda clock: _rank(clock, limits, wanted), default=None)
    if best is None or abs(best.mhz - wanted) > wanted * _TOLERANCE:
        nearest = "" if best is None else f" The nearest is {float(best.mhz):.3f} MHz."
        raise FlipflowError(
            "E380",
            f"no divider of the {family} PLL makes it of the board's {oscillator_mhz:g} MHz.{nearest}",
            f"a clock of {wanted_mhz:g} MHz",
            f"Choose one in {limits.output[0]:g}..{limits.output[1]:g} MHz (--clock-mhz).",
        )
    return best


def _rank(clock: Clock, limits: Limits, wanted: Fraction) -> tuple[Fraction, float, int]:
    return abs(clock.mhz - wanted), abs(float(clock.mhz) * clock.output_div - limits.middle), clock.input_div


def _clocks(limits: Limits, source: Fraction, wanted: Fraction) -> Iterator[Clock]:
    """Clocks within the limits: of each input divider those next to `wanted`, the oscillator as near to its middle as can be."""
    for input_div in limits.input_divs:
        compared = source / input_div
        if not limits.compared[0] <= compared <= limits.compared[1]:
            continue
        below = int(wanted / compared)
        for feedback_div in {below, below + 1} & set(limits.feedback_divs):
            mhz = compared * feedback_div
            fitting = [div for div in limits.output_divs if limits.oscillator[0] <= mhz * div <= limits.oscillator[1]]
            if limits.output[0] <= mhz <= limits.output[1] and fitting:
                output_div = min(fitting, key=lambda div: abs(float(mhz) * div - limits.middle))
                yield Clock(mhz, input_div, feedback_div, output_div)
