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
    return _branch(levels, max(0, counted - (groups - 1)), 0, levels) + has_extra(width)


def has_extra(width: int) -> int:
    """1 where a match stays outside the tree, for the accumulator's carry."""
    return int(width >= 4 and width & (width - 1) == 0)


def _branch(level: int, matches: int, first: int, levels: int) -> int:
    """LUTs of a branch whose groups of three, from group `first` on, fill up with `matches` in order."""
    held = min(max(matches - 3 * first, 0), 3 << (level - 1))
    if level == 1:
        return _GROUP_LUTS[held]
    half = 1 << (level - 2)
    left, right = (_branch(level - 1, matches, first + offset, levels) for offset in (0, half))
    if not held:
        return 1  # its carry alone
    # Both halves and the carry's match; a sum where the left half alone holds something counts up by the carry.
    both = matches > 3 * (first + half)
    return left + right + (_GATE_LEVEL_LUTS.get(level) or chain(level + 2) + 1 if both else level)


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
    return luts + out_bits + (chain(out_bits - low_zeros) if offset else 0)


def control_luts(nf: int, sf: int, folded_thresholds: bool) -> int:
    """LUTs of the step counters and of the pipeline's flags."""
    counters = [bits(count) for count in (sf, nf * sf, nf if folded_thresholds else 1) if count > 1]
    return 8 + sum(2 * width + chain(width) for width in counters)
