"""Images to stream beats and back, as accelerator.json describes the two ends of an accelerator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError

_BLOCK_BITS = 1 << 26  # bits unpacked at a time, one byte each


@dataclass(frozen=True)
class InputStream:
    """Section "input" of accelerator.json: `elems_per_beat` elements of `bits` bits a beat, element 0 in the low bits.

    shape: of an image, [H, W, C] or [K], sent in raster order.
    Elements are two's complement (signed), unsigned, or bipolar (1 bit: 1 = +1, 0 = -1).
    """

    shape: tuple[int, ...]
    bits: int
    signed: bool
    bipolar: bool
    elems_per_beat: int
    beats_per_frame: int
    tdata_width: int

    @property
    def words(self) -> int:
        """32-bit words of a beat."""
        return -(-self.tdata_width // 32)


@dataclass(frozen=True)
class OutputStream:
    """Section "output" of accelerator.json: tdata = {class, logit[pe-1], ..., logit[0]}, logits in two's complement.

    The class is valid in the last of the `beats_per_frame` beats of a frame; logits come in rising order of class.
    """

    classes: int
    logit_bits: int
    pe: int
    class_bits: int
    beats_per_frame: int
    tdata_width: int

    @property
    def words(self) -> int:
        """32-bit words of a beat."""
        return -(-self.tdata_width // 32)


def input_stream(accel: Mapping[str, Any]) -> InputStream:
    """Read and check "input". Raises: FlipflowError E406 naming the key."""
    section = _section(accel, "input")
    shape = section.get("shape")
    if not isinstance(shape, list) or not shape or not all(isinstance(size, int) and size > 0 for size in shape):
        raise _bad("input.shape", f"is {shape!r}, but must list sizes above 0.")
    keys = ("bits", "elems_per_beat", "beats_per_frame", "tdata_width")
    numbers = {key: _count(section, "input", key) for key in keys}
    stream = InputStream(
        shape=tuple(shape), signed=_flag(section, "signed"), bipolar=_flag(section, "bipolar"), **numbers
    )
    if stream.elems_per_beat * stream.beats_per_frame != prod(stream.shape):
        raise _bad("input", "elems_per_beat * beats_per_frame is not the number of elements of the shape.")
    if stream.elems_per_beat * stream.bits > stream.tdata_width:
        raise _bad("input.tdata_width", "is too narrow for elems_per_beat * bits.")
    if stream.bits > 32 or (stream.bipolar and stream.bits != 1):
        raise _bad("input.bits", f"is {stream.bits}, but must be at most 32, and 1 for bipolar.")
    return stream


def output_stream(accel: Mapping[str, Any]) -> OutputStream:
    """Read and check "output". Raises: FlipflowError E406 naming the key."""
    section = _section(accel, "output")
    keys = ("classes", "logit_bits", "pe", "class_bits", "beats_per_frame", "tdata_width")
    stream = OutputStream(**{key: _count(section, "output", key) for key in keys})
    if stream.pe * stream.beats_per_frame != stream.classes:
        raise _bad("output", "pe * beats_per_frame is not classes.")
    if stream.pe * stream.logit_bits + stream.class_bits > stream.tdata_width:
        raise _bad("output.tdata_width", "is too narrow for pe * logit_bits + class_bits.")
    if stream.logit_bits > 63 or 1 << stream.class_bits < stream.classes:
        raise _bad("output", "logit_bits or class_bits is out of range.")
    return stream


def _bad(where: str, what: str) -> FlipflowError:
    return FlipflowError("E406", what, f"accelerator.json {where}", "Build again; this file is not meant to be edited.")


def _section(accel: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = accel.get(name)
    if not isinstance(section, Mapping):
        raise _bad(name, "is missing.")
    return section


def _count(section: Mapping[str, Any], name: str, key: str) -> int:
    value = section.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _bad(f"{name}.{key}", f"is {value!r}, but must be an integer above 0.")
    return value


def _flag(section: Mapping[str, Any], key: str) -> bool:
    value = section.get(key)
    if not isinstance(value, bool):
        raise _bad(f"input.{key}", f"is {value!r}, but must be true or false.")
    return value


def check_images(images: NDArray[Any], stream: InputStream) -> None:
    """Check shape, dtype and range of integer images [N, *shape]. Raises: FlipflowError E405."""
    if images.ndim < 1 or images.shape[1:] != stream.shape or len(images) == 0:
        raise FlipflowError(
            "E405",
            f"have shape {list(images.shape)}, but the accelerator takes [N, {', '.join(map(str, stream.shape))}].",
            "images",
            "Give a batch of at least one image in NHWC (or [N, K]) order.",
        )
    if not np.issubdtype(images.dtype, np.integer):
        raise FlipflowError(
            "E405", f"have dtype {images.dtype}.", "images", "Give the integers of the input quantizer."
        )
    if stream.bipolar:
        good, allowed = bool(np.all((images == 1) | (images == -1))), "-1 and +1"
    else:
        low = -(1 << (stream.bits - 1)) if stream.signed else 0
        high = (1 << (stream.bits - int(stream.signed))) - 1
        good, allowed = bool(images.min() >= low and images.max() <= high), f"{low}..{high}"
    if not good:
        raise FlipflowError(
            "E405",
            f"hold values in {images.min()}..{images.max()}, but the input takes {allowed}.",
            "images",
            "Apply the host preamble (host.json) first; it gives the integers of the input quantizer.",
        )


def pack(images: NDArray[Any], stream: InputStream) -> Iterator[NDArray[np.uint32]]:
    """Pack integer images [N, *shape] into beats: blocks uint32 [n, beats_per_frame, words], little-endian."""
    beat_bits = stream.words * 32
    per_block = max(1, _BLOCK_BITS // (stream.beats_per_frame * beat_bits))
    used = stream.elems_per_beat * stream.bits
    for start in range(0, len(images), per_block):
        block = images[start : start + per_block]
        shape = (len(block), stream.beats_per_frame, stream.elems_per_beat)
        if stream.bipolar:
            planes = (block.reshape(*shape, 1) > 0).astype(np.uint8)
        else:  # the low bits of a two's complement number are those of the wider one
            octets = (
                np.ascontiguousarray(block, dtype="<i8").reshape(*shape, 1).view(np.uint8)[..., : -(-stream.bits // 8)]
            )
            planes = np.unpackbits(octets, axis=-1, count=stream.bits, bitorder="little")
        flat = np.zeros((*shape[:2], beat_bits), dtype=np.uint8)
        flat[..., :used] = planes.reshape(*shape[:2], used)
        yield np.packbits(flat, axis=-1, bitorder="little").view("<u4")


def unpack(beats: NDArray[np.uint32], stream: OutputStream) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Logits int64 [N, classes] and class indices int64 [N] of output beats uint32 [N, beats_per_frame, words]."""
    frames = len(beats)
    octets = np.ascontiguousarray(beats, dtype="<u4").view(np.uint8)
    flat = np.unpackbits(octets, axis=-1, bitorder="little")
    logit_end = stream.pe * stream.logit_bits
    planes = flat[..., :logit_end].reshape(frames, stream.classes, stream.logit_bits)
    weights = np.int64(1) << np.arange(stream.logit_bits, dtype=np.int64)
    weights[-1] = -weights[-1]
    class_planes = flat[:, -1, logit_end : logit_end + stream.class_bits]
    class_weights = np.int64(1) << np.arange(stream.class_bits, dtype=np.int64)
    return planes.astype(np.int64) @ weights, class_planes.astype(np.int64) @ class_weights
