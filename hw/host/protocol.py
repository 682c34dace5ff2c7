"""Frames of the host link: their bytes, their kinds, and what can be wrong with one (docs/link.md, hw/rtl/link/link_pkg.sv).

A frame is a flag, then kind, sequence number, length (2 bytes), payload and CRC-32, then a flag. Flags and escapes
between the two flags are sent as an escape and the byte with bit 5 turned over, as RFC 1662 (PPP in HDLC-like framing)
does it, so a flag always is the end of a frame and the beginning of another. Numbers have their low byte first.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
FLAG, ESCAPE, TOGGLE = 0x7E, 0x7D, 0x20
REPLY = 0x80
OVERHEAD = 8  # header and CRC, in bytes
MOST_PAYLOAD = 65_535
DEFAULT_BAUD = 1_000_000
_HEADER = struct.Struct("<BBH")
_CRC = struct.Struct("<I")


class Kind(IntEnum):
    """What a frame to the device asks for. The answer has the same kind with REPLY set."""

    IDENTITY = 1
    IMAGE = 2
    COUNTERS = 3
    RESET = 4
    ERROR = 0x7F


class Fault(IntEnum):
    """What was wrong with a frame, as the device reports it; the payload of an error's frame."""

    FRAMING = 1
    LENGTH = 2
    CHECKSUM = 3
    KIND = 4
    OVERRUN = 5
    TIMEOUT = 6


@dataclass(frozen=True)
class Frame:
    """A whole frame whose checksum is right. kind: without REPLY; reply: whether it was set."""

    kind: int
    reply: bool
    sequence: int
    payload: bytes


@dataclass(frozen=True)
class Counters:
    """What the device has counted since its last reset. answers wraps at 2^32, each fault at 2^16."""

    answers: int
    faults: dict[Fault, int]

    @classmethod
    def parse(cls, payload: bytes) -> "Counters":
        """Read the payload of an answer to COUNTERS; ValueError where its size is wrong."""
        layout = struct.Struct(f"<I{len(Fault)}H")
        if len(payload) != layout.size:
            raise ValueError(f"counters of {len(payload)} bytes")
        answers, *faults = layout.unpack(payload)
        return cls(answers, dict(zip(Fault, faults, strict=True)))


def encode(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """The bytes of a frame on the line. kind: 0..255, with REPLY set in answers. sequence: 0..255."""
    body = _HEADER.pack(kind, sequence, len(payload)) + payload
    body += _CRC.pack(zlib.crc32(body))
    body = body.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ TOGGLE]))
    body = body.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ TOGGLE]))
    return bytes([FLAG]) + body + bytes([FLAG])


class Decoder:
    """Takes frames out of a stream of bytes that comes in pieces of any size; keeps count of the damaged ones."""

    def __init__(self) -> None:
        self._piece = bytearray()
        self._hunting = True
        self.damaged = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Whole frames that end within `data`, in order."""
        *ended, rest = data.split(bytes([FLAG]))
        for part in ended:
            body = bytes(self._piece) + part
            self._piece.clear()
            if body and not self._hunting:
                frame = _decode(body)
                self.damaged += frame is None
                if frame is not None:
                    yield frame
            self._hunting = False
        self._piece += rest

    def forget(self) -> None:
        """Drop half a frame and hunt for the next flag."""
        self._piece.clear()
        self._hunting = True


def _decode(body: bytes) -> Frame | None:
    """A frame from the bytes between two flags; None where they are damaged."""
    first, *escaped = body.split(bytes([ESCAPE]))
    if not all(escaped):  # an escape before another one, or at the end
        return None
    plain = first + b"".join(bytes([part[0] ^ TOGGLE]) + part[1:] for part in escaped)
    if len(plain) < OVERHEAD or zlib.crc32(plain[:-4]) != _CRC.unpack(plain[-4:])[0]:
        return None
    kind, sequence, length = _HEADER.unpack(plain[:4])
    if length != len(plain) - OVERHEAD:
        return None
    return Frame(kind & ~REPLY, bool(kind & REPLY), sequence, plain[4:-4])
