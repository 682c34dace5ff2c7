"""The NumPy reference: executes an integer net on packed bits. Everything else is measured against it.

Binary layers never see floats: bits are packed little-endian by channel (channel 0 in bit 0), and a dot product of K signs is
K - 2 popcount(a XOR w). Layers with k-bit operands are integer matrix products, done by BLAS in float64 or float32, which
are exact here because every partial sum stays below 2^53 or 2^24.
"""

from collections.abc import Iterator

import numpy as np

from flipflow.export.integer.net import (
    NET_INPUT,
    ActType,
    Add,
    Conv,
    IntegerNet,
    Linear,
    MaxPool,
    Operator,
    SumPool,
    Threshold,
)

_BATCH = 32
_WORD_BITS = ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64))
_PIXEL_BLOCK = 4096
_FLOAT32_EXACT = 2**24


def run(net: IntegerNet, images: np.ndarray, batch: int = _BATCH) -> np.ndarray:
    """Integer logits int64 [N, classes] of integer `images` [N, H, W, C] or [N, K] (bipolar values as -1 and +1)."""
    outputs = [_last(net, images[start : start + batch]) for start in range(0, len(images), batch)]
    return np.concatenate(outputs) if outputs else np.zeros((0, net.classes), np.int64)


def classify(logits: np.ndarray) -> np.ndarray:
    """Class index int64 [N]; on a tie the lowest index wins."""
    classes: np.ndarray = np.argmax(logits, axis=1)
    return classes


def layers(net: IntegerNet, images: np.ndarray) -> Iterator[tuple[Operator, np.ndarray]]:
    """Each operator with its integer output (maps in NHWC; popcounts where the operator's domain says so)."""
    last_use = {source: index for index, sources in enumerate(net.wires) for source in sources}
    values = {NET_INPUT: np.ascontiguousarray(images)}
    for index, (operator, sources) in enumerate(zip(net.operators, net.wires, strict=True)):
        values[index] = _apply(operator, [values[source] for source in sources])
        for source in set(sources):
            if last_use[source] == index:
                del values[source]
        yield operator, values[index]


def _last(net: IntegerNet, images: np.ndarray) -> np.ndarray:
    *_, (_, logits) = layers(net, images)
    return logits.reshape(len(images), -1).astype(np.int64)


def _apply(operator: Operator, values: list[np.ndarray]) -> np.ndarray:
    value = values[0]
    if isinstance(operator, Add):
        return _add(operator, value, values[1])
    if isinstance(operator, SumPool):
        total: np.ndarray = _windows(value, operator.kernel, operator.stride).sum(axis=(3, 4), dtype=np.int32)
        return total
    if isinstance(operator, Conv):
        return _conv(operator, value)
    if isinstance(operator, Linear):
        return _linear(operator, value.reshape(len(value), -1))
    if isinstance(operator, Threshold):
        return _threshold(operator, value)
    return _max_pool(operator, value)


# --- layers ---


def _conv(op: Conv, value: np.ndarray) -> np.ndarray:
    if op.input.bipolar and op.weight_bipolar:
        return _binary_conv(op, value)
    filler = {"minus_one": -1, "plus_one": 1}.get(op.pad_kind, 0)
    windows = _windows(_pad(value, op.pads, filler), op.weights.shape[1:3], op.stride)
    shape = windows.shape[:3]
    sums = _integer_product(windows.reshape(-1, op.weights[0].size), op.weights.reshape(len(op.weights), -1), op)
    return sums.reshape(*shape, -1)


def _binary_conv(op: Conv, value: np.ndarray) -> np.ndarray:
    """popcounts or sums int32 [N, OH, OW, M]."""
    bits = pack(value > 0)
    filler = pack(np.ones((1, value.shape[-1]), bool))[0] if op.pad_kind == "plus_one" else 0
    windows = _windows(_pad(bits, op.pads, filler), op.weights.shape[1:3], op.stride)
    count, height, width = windows.shape[:3]
    fan_in = op.weights[0].size
    mismatches = _mismatches(
        windows.reshape(count * height * width, -1), pack(op.weights > 0).reshape(len(op.weights), -1)
    )
    matches: np.ndarray = (fan_in - mismatches).reshape(count, height, width, -1)
    if op.domain == "popcount":
        return matches
    sums: np.ndarray = 2 * matches - fan_in
    if op.pad_kind == "zero":
        sums += _border_correction(op, value.shape[1:3])
    return sums


def _border_correction(op: Conv, size: tuple[int, int]) -> np.ndarray:
    """What a padded tap, counted as -1, took away wrongly: the weights at the taps outside the map, int32 [OH, OW, M]."""
    outside = _pad(np.zeros((1, *size, 1), np.int32), op.pads, 1)
    windows = _windows(outside, op.weights.shape[1:3], op.stride)[0]
    taps = op.weights.sum(axis=3, dtype=np.int32).reshape(len(op.weights), -1)
    corrected: np.ndarray = windows.reshape(*windows.shape[:2], -1) @ taps.T
    return corrected


def _linear(op: Linear, value: np.ndarray) -> np.ndarray:
    if not (op.input.bipolar and op.weight_bipolar):
        return _integer_product(value, op.weights, op)
    fan_in = op.weights.shape[1]
    matches: np.ndarray = fan_in - _mismatches(pack(value > 0), pack(op.weights > 0))
    sums: np.ndarray = 2 * matches - fan_in
    return matches if op.domain == "popcount" else sums


def _integer_product(rows: np.ndarray, weights: np.ndarray, op: Conv | Linear) -> np.ndarray:
    """rows [P, K] times weights [M, K] transposed, int32 [P, M], through a float type that holds every sum exactly."""
    largest = max(abs(op.input.minimum), abs(op.input.maximum)) * int(
        np.abs(weights.astype(np.int64)).sum(axis=1).max()
    )
    kind = np.float32 if largest < _FLOAT32_EXACT else np.float64
    product: np.ndarray = (rows.astype(kind) @ weights.T.astype(kind)).astype(np.int32)
    return product


# --- bits ---


def pack(bits: np.ndarray) -> np.ndarray:
    """bool [..., C] to words [..., W], channel 0 in bit 0 of word 0; unused bits are 0. Words of 8 to 64 bits, as C needs."""
    channels = bits.shape[-1]
    width, kind = next(((w, k) for w, k in _WORD_BITS if channels <= w), _WORD_BITS[-1])
    missing = -channels % width
    if missing:
        bits = np.concatenate([bits, np.zeros((*bits.shape[:-1], missing), bool)], axis=-1)
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view(kind)


def _mismatches(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Differing bits int32 [P, M] of words [P, W] and [M, W]."""
    result = np.empty((len(activations), len(weights)), np.int32)
    columns = np.ascontiguousarray(weights.T)
    for start in range(0, len(activations), _PIXEL_BLOCK):
        block = activations[start : start + _PIXEL_BLOCK]
        total = np.zeros((len(block), len(weights)), np.uint16 if weights[0].nbytes * 8 < 2**16 else np.uint32)
        for word in range(weights.shape[1]):
            total += np.bitwise_count(block[:, word, None] ^ columns[word])
        result[start : start + len(block)] = total
    return result


# --- maps ---


def _pad(value: np.ndarray, pads: tuple[int, int, int, int], filler: int | np.ndarray) -> np.ndarray:
    if not any(pads):
        return value
    top, left, bottom, right = pads
    count, height, width, channels = value.shape
    padded = np.empty((count, height + top + bottom, width + left + right, channels), value.dtype)
    padded[...] = filler
    padded[:, top : top + height, left : left + width] = value
    return padded


def _windows(value: np.ndarray, kernel: tuple[int, ...], stride: tuple[int, int]) -> np.ndarray:
    """Contiguous [N, OH, OW, KH, KW, C] of a padded map."""
    view = np.lib.stride_tricks.sliding_window_view(value, kernel, axis=(1, 2))
    return np.ascontiguousarray(view[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3))


def _threshold(op: Threshold, value: np.ndarray) -> np.ndarray:
    """int8, int16 or int32 outputs of the same shape."""
    kind = _storage(op.output)
    if op.levels.shape[1] == 1:
        count = (value >= op.levels[:, 0]).astype(kind)
    else:
        count = np.empty(value.shape, kind)
        for channel, levels in enumerate(op.levels):
            count[..., channel] = np.searchsorted(levels, value[..., channel], side="right")
    count = np.where(op.invert, op.output.levels - count, count).astype(kind)
    outputs: np.ndarray = 2 * count - 1 if op.output.bipolar else (count + op.output.minimum).astype(kind)
    return outputs


def _add(op: Add, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Integer sum, saturated to the stated range."""
    total = left.astype(np.int32) + right
    saturated: np.ndarray = np.clip(total, op.output.minimum, op.output.maximum).astype(_storage(op.output))
    return saturated


def _storage(output: ActType) -> np.dtype:
    """A type that holds the output, with room for negation."""
    return np.dtype(np.int8 if output.bits < 8 else np.int16 if output.bits < 16 else np.int32)


def _max_pool(op: MaxPool, value: np.ndarray) -> np.ndarray:
    """Maximum, or minimum for some channels as the maximum of the complement."""
    sign = np.where(op.minimum, -1, 1).astype(value.dtype)
    lowest = np.iinfo(value.dtype).min
    windows = _windows(_pad(value * sign, op.pads, lowest), op.kernel, op.stride)
    pooled: np.ndarray = windows.max(axis=(3, 4)) * sign
    return pooled
