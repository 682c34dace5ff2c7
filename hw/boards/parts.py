"""What the FPGAs of the supported boards hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Capacities: 4-input LUTs, flip-flops, block RAMs of 18 kbit, 18 x 18 multipliers."""

    lut: int
    ff: int
    bram: int
    dsp: int


# ECP5: Lattice FPGA-DS-02012, table 1.1 (two LUT4s and two flip-flops to every two LUTs of a slice). The LFE5U-12F is sold as
# half an LFE5U-25F and has its die. Gowin: DS117 and DS226, table 1-1.
PARTS: dict[str, Part] = {
    "LFE5U-12F": Part(24_288, 24_288, 56, 28),
    "LFE5U-25F": Part(24_288, 24_288, 56, 28),
    "LFE5U-45F": Part(43_848, 43_848, 108, 72),
    "LFE5U-85F": Part(83_640, 83_640, 208, 156),
    "GW2A-18C": Part(20_736, 15_552, 46, 48),
}
