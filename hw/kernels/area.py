"""Area estimates: what the parts that kernels are made of take, in LUTs and 18-kbit block RAMs.

Counted as Yosys 0.70 maps them to ECP5 (`synth_ecp5 -nowidelut`), in the units of flipflow.hw.synth.families: a CCU2C is two
LUT4s, a LUT RAM of 16 x 4 bits six. Where memories go follows Yosys' own rule (memory_libmap: the cheapest by its cost
figures), so it is exact; sums and comparisons are exact by their widths; multiplexers and ROMs in LUTs are what LUT mapping
makes of them on average. Constants that were fitted say so where they are; docs/results/area.json has every estimate
beside its synthesis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import expm1

# Yosys' lattice/brams_16kd.txt and lutrams_trellis.txt: unit widths of a block of 2^14 bits (9, 18, 36 with parity bits), costs
# of a block and of a LUT RAM, and memory_libmap's costs of a multiplexer input, of a write enable and of a ROM's bit in logic.
_UNIT_WIDTHS = (1, 2, 4, 9, 18, 36)
_BLOCK_COST, _LUTRAM_COST = 128, 4
_STEER_COST, _ROM_BIT_COST = 0.5, 1 / 16
_LUTRAM_LUTS = 6
# LUTs that a block RAM must save to be worth it. There are 402 LUT4s for each in an ECP5-85F, but few designs use all blocks.
LUTS_SAVED = 48
# Rows of a ROM in block RAM: each has registers of its own.
_MOST_ROWS = 99
# Adders up to this width are gates, wider ones carry chains.
_GATE_WIDTH = 4


def bits(values: int) -> int:
    """Bits of a counter of so many values, at least 1 ($clog2)."""
    return max(1, (values - 1).bit_length())


def chain(width: int) -> int:
    """LUTs of the carry chain of a sum or a comparison; 0 up to four bits, which become gates."""
    return 2 * -(-width // 2) if width > _GATE_WIDTH else 0


def compare(width: int) -> int:
    """LUTs of a comparison of two words."""
    return chain(width) or width


def multiplexer(inputs: int) -> int:
    """LUT4s of a bit's choice among so many inputs: two for every three of them after the first."""
    return -(-2 * (inputs - 1) // 3) if inputs > 2 else max(0, inputs - 1)


@dataclass(frozen=True)
class Storage:
    """Where a memory lies: its LUTs (with what steers them) and its 18-kbit block RAMs."""

    lut: int = 0
    bram: int = 0

    def __add__(self, other: "Storage") -> "Storage":
        return Storage(self.lut + other.lut, self.bram + other.bram)


def ram(depth: int, width: int) -> Storage:
    """A memory with a write port and a registered read port, that may read anything of a word being written."""
    cost, blocks = _blocks(depth, width, written=True)
    rows = -(-depth // 16)
    distributed = int(_LUTRAM_COST * rows * -(-width // 4) + _STEER_COST * ((rows - 1) * width + _several(rows)))
    return blocks if cost < distributed else lut_ram(depth, width)


def lut_ram(depth: int, width: int) -> Storage:
    """The same in LUT RAM, or one that is read combinationally."""
    rows = -(-depth // 16)
    return Storage(_LUTRAM_LUTS * rows * -(-width // 4) + width * multiplexer(rows) + _several(rows))


def rom(depth: int, width: int, in_blocks: bool | None = None, cut: bool = True) -> Storage:
    """A ROM with a registered read port, of random contents.

    in_blocks: in block RAM or in LUTs; None: see rom_in_blocks. cut: in block RAM it is cut into rows (rom_row_words).
    """
    if not (rom_in_blocks(depth, width) if in_blocks is None else in_blocks):
        return Storage(rom_luts(depth, width))
    row = rom_row_words(depth, width) if cut else 0
    return dict(_cuts(depth, width))[row] if row else _blocks(depth, width, written=False)[1]


def rom_row_words(depth: int, width: int) -> int:
    """Words of the rows that a ROM in block RAM is cut into (RTL module rom), 0 where it stays whole.

    Whole, it would choose among several rows of blocks behind their slow outputs, and all rows would have the same shape.
    """
    if not _blocks(depth, width, written=False)[1].lut:
        return 0
    cuts = [(_BLOCK_COST * cut.bram + cut.lut, -row, row) for row, cut in _cuts(depth, width)]
    return min(cuts)[2] if cuts else 0


def _cuts(depth: int, width: int) -> Iterator[tuple[int, Storage]]:
    """Powers of two of words whose memories, and the rest's, are a row of blocks each; with the storage of all."""
    for row in (1 << 14 - index for index in range(len(_UNIT_WIDTHS))):
        full, rest = divmod(depth, row)
        parts = [_blocks(words, width, written=False)[1] for words in (row, rest) if words]
        if full and full + (rest > 0) <= _MOST_ROWS and depth > row and not any(part.lut for part in parts):
            blocks = full * parts[0].bram + (parts[1].bram if rest else 0)
            yield row, Storage(width * multiplexer(full + (rest > 0)), blocks)


def unforced_rom(depth: int, width: int, columns: int | None = None) -> Storage:
    """The same where it is left to Yosys where the ROM lies. columns: as many random ones hold what its `width` do."""
    cost, blocks = _blocks(depth, width, written=False)
    return blocks if cost < int(_ROM_BIT_COST * depth * width) else Storage(rom_luts(depth, columns or width))


def rom_in_blocks(depth: int, width: int) -> bool:
    """True where a ROM is to lie in block RAM: where every block saves a good number of LUTs."""
    return rom_luts(depth, width) >= LUTS_SAVED * block_rams(depth, width)


def block_rams(depth: int, width: int) -> int:
    """Block RAMs of a ROM that lies in them, however shallow."""
    return _blocks(depth, width, written=False)[1].bram


def rom_luts(depth: int, width: int) -> int:
    """LUTs of a ROM that lies in LUTs; 0 for a single word, which is a constant.

    Columns that are equal become one: of 2^depth functions of the address, `width` random ones are so many different ones.
    LUTs a column of more than 16 words: measured with random contents (3.6 at 32 words, 8.9 at 64, 19.3 at 128).
    """
    if depth <= 2:  # of two words: the address bit or its inverse
        return max(0, depth - 1)
    functions = 2.0 ** min(depth, 60) - 2 - (2 * bits(depth) if depth <= 4 else 0)
    different = functions * -expm1(-width / functions) if functions < 50 * width else width
    if depth <= 16:
        return round(different)
    return round(different * (1.96 + 0.05 * depth if depth <= 32 else 0.153 * depth - 0.55))


def _several(rows: int) -> int:
    """Write enables of a memory of so many rows of blocks: one each, none of its own for a single row."""
    return rows if rows > 1 else 0


def _blocks(depth: int, width: int, written: bool) -> tuple[int, Storage]:
    """(Yosys' cost, storage) of a memory in block RAM, at the cheapest of the block's widths."""
    best: tuple[int, Storage] | None = None
    for index, unit in enumerate(_UNIT_WIDTHS):
        rows = -(-depth // (1 << 14 - index))
        byte = min(9, unit) if written else 1  # writes enable bytes
        count = -(-rows * -(-width // byte) * byte // unit)
        enables = _several(rows) if written else 0
        cost = int(_BLOCK_COST * count + _STEER_COST * ((rows - 1) * width + enables))
        if best is None or cost < best[0]:
            best = cost, Storage(width * multiplexer(rows) + enables, count)
    assert best is not None
    return best
