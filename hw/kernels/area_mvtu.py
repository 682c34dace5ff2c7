"""Area of the matrix-vector-threshold units: popcounts and adder trees as the RTL builds them, accumulators, comparators."""

from functools import cache

from flipflow.hw.kernels.area import bits, chain

# What weights that are constants leave of a channel's products and sum; fitted to one such unit.
CONSTANT_WEIGHTS = 0.55
# LUTs of the levels of a popcount that are gates: two full adders of products, then sums of two words and a match.
_GROUP_LUTS = (0, 1, 2, 4)
_GATE_LEVEL_LUTS = {2: 5, 3: 8}


def add(width: int) -> int:
    """LUTs of a sum: its carry chain, or gates."""
    return chain(width) or width


@cache
def popcount_luts(width: int) -> int:
    """LUT4s of the RTL module xnor_popcount. 4, 13, 34, 75 and 159 at 3, 7, 15, 31 and 63 bits, as measured."""
    counted = width - has_extra(width)
    levels = max(1, counted.bit_length() - 1)
    groups = 1 << (levels - 1)
    return _branch(levels, max(0, counted - (groups - 1)), 0) + has_extra(width)


def has_extra(width: int) -> int:
    """1 where a match stays outside the tree, for the accumulator's carry."""
    return int(width >= 4 and width & (width - 1) == 0)


def _branch(level: int, matches: int, first: int) -> int:
    """LUTs of a branch whose groups of three, from group `first` on, fill up with `matches` in order."""
    held = min(max(matches - 3 * first, 0), 3 << (level - 1))
    if level == 1:
        return _GROUP_LUTS[held]
    if not held:  # the carries of its sums alone: one match, or the 2^(level - 1) - 1 of a smaller tree
        return 1 if level == 2 else _branch(level - 2, 3 << (level - 3), 0)
    half = 1 << (level - 2)
    left, right = (_branch(level - 1, matches, first + offset) for offset in (0, half))
    if level in _GATE_LEVEL_LUTS:
        # Both halves and the carry's match; where the left half alone holds groups, it counts up by the carry.
        return left + right + (_GATE_LEVEL_LUTS[level] if matches > 3 * (first + half) else level)
    return left + right + chain(level + 2) + 1


def adder_tree_luts(lanes: int, width: int, sum_width: int, carries: bool) -> int:
    """LUTs of the RTL module adder_tree."""
    luts = 0
    while lanes > 1:
        width = min(width + 1, sum_width)
        luts += lanes // 2 * add(width + carries)
        lanes = -(-lanes // 2)
    return luts


def results_luts(acc_width: int, carry: bool, one_step: bool, thresholds: int, out_bits: int, offset: int) -> float:
    """LUTs of a channel from the sum of a step's products on: accumulator, thresholds or raw sum, skid buffer.

    carry: the products' sum brings a carry bit. one_step: a vector's sum is that of a step. offset: what is subtracted from
    raw sums; its low zeros leave their bits alone.
    """
    luts = 0 if one_step and not carry else add(acc_width + carry)
    if thresholds:
        luts += thresholds * (chain(acc_width) or acc_width)
        return luts + out_bits + (1 if thresholds == 1 else 1.9 * thresholds)
    low_zeros = (offset & -offset).bit_length() - 1
    return luts + out_bits + (add(out_bits - low_zeros) if offset else 0)


def control_luts(nf: int, sf: int, folded_thresholds: bool) -> int:
    """LUTs of the step counters and of the pipeline's flags."""
    return round(5 + sum(counter_luts(count) for count in (sf, nf * sf, nf if folded_thresholds else 1) if count > 1))


def counter_luts(count: int) -> float:
    """LUTs of a counter of so many values: its sum, telling the last value, and going back to 0 where that is no overflow.

    Measured on the RTL module mvtu_control; the least certain is going back, 0.15 to 0.7 LUTs a bit.
    """
    width = bits(count)
    return add(width) + width / 3 + (0.0 if count & (count - 1) == 0 else 0.4 * width)
