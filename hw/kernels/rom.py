"""Words of memory files: integers to bits, bits to the hexadecimal lines that $readmemh reads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bits_of(values: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """Two's complement bits of integers: [..., n] -> [..., n * width], element 0 in the low bits, bit 0 first."""
    shifted = np.asarray(values, dtype=np.int64)[..., None] >> np.arange(width, dtype=np.int64)
    bits = (shifted & 1).astype(np.uint8)
    return bits.reshape(*bits.shape[:-2], -1)


def hex_lines(bits: NDArray[np.uint8]) -> list[str]:
    """One hexadecimal line a word: bits [words, width], bit 0 first, to lines of ceil(width / 4) digits."""
    words, width = bits.shape
    octets = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    digits = -(-width // 4)
    return [octets[word].tobytes().hex()[-digits:] for word in range(words)]


def row_files(file: str, lines: list[str], row_words: int) -> dict[str, list[str]]:
    """Files of a memory that is cut into rows of `row_words` words, the rest in the last, as the RTL module rom names them."""
    starts = range(0, len(lines), row_words)
    return {f"row{row:02d}_{file}": lines[start : start + row_words] for row, start in enumerate(starts)}


def signed_width(low: int, high: int) -> int:
    """Smallest two's complement width in bits that holds low..high."""
    return max(int(high).bit_length() if high >= 0 else 0, (-int(low) - 1).bit_length() if low < 0 else 0) + 1


def unsigned_width(high: int) -> int:
    """Smallest unsigned width in bits that holds 0..high (at least 1)."""
    return max(1, int(high).bit_length())
