"""Area of the sliding-window generator: its sums by their widths, the choices of constants that feed them, and its ring."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from flipflow.hw.kernels.area import Storage, bits, chain, ram

# LUTs of handshake and pipeline; of each different choice of constants that feeds a sum; of each bit of the loop counters; of
# telling padding, and of dropping rows; of each address bit of a ring whose depth is no power of two. Fitted to the windows that
# docs/results/area.json marks so.
_CONTROL, _CHOICE, _COUNTER_BIT, _PADDING, _DROPPING, _WRAP_BIT = 14.2, 2.8, 0.86, 12.0, 9.4, 0.47
# Likewise, of a row or column counter of so few bits that its sum is gates; and what one saves whose map's size, a power of two,
# is compared with by a single bit.
_GATES, _ONE_BIT = 3.5, 5.0


def window_area(geometry: Mapping[str, int], width: int) -> Storage:
    """Area of the RTL module window.

    geometry: its parameters, as the cycle model's description names them. width: bits of a word.
    """
    at = dict(geometry)
    row_words = at["ifm_width"] * at["words_per_pixel"]
    ring_words = at["rows"] * row_words
    covered_h = (at["ofm_height"] - 1) * at["stride_h"] + at["kernel_h"]
    covered_w = (at["ofm_width"] - 1) * at["stride_w"] + at["kernel_w"]
    rows_used = min(covered_h - at["pad_top"], at["ifm_height"])
    address = bits(ring_words)
    round_up = ring_words <= 512 or width << address <= 16384
    most = max(at["rows"], at["stride_h"], at["kernel_h"]) * row_words
    lead = bits(most + (covered_h + at["ifm_height"]) * row_words + covered_w * at["words_per_pixel"] + 1) + 1
    fill = bits(most + ring_words + 1) + 1
    loops = [at[key] for key in ("words_per_pixel", "kernel_w", "kernel_h", "ofm_width", "ofm_height")]
    counters = [bits(count) for count in loops if count > 1]
    padded = [
        (bits(max(covered - pad, size) + pad + 1), size)
        for covered, pad, size in (
            (covered_h, at["pad_top"], at["ifm_height"]),
            (covered_w, at["pad_left"], at["ifm_width"]),
        )
        if pad > 0 or covered - pad > size
    ]
    dropping = rows_used < at["ifm_height"]
    widths = [lead + 1, fill + 1, address, address, *counters, *(width for width, _ in padded)]
    widths += [bits(at["ifm_height"] * row_words)] * dropping
    if not round_up:  # subtracting the ring's words leaves their low zeros alone
        widths.append(address + 1 - ((ring_words & -ring_words).bit_length() - 1))
    moves = [1, *_moves(at, row_words, rows_used)]
    choices = _choices([-move for move in moves], lead)
    choices += _choices([-rows * row_words for rows in _released(at, rows_used)], fill)
    logic = sum(chain(each) for each in widths) + _CONTROL + _CHOICE * choices + _COUNTER_BIT * sum(counters)
    logic += _padding(padded) + _DROPPING * dropping + _WRAP_BIT * address * (not round_up)
    return Storage(round(logic)) + ram(1 << address if round_up else ring_words, width)


def _padding(padded: Sequence[tuple[int, int]]) -> float:
    """LUTs that tell padding, beside the sums of the counters. padded: a counter's bits and the map's size, for each side."""
    few = sum(not chain(width) for width, _ in padded)
    single = sum(chain(width) > 0 and size.bit_count() == 1 for width, size in padded)
    return _PADDING * (len(padded) > 0) + _GATES * few - _ONE_BIT * single


def _moves(at: Mapping[str, int], row_words: int, rows_used: int) -> tuple[int, int, int, int]:
    """Words that the reader moves by where a window's row, a window, an output row and a frame end."""
    tap_end = at["kernel_w"] * at["words_per_pixel"] - 1
    pixel_end = tap_end + (at["kernel_h"] - 1) * row_words
    line_end = pixel_end + (at["ofm_width"] - 1) * at["stride_w"] * at["words_per_pixel"]
    frame_end = line_end + (at["ofm_height"] - 1) * at["stride_h"] * row_words
    return (
        row_words - tap_end,
        at["stride_w"] * at["words_per_pixel"] - pixel_end,
        at["stride_h"] * row_words - line_end,
        rows_used * row_words - frame_end,
    )


def _released(at: Mapping[str, int], rows_used: int) -> list[int]:
    """Rows released at the end of an output row: those of most rows, then of each that differs."""
    tops = [max(row * at["stride_h"] - at["pad_top"], 0) for row in range(at["ofm_height"] + 1)]
    tops = [min(top, rows_used) for top in tops[:-1]] + [rows_used]
    return [at["stride_h"], *(down - up for up, down in pairwise(tops) if down - up != at["stride_h"])]


def _choices(constants: Sequence[int], width: int) -> int:
    """Different functions of the choice among the bits of a chosen constant; bits that never change are none."""
    columns = {tuple(constant >> bit & 1 for constant in constants) for bit in range(width)}
    return sum(1 for column in columns if len(set(column)) > 1)
