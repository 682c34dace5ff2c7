"""Area estimates in 4-input LUTs and 18-kbit block RAMs, for folding and for the user's first look.

They are estimates: fitted to measured syntheses where a constant says so, plain counting otherwise. A synthesis run is
the judge.
"""

# A ROM or RAM shallower than this becomes LUTs (measured on ECP5 with Yosys 0.70).
SHALLOW = 56
# LUT4s that a block RAM must save to be worth it. There are 402 LUT4s for each in an ECP5-85F, but few designs use all blocks.
_LUTS_SAVED = 48
# Depth x width modes of an ECP5 DP16KD, 18 kbit with its parity bits.
_MODES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))


def memory_blocks(depth: int, width: int) -> int:
    """Block RAMs of a depth x width memory: the cheapest of the block's modes, 0 for shallow ones."""
    return block_rams(depth, width) if depth >= SHALLOW else 0


def block_rams(depth: int, width: int) -> int:
    """Block RAMs of a depth x width memory that lies in them, however shallow."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in _MODES)


def rom_luts(depth: int, width: int) -> int:
    """LUT4s of a ROM in LUTs: 16 words each, and a multiplexer over them; 0 for a single word, which is a constant."""
    return (2 * -(-depth // 16) - 1) * width if depth > 1 else 0


def rom_in_blocks(depth: int, width: int) -> bool:
    """True where a ROM is to lie in block RAM: where every block saves a good number of LUTs."""
    return rom_luts(depth, width) >= _LUTS_SAVED * block_rams(depth, width)


def memory_luts(depth: int, width: int) -> int:
    """LUTs of a shallow memory (16 bits a LUT4), 0 for one that goes into block RAM."""
    return -(-depth // 16) * width if depth < SHALLOW else 0


def xnor_luts(pe: int, simd: int, acc_width: int, thresholds: int) -> int:
    """LUT4s of an XNOR unit: 2.56 a lane for XNOR and popcount, 8.2 a SIMD lane for replay, the rest a PE.

    Measured with Yosys 0.70 for ECP5, -nowidelut, one threshold a channel, K = 512 (10-bit accumulator): 164 LUTs for
    64 lanes; whole units 3,601 at PE 16 x SIMD 64 and 3,792 at PE 32 x SIMD 32, from which the two other constants
    follow (28.4 LUTs a PE, taken as half accumulator, half comparator).
    """
    return round(2.56 * pe * simd + 8.2 * simd + pe * acc_width * 1.42 * (1 + thresholds))


def mixed_luts(pe: int, simd: int, lane: int, acc_width: int, thresholds: int) -> int:
    """LUT4s of a mixed-precision unit, by counting: `lane` LUTs a product and its place in the adder tree."""
    return round(pe * (simd * lane + acc_width * 1.42 * (1 + thresholds)) + 8.2 * simd)
