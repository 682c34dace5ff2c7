"""The link's device in Python: what a receiver must make of any stream of bytes, and a port with such a device behind it.

Written after docs/link.md, apart from the RTL and from the host's decoder, to judge both.
"""

import random
import zlib
from collections import Counter, deque
from dataclasses import dataclass
from itertools import pairwise

from flipflow.hw.host.protocol import Fault, Kind, encode

FLAG, ESCAPE = 0x7E, 0x7D
HEADER, CHECK = 4, 4


@dataclass(frozen=True)
class Outcome:
    """What came of a frame: fault is None where it is good."""

    fault: Fault | None
    kind: int = 0
    sequence: int = 0
    payload: bytes = b""


def outcomes(stream: bytes, image_bytes: int) -> list[Outcome]:
    """Of every frame that ends within `stream`, in order, where all stop bits are good and no pause is too long."""
    flags = [place for place, byte in enumerate(stream) if byte == FLAG]
    bodies = [stream[start + 1 : end] for start, end in pairwise(flags)]
    return [_outcome(body, image_bytes) for body in bodies if body]


def _outcome(body: bytes, image_bytes: int) -> Outcome:
    plain, escaped = bytearray(), False
    for byte in body:
        if byte == ESCAPE:
            escaped = True
        else:
            plain.append(byte ^ 0x20 if escaped else byte)
            escaped = False
    if len(plain) < HEADER + CHECK:
        return Outcome(Fault.LENGTH)
    kind, sequence, length = plain[0], plain[1], int.from_bytes(plain[2:4], "little")
    known = kind in (Kind.IDENTITY, Kind.IMAGE, Kind.COUNTERS, Kind.RESET)
    wanted = image_bytes if kind == Kind.IMAGE else 0
    if known and len(plain) != HEADER + wanted + CHECK:
        return Outcome(Fault.LENGTH)
    if escaped or zlib.crc32(plain[:-CHECK]) != int.from_bytes(plain[-CHECK:], "little"):
        return Outcome(Fault.CHECKSUM)
    if not known:
        return Outcome(Fault.KIND)
    if length != wanted:
        return Outcome(Fault.LENGTH)
    return Outcome(None, kind, sequence, bytes(plain[HEADER:-CHECK]))


class ModelDevice:
    """A port with a device behind it that knows the answers to some images.

    answers: payload of the answer by payload of the image. damage_in, damage_out: probability that a byte is dropped, doubled or
    has a bit flipped. An image is worked on whenever the host finds nothing to read, one at a time, so `slots` can run over.
    """

    def __init__(
        self, identity: bytes, answers: dict[bytes, bytes], slots: int, damage_in: float, damage_out: float, seed: int
    ) -> None:
        self.identity = identity
        self.answers = answers
        self.slots = slots
        self.damage = damage_in, damage_out
        self.faults: Counter[Fault] = Counter()
        self.answered = 0
        self.closed = False
        self._draw = random.Random(seed)
        self._image_bytes = len(next(iter(answers)))
        self._in = bytearray()
        self._out = bytearray()
        self._queue: deque[Outcome] = deque()

    @property
    def in_waiting(self) -> int:
        return len(self._out)

    def write(self, data: bytes) -> None:
        self._in += self._damaged(data, self.damage[0])
        end = self._in.rfind(FLAG)
        if end > 0:
            for outcome in outcomes(bytes(self._in[: end + 1]), self._image_bytes):
                self._take(outcome)
            del self._in[:end]

    def read(self, size: int) -> bytes:
        if not self._out and self._queue:
            image = self._queue.popleft()
            self.answered += 1
            self._say(Kind.IMAGE, image.sequence, self.answers[image.payload])
        if not self._out and len(self._in) > 1:  # half a frame, then silence
            self._report(Fault.TIMEOUT, 0)
            self._in.clear()
        taken = bytes(self._out[:size])
        del self._out[:size]
        return taken

    def close(self) -> None:
        self.closed = True

    def _take(self, outcome: Outcome) -> None:
        if outcome.fault is not None:
            self._report(outcome.fault, outcome.sequence)
        elif outcome.kind == Kind.IMAGE and len(self._queue) == self.slots:
            self._report(Fault.OVERRUN, outcome.sequence)
        elif outcome.kind == Kind.IMAGE:
            self._queue.append(outcome)
        else:
            self._answer(outcome)

    def _answer(self, request: Outcome) -> None:
        payload = b""
        if request.kind == Kind.IDENTITY:
            payload = self.identity
        elif request.kind == Kind.COUNTERS:
            payload = self.answered.to_bytes(4, "little")
            payload += b"".join(self.faults[fault].to_bytes(2, "little") for fault in Fault)
        else:
            self._queue.clear()
            self.faults.clear()
            self.answered = 0
        self._say(request.kind, request.sequence, payload)

    def _report(self, fault: Fault, sequence: int) -> None:
        self.faults[fault] += 1
        self._say(Kind.ERROR, sequence, bytes([fault]))

    def _say(self, kind: int, sequence: int, payload: bytes) -> None:
        self._out += self._damaged(encode(kind | 0x80, sequence, payload), self.damage[1])

    def _damaged(self, data: bytes, probability: float) -> bytes:
        result = bytearray()
        for byte in data:
            kind = self._draw.choice(["drop", "double", "flip"]) if self._draw.random() < probability else "none"
            if kind == "double":
                result += bytes([byte, byte])
            elif kind != "drop":
                result.append(byte ^ 1 << self._draw.randrange(8) if kind == "flip" else byte)
        return bytes(result)
