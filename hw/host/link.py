"""One end of the link: frames out and in over a port, requests with retries, and what went wrong meanwhile."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from flipflow.errors import FlipflowError
from flipflow.hw.host.port import Port, lost
from flipflow.hw.host.protocol import FLAG, Decoder, Fault, Frame, Kind, encode

_CHUNK = 4096


@dataclass
class Statistics:
    """What happened on the link since it was opened.

    sent: frames to the device. answered: images answered. resent: frames sent once more. silences: times that no answer came.
    damaged: frames from the device that were damaged. stray: sound frames that nobody waited for, such as an answer to an image
    that had been sent twice. reported: faults that the device reported, by kind.
    """

    sent: int = 0
    answered: int = 0
    resent: int = 0
    silences: int = 0
    damaged: int = 0
    stray: int = 0
    reported: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))

    @property
    def troubles(self) -> int:
        """All that was not as it should be."""
        return self.silences + self.damaged + sum(self.reported.values())


class Link:
    """Frames over a port. Sequence numbers count from a start that two sessions are unlikely to share."""

    def __init__(self, port: Port, name: str, timeout: float, tries: int) -> None:
        self.timeout = timeout
        self.tries = tries
        self.statistics = Statistics()
        self._port = port
        self._name = name
        self._decoder = Decoder()
        self._sequence = time.monotonic_ns() >> 10 & 0xFF
        self._write(bytes([FLAG]))  # ends whatever another program left unfinished

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    def next_sequence(self) -> int:
        """A sequence number, not given out for the last 255 times."""
        self._sequence = (self._sequence + 1) & 0xFF
        return self._sequence

    def send(self, kind: Kind, sequence: int, payload: bytes = b"") -> None:
        """One frame out. Raises FlipflowError E383 where the port is lost."""
        self._write(encode(kind, sequence, payload))
        self.statistics.sent += 1

    def receive(self) -> Iterator[Frame]:
        """The sound frames among what has come, waiting a moment where nothing has. Reports of faults are counted here.

        Raises: FlipflowError E383 where the port is lost.
        """
        try:
            data = self._port.read(min(max(1, self._port.in_waiting), _CHUNK))
        except OSError as error:
            raise lost(self._name, error) from error
        damaged = self._decoder.damaged
        for frame in self._decoder.feed(data):
            if frame.kind == Kind.ERROR and frame.payload and frame.payload[0] in list(Fault):
                self.statistics.reported[Fault(frame.payload[0])] += 1
            yield frame
        self.statistics.damaged += self._decoder.damaged - damaged

    def request(self, kind: Kind) -> bytes:
        """The payload of the answer to a request without payload, asked again until it comes.

        Raises: FlipflowError E384 (no answer), E383 (the port is lost).
        """
        for attempt in range(self.tries):
            sequence = self.next_sequence()
            self.send(kind, sequence)
            self.statistics.resent += attempt > 0
            payload = self._answer(kind, sequence)
            if payload is not None:
                return payload
        damaged = f"; {self.statistics.damaged} damaged frames came" if self.statistics.damaged else ""
        raise FlipflowError(
            "E384",
            f"the device did not answer {self.tries} requests within {self.timeout:g} s each{damaged}.",
            self._name,
            "See that the board holds the run's bitstream, that this is its port, and that the baud rate is the bitstream's.",
        )

    def _answer(self, kind: Kind, sequence: int) -> bytes | None:
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            for frame in self.receive():
                if frame.sequence == sequence and frame.kind == kind and frame.reply:
                    return frame.payload
                if frame.kind == Kind.ERROR and frame.sequence == sequence:
                    return None
                self.statistics.stray += frame.kind != Kind.ERROR
        self.statistics.silences += 1
        return None

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:
            raise lost(self._name, error) from error
