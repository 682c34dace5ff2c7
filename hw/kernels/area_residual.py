"""Area of the kernels of residual networks: sums with saturation, lines, multiplier blocks.

Carry chains are counted by their widths; what counters and saturation take beside them is fitted.
"""

from flipflow.hw.kernels.area import bits, chain

# A multiplier block's sides, two's complement; a wider side is cut into parts of one bit less, below a sign.
BLOCK_BITS = 18
# Sums of more words a pixel than this are read two words ahead.
_MANY_WORDS = 16


def multiplier_blocks(first: int, second: int) -> int:
    """18 x 18 multiplier blocks of a signed product of two widths (RTL module multiplier)."""
    return _parts(first) * _parts(second)


def _parts(width: int) -> int:
    return 1 if width <= BLOCK_BITS else -(-(width - 1) // (BLOCK_BITS - 1))


def _product_luts(first: int, second: int, acc: int) -> int:
    """LUTs beside the blocks: the sum of the parts' products."""
    return (multiplier_blocks(first, second) - 1) * chain(acc - BLOCK_BITS + 1)


def saturate_luts(width: int, out_bits: int) -> float:
    """LUTs of the RTL module saturate: a choice a bit, and the test of the bits above the result."""
    return out_bits - 1 + (width - out_bits + 1) / 3 if width > out_bits else 0


def add_luts(elems: int, total: int, out_bits: int) -> int:
    """LUTs of the RTL module residual_add: sums of `total` bits."""
    return round(elems * ((chain(total) or total) + saturate_luts(total, out_bits))) + 4


def requantize_luts(pe: int, folds: int, factors: tuple[int, int], sums: tuple[int, int, bool], out_bits: int) -> int:
    """LUTs of the RTL module requantize without its ROM. factors: bits of x and factor; sums: AccWidth, Shift, Even."""
    acc, shift, even = sums
    element = (
        chain(acc) + _product_luts(*factors, acc) + saturate_luts(acc - shift, out_bits) + (shift / 4 if even else 0)
    )
    return round(pe * element) + 3 + _counter_luts(folds)


def sum_pool_luts(elems: int, sum_bits: int, taps: int, words: int) -> int:
    """LUTs of the RTL module sum_pool without its memory."""
    counters = sum(_counter_luts(count) for count in (taps, words))
    ahead = chain(bits(words)) if words > _MANY_WORDS else 0
    return round(elems * ((chain(sum_bits) or sum_bits) + sum_bits)) + 4 + counters + ahead


def channel_pad_luts(words: int) -> int:
    """LUTs of the RTL module channel_pad, of so many words a pixel."""
    return round(6 + 1.6 * bits(words))


def _counter_luts(count: int) -> int:
    """LUTs of a counter of so many values, with the test for its end."""
    return bits(count) + chain(bits(count)) if count > 1 else 0
