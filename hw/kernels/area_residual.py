"""Area of the kernels of residual networks: sums with saturation, lines, multiplier blocks."""

from flipflow.hw.kernels.area import bits, chain

# A multiplier block's sides, two's complement; wider ones are made of several.
_BLOCK_BITS = 18


def multiplier_blocks(first: int, second: int) -> int:
    """18 x 18 multiplier blocks of a signed product of two widths: as Yosys splits it, 17 bits of each side but the top one."""
    return _slices(first) * _slices(second)


def _slices(width: int) -> int:
    return 1 if width <= _BLOCK_BITS else -(-(width - 1) // (_BLOCK_BITS - 1))


def saturate_luts(width: int, out_bits: int) -> float:
    """LUTs of the RTL module saturate: the test of the bits above the result, and a choice a bit."""
    above = width - out_bits + 1
    return out_bits + (max(1.0, above / 3) if above > 1 else 0)


def add_luts(elems: int, width: int, out_bits: int) -> int:
    """LUTs of the RTL module residual_add: summands of up to `width` bits."""
    total = width + 2
    return round(elems * ((chain(total) or total) + saturate_luts(total, out_bits))) + 3


def requantize_luts(pe: int, folds: int, factors: tuple[int, int], sums: tuple[int, int, bool], out_bits: int) -> int:
    """LUTs of the RTL module requantize without its ROM. factors: bits of x and factor; sums: AccWidth, Shift, Even."""
    acc, shift, even = sums
    partial = (_slices(factors[0]) * _slices(factors[1]) - 1) * chain(sum(factors) - _BLOCK_BITS)
    element = chain(acc) + partial + saturate_luts(acc - shift, out_bits) + (1 + shift / 3 if even else 0)
    fold_bits = bits(folds) if folds > 1 else 0
    return round(pe * element) + 3 + 2 * fold_bits + chain(fold_bits)


def sum_pool_luts(elems: int, sum_bits: int, taps: int, words: int) -> int:
    """LUTs of the RTL module sum_pool without its memory."""
    counters = [bits(count) for count in (taps, words) if count > 1]
    control = 4 + sum(2 * width + chain(width) for width in counters)
    return round(elems * ((chain(sum_bits) or sum_bits) + sum_bits)) + control


def channel_pad_luts(width: int, before: int, through: int, after: int) -> int:
    """LUTs of the RTL module channel_pad."""
    steps = bits(before + through + after + 1)
    return width + 4 + 2 * steps + chain(steps)
