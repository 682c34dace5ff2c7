"""What a folding costs, and how its parts weigh against each other."""

from dataclasses import dataclass

from flipflow.hw.kernels.area import LUTS_SAVED

# What a block RAM weighs against LUTs where two foldings are compared: what it must save to hold a ROM. An ECP5-85F has 402
# LUT4s for each, but few designs use all blocks, and placement takes long over LUTs: at 402, foldings take twice the LUTs.
LUTS_PER_BRAM = LUTS_SAVED
# The same of a multiplier block: there are 536 LUT4s for each in an ECP5-85F, and most would lie idle.
LUTS_PER_DSP = 32


@dataclass(frozen=True)
class Cost:
    """LUT4s, 18-kbit block RAMs, multiplier blocks."""

    lut: int = 0
    bram: int = 0
    dsp: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.lut + other.lut, self.bram + other.bram, self.dsp + other.dsp)

    @property
    def weighted(self) -> int:
        """All of it as LUTs."""
        return self.weighed(WEIGHTS)

    def weighed(self, weights: "Cost") -> int:
        """The sum of all, each times its weight."""
        return self.lut * weights.lut + self.bram * weights.bram + self.dsp * weights.dsp

    def covers(self, other: "Cost") -> bool:
        """Whether this is as much as the other in everything, or more."""
        return self.lut >= other.lut and self.bram >= other.bram and self.dsp >= other.dsp


WEIGHTS = Cost(1, LUTS_PER_BRAM, LUTS_PER_DSP)
