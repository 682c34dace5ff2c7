"""What a folding costs, and how its parts weigh against each other."""

from dataclasses import dataclass

# What a block RAM weighs against LUTs where two foldings are compared. An ECP5-85F has 402 LUT4s for each of its block
# RAMs, but few designs use all of them, and placement takes long over LUTs. At 402, foldings left block RAMs idle.
LUTS_PER_BRAM = 128
# The same of a multiplier block: about what an 8 x 8 multiplier takes in LUT4s. There are 536 LUT4s for each in an ECP5-85F.
LUTS_PER_DSP = 64


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
