"""What is on a device: its description as it travels over the link, and images and answers as bytes."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.host.network import IDENTITY_BYTES
from flipflow.hw.host.protocol import MOST_PAYLOAD, VERSION
from flipflow.sim.beats import InputStream, OutputStream, input_stream, output_stream, pack, unpack

MAGIC = b"FLIP"
STAMPS = struct.Struct("<II")  # cycles of the first beat in and the last beat out, behind the beats of an answer
MOST_SLOTS = 16
_SLOT_BITS = 18_432  # one block RAM's worth of images, where more than two slots fit there
_DIMENSIONS = 3
# magic, version, slots, network, clock in kHz, 3 sizes (0: none), bits, flags, elements and beats of the input; classes,
# logit bits, class bits and logits a beat of the output
_LAYOUT = struct.Struct(f"<4sBB{IDENTITY_BYTES}sI3IBBHIIBBH")
_SIGNED, _BIPOLAR = 1, 2


@dataclass(frozen=True)
class Device:
    """What a device says it is. network: see flipflow.hw.host.network. clock_khz: of the accelerator. slots: images in flight."""

    network: bytes
    clock_khz: int
    slots: int
    source: InputStream
    sink: OutputStream

    @classmethod
    def of(cls, accel: Mapping[str, Any], network: bytes, clock_mhz: float) -> "Device":
        """The device that accelerator.json and a network's identity make.

        Raises: FlipflowError E406 (accelerator.json), E381 where images or answers exceed a frame.
        """
        source, sink = input_stream(accel), output_stream(accel)
        for name, size in (("an image", image_bytes(source)), ("an answer", answer_bytes(sink))):
            if size > MOST_PAYLOAD:
                raise FlipflowError(
                    "E381",
                    f"{name} has {size:,} bytes, and a frame of the link holds {MOST_PAYLOAD:,}.",
                    "accelerator.json",
                    "Use a network with smaller images, or a board with a wider connection.",
                )
        room = _SLOT_BITS // (source.beats_per_frame * source.tdata_width)
        slots = 1 << max(1, min(room, MOST_SLOTS).bit_length() - 1)
        return cls(network, round(clock_mhz * 1000), slots, source, sink)

    def to_bytes(self) -> bytes:
        """The payload of the answer to an identity request."""
        source, sink = self.source, self.sink
        shape = (*source.shape, *(0,) * (_DIMENSIONS - len(source.shape)))
        flags = _SIGNED * source.signed + _BIPOLAR * source.bipolar
        inward = (*shape, source.bits, flags, source.elems_per_beat, source.beats_per_frame)
        outward = (sink.classes, sink.logit_bits, sink.class_bits, sink.pe)
        return _LAYOUT.pack(MAGIC, VERSION, self.slots, self.network, self.clock_khz, *inward, *outward)

    @classmethod
    def parse(cls, payload: bytes) -> "Device":
        """Read the answer to an identity request. Raises FlipflowError E389 where it is none, or of another version."""
        if payload[:4] != MAGIC or len(payload) < 5 or payload[4] != VERSION or len(payload) != _LAYOUT.size:
            spoken = (
                f"version {payload[4]} of the link" if payload[:4] == MAGIC and len(payload) > 4 else "something else"
            )
            raise FlipflowError(
                "E389",
                f"the device speaks {spoken}, and this is version {VERSION}.",
                "the device",
                "Make its bitstream again with this flipflow (`flipflow bitstream`), and load it.",
            )
        _, _, slots, network, clock, *rest = _LAYOUT.unpack(payload)
        (height, width, depth, bits, flags, elems, beats), (classes, logit_bits, class_bits, pe) = rest[:7], rest[7:]
        shape = tuple(size for size in (height, width, depth) if size)
        source = InputStream(shape, bits, bool(flags & _SIGNED), bool(flags & _BIPOLAR), elems, beats, elems * bits)
        sink = OutputStream(classes, logit_bits, pe, class_bits, classes // max(pe, 1), pe * logit_bits + class_bits)
        return cls(network, clock, slots, source, sink)


def image_bytes(stream: InputStream) -> int:
    """Bytes of an image in a frame: a beat fills whole bytes, or several beats share one where they fit."""
    width = stream.tdata_width
    if width >= 8:
        return stream.beats_per_frame * -(-width // 8)
    return -(-stream.beats_per_frame // (8 // width))


def answer_bytes(stream: OutputStream) -> int:
    """Bytes of an answer in a frame: its beats, each in whole bytes, and two time stamps."""
    return stream.beats_per_frame * -(-stream.tdata_width // 8) + STAMPS.size


def images_to_bytes(images: NDArray[Any], stream: InputStream) -> NDArray[np.uint8]:
    """Integer images [N, *shape], as sim.beats.check_images accepts them, to uint8 [N, image_bytes(stream)]."""
    blocks = []
    width = stream.tdata_width
    for beats in pack(images, stream):
        octets = beats.astype("<u4").view(np.uint8).reshape(len(beats), stream.beats_per_frame, -1)
        if width >= 8:
            blocks.append(octets[..., : -(-width // 8)].reshape(len(beats), -1))
            continue
        share = 8 // width
        padded = np.zeros((len(beats), image_bytes(stream) * share), np.uint8)
        padded[:, : stream.beats_per_frame] = octets[..., 0]
        shifted = padded.reshape(len(beats), -1, share) << (width * np.arange(share, dtype=np.uint8))
        blocks.append(np.bitwise_or.reduce(shifted, axis=2).astype(np.uint8))
    return np.concatenate(blocks)


def answers_from_bytes(
    payloads: NDArray[np.uint8], stream: OutputStream
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Logits int64 [N, classes] and classes int64 [N] of answers uint8 [N, answer_bytes(stream)]."""
    size = -(-stream.tdata_width // 8)
    beats = payloads[:, : -STAMPS.size].reshape(len(payloads), stream.beats_per_frame, size)
    padded = np.zeros((*beats.shape[:2], 4 * stream.words), np.uint8)
    padded[..., :size] = beats
    return unpack(padded.view("<u4"), stream)


def describe(shape: tuple[int, ...]) -> str:
    """8 x 8 x 1."""
    return f"{' x '.join(map(str, shape))} ({prod(shape):,} elements)"
