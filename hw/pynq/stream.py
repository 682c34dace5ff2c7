"""Images to the bytes of a packet, and the bytes of an answer to logits, as network.json describes both streams."""

from __future__ import annotations

from typing import Any

import numpy as np

from .links import AcceleratorError


def pack(images: np.ndarray, stream: dict[str, Any]) -> np.ndarray:
    """Bytes of a packet, uint8 [n]: every beat, element 0 in its low bits, in as many words as it needs."""
    beats, elems, bits = stream["beats_per_frame"], stream["elems_per_beat"], stream["bits"]
    values = (images > 0) if stream["bipolar"] else images
    octets = np.ascontiguousarray(values, dtype="<i8").reshape(len(images), beats, elems, 1).view(np.uint8)
    planes = np.unpackbits(octets, axis=-1, count=bits, bitorder="little").reshape(len(images), beats, elems * bits)
    beat_bits = stream["words_per_frame"] // beats * stream["word_bits"]
    padded = np.zeros((len(images), beats, beat_bits), np.uint8)
    padded[..., : elems * bits] = planes
    return np.packbits(padded, axis=-1, bitorder="little").reshape(-1)


def unpack(data: np.ndarray, stream: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Logits int64 [N, classes] and classes int64 [N] of the bytes of a packet."""
    beats, bits, pe = stream["beats_per_frame"], stream["logit_bits"], stream["pe"]
    beat_bytes = stream["words_per_frame"] // beats * stream["word_bits"] // 8
    planes = np.unpackbits(data.reshape(-1, beats, beat_bytes), axis=-1, bitorder="little").astype(np.int64)
    weights = np.int64(1) << np.arange(bits, dtype=np.int64)
    weights[-1] = -weights[-1]  # two's complement
    logits = planes[..., : pe * bits].reshape(len(planes), stream["classes"], bits) @ weights
    index = planes[:, -1, pe * bits : pe * bits + stream["class_bits"]]
    return logits, index @ (np.int64(1) << np.arange(stream["class_bits"], dtype=np.int64))


def check_images(images: np.ndarray, stream: dict[str, Any]) -> None:
    """Shape, type and range of integer images. Raises: AcceleratorError."""
    shape = tuple(stream["shape"])
    if images.ndim < 1 or len(images) == 0 or images.shape[1:] != shape:
        raise AcceleratorError(
            f"The images have the shape {images.shape}, and the network takes [N, {str(shape)[1:-1]}]."
        )
    if not np.issubdtype(images.dtype, np.integer):
        raise AcceleratorError(f"The images have the type {images.dtype}; give the integers of the first quantizer.")
    bits, signed = stream["bits"], stream["signed"]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if stream["bipolar"]:
        good, allowed = bool(np.all(np.abs(images) == 1)), "-1 and +1"
    else:
        good, allowed = bool(images.min() >= low and images.max() <= high), f"{low}..{high}"
    if not good:
        raise AcceleratorError(
            f"The images hold values in {images.min()}..{images.max()}; the network takes {allowed}."
        )
