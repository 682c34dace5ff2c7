"""Damaged frames at the pins of a board, byte for byte: what the device makes of them, against a model of the protocol."""

import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import serial

from flipflow.hw.host.device import answers_from_bytes, images_to_bytes
from flipflow.hw.host.protocol import FLAG, Counters, Decoder, Fault, Frame, Kind, encode
from flipflow.sim.beats import input_stream, output_stream
from tests.board_bench import simulated_board
from tests.link_accelerators import NARROW
from tests.link_model import Outcome, outcomes

SLOTS = 16
# Flags are no frames: they give the device time to answer (36 bytes) before the next frame comes.
PAUSE = bytes([FLAG]) * 60


class RawPort:
    """The serial port, without the driver's forgiveness."""

    def __init__(self, name: str) -> None:
        self._serial = serial.Serial(name, 115_200, timeout=0.05)
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    def write(self, data: bytes) -> None:
        self._serial.write(data)

    def frames_until(self, kind: Kind, sequence: int) -> list[Frame]:
        """All frames up to the answer of this kind and sequence number; fails where it does not come."""
        frames, deadline = [], time.monotonic() + 60
        while time.monotonic() < deadline:
            while self._frames:
                frame = self._frames.pop(0)
                frames.append(frame)
                if (frame.kind, frame.sequence) == (kind, sequence):
                    return frames
            self._frames += self._decoder.feed(self._serial.read(1000))
        pytest.fail(f"no answer of kind {kind}; {len(frames)} others")

    def counters(self) -> Counters:
        self.write(encode(Kind.COUNTERS, 255))
        return Counters.parse(self.frames_until(Kind.COUNTERS, 255)[-1].payload)

    def restart(self) -> None:
        self.write(PAUSE + encode(Kind.RESET, 254))
        self.frames_until(Kind.RESET, 254)


def image_frames(count: int, seed: int) -> tuple[list[bytes], np.ndarray]:
    """Frames of random images with sequence numbers 0 to count - 1, and their logits."""
    images = NARROW.images(count, seed)
    payloads = images_to_bytes(images, input_stream(NARROW.describe()))
    return [encode(Kind.IMAGE, i, row.tobytes()) for i, row in enumerate(payloads)], NARROW.logits(images)


def damages(frame: bytes, draw: random.Random) -> list[bytes]:
    """The frame with each of its bytes dropped, doubled, and flipped in a bit."""
    places = range(len(frame))
    dropped = [frame[:i] + frame[i + 1 :] for i in places]
    doubled = [frame[: i + 1] + frame[i:] for i in places]
    flipped = [frame[:i] + bytes([frame[i] ^ 1 << draw.randrange(8)]) + frame[i + 1 :] for i in places]
    return dropped + doubled + flipped


def oddities() -> list[bytes]:
    """Frames that no damage makes: wrong lengths and kinds with a right checksum, escapes alone, nothing, aborted."""
    wrong = [encode(Kind.IMAGE, 1, bytes(5)), encode(Kind.IMAGE, 2, bytes(7)), encode(Kind.IMAGE, 3)]
    wrong += [encode(Kind.COUNTERS, 4, b"x"), encode(9, 5), encode(0x82, 6, bytes(6)), encode(0, 7, bytes(300))]
    return [
        *wrong,
        b"~}~",
        b"~}}~",
        b"~\x02~",
        encode(Kind.IMAGE, 8, bytes(6))[:-1] + b"}~",
        b"~" + bytes(70_000)[:900] + b"~",
    ]


def check_stream(port: RawPort, stream: bytes, logits: dict[int, np.ndarray]) -> tuple[Counter[Fault], Counter[Fault]]:
    """Send a stream after a reset; answers and counters must be the model's. Returns faults as counted, and as reported."""
    port.restart()
    expected: list[Outcome] = outcomes(stream, 6)
    port.write(stream + encode(Kind.IDENTITY, 253))
    frames = port.frames_until(Kind.IDENTITY, 253)
    found = [frame for frame in frames if frame.kind == Kind.IMAGE]
    good = [outcome.sequence for outcome in expected if outcome.fault is None and outcome.kind == Kind.IMAGE]
    assert [frame.sequence for frame in found] == good
    payloads = np.array([list(frame.payload) for frame in found], np.uint8)
    answered, _ = answers_from_bytes(payloads, output_stream(NARROW.describe()))
    np.testing.assert_array_equal(answered, [logits[sequence] for sequence in good])
    counts = Counter(outcome.fault for outcome in expected if outcome.fault is not None)
    counters = port.counters()
    assert counters.answers == len(good)
    assert counters.faults == {fault: counts[fault] for fault in Fault}
    return counts, Counter(Fault(frame.payload[0]) for frame in frames if frame.kind == Kind.ERROR)


def test_every_byte_of_a_frame_lost_doubled_and_flipped(tmp_path: Path) -> None:
    """Behind every damaged frame comes a good one, which must be answered; the model says what else is."""
    draw = random.Random(11)
    board = simulated_board(NARROW, tmp_path)
    frames, logits = image_frames(200, seed=12)
    broken = damages(encode(Kind.IMAGE, 250, bytes([0x7E, 1, 2, 3, 4, 5])), draw) + oddities()
    stream = PAUSE
    for i, frame in enumerate(broken):
        stream += frame + PAUSE + frames[i % 200] + PAUSE
    known = dict(enumerate(logits))
    image = np.array([[6, 7, 1, 0, 2, 0, 3, 0, 4, 0, 5]])  # 7E holds 6 and 7: -2 and -1 in three bits
    known[250] = NARROW.logits(np.where(image > 3, image - 8, image))[0]
    with board:
        counts, reports = check_stream(RawPort(board.port), stream, known)
    assert reports == counts
    assert all(counts[fault] > 3 for fault in (Fault.LENGTH, Fault.CHECKSUM)), counts
    assert counts[Fault.KIND] > 0


def test_frames_among_garbage(tmp_path: Path) -> None:
    """Random bytes, rich in flags and escapes, before every frame. Reports may replace one another; the counters tell all."""
    draw = random.Random(14)
    board = simulated_board(NARROW, tmp_path)
    frames, logits = image_frames(60, seed=15)
    stream = PAUSE
    for frame in frames:
        garbage = [draw.choice([0x7E, 0x7D, 0x5E, 0x02, draw.randrange(256)]) for _ in range(draw.randrange(40))]
        stream += bytes(garbage) + frame + PAUSE
    with board:
        counts, _ = check_stream(RawPort(board.port), stream, dict(enumerate(logits)))
    assert counts.total() > 60


def test_half_a_frame_and_no_room(tmp_path: Path) -> None:
    board = simulated_board(NARROW, tmp_path)
    frames, _ = image_frames(200, seed=13)
    with board:
        port = RawPort(board.port)
        port.restart()
        port.write(frames[0][:-3])
        (report,) = port.frames_until(Kind.ERROR, 0)
        assert report.payload == bytes([Fault.TIMEOUT])
        port.write(frames[0][-3:] + frames[1])  # the rest comes too late, the next frame does not
        assert port.frames_until(Kind.IMAGE, 1)[-1].reply
        counters = port.counters()
        assert counters.faults[Fault.TIMEOUT] == 1

        # An answer is twice as long as an image, so these run over.
        port.restart()
        port.write(b"".join(frames) + PAUSE * SLOTS + encode(Kind.IDENTITY, 253))
        port.frames_until(Kind.IDENTITY, 253)
        counters = port.counters()
        assert counters.faults[Fault.OVERRUN] > 0
        assert counters.answers + counters.faults[Fault.OVERRUN] == 200
