"""Images to the device and answers back, several in flight, each sent again until its answer is sound."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.host.link import Link
from flipflow.hw.host.protocol import Fault, Frame, Kind

Progress = Callable[[int, int], None]
_OVERRUN_PAUSE = (
    0.05  # seconds until an image that found no room is sent again, where no answer says sooner that there is
)


@dataclass
class _Flight:
    """An image on its way. tries: how often it was sent. held: time at which it is sent again for want of room; 0: it was not."""

    index: int
    tries: int = 0
    held: float = 0.0


class Transfer:
    """Sends all of `payloads` and gathers the answers.

    payloads: uint8 [N, bytes of an image]. answer_bytes: of an answer. window: images in flight at most.
    The device answers in the order in which it accepts images. So when an answer comes for an image that was sent after another
    one, the other one, or its answer, was lost, and it is sent again at once.
    """

    def __init__(self, link: Link, payloads: NDArray[np.uint8], answer_bytes: int, window: int) -> None:
        self._link = link
        self._payloads = payloads
        self._window = window
        self._next = 0
        self._flights: dict[int, _Flight] = {}  # by sequence number, in the order of sending
        self._heard = time.monotonic()
        self._before: tuple[int, int] | None = None  # image and troubles of the answer before
        self.answers = np.zeros((len(payloads), answer_bytes), np.uint8)
        self.follows = np.zeros(len(payloads), bool)  # the answer came right behind that of the image before it
        self.done = 0

    def run(self, progress: Progress | None) -> None:
        """Until every image has its answer. Raises FlipflowError E388 where one gets none in all tries, E383."""
        total = len(self._payloads)
        while self.done < total:
            while self._next < total and len(self._flights) < self._window:
                self._launch(_Flight(self._next))
                self._next += 1
            before = self.done
            for frame in self._link.receive():
                self._take(frame)
            self._resend_held()
            if time.monotonic() - self._heard > self._link.timeout:
                self._silence()
            if progress is not None and self.done != before:
                progress(self.done, total)

    def _launch(self, flight: _Flight) -> None:
        if flight.tries == self._link.tries:
            self._give_up(flight)
        self._link.statistics.resent += flight.tries > 0
        sequence = self._link.next_sequence()
        self._flights[sequence] = _Flight(flight.index, flight.tries + 1)
        self._link.send(Kind.IMAGE, sequence, self._payloads[flight.index].tobytes())
        if len(self._flights) == 1:
            self._heard = time.monotonic()

    def _take(self, frame: Frame) -> None:
        flight = self._flights.get(frame.sequence)
        if frame.kind == Kind.ERROR and flight is not None and frame.payload[:1] == bytes([Fault.OVERRUN]):
            flight.held = time.monotonic() + _OVERRUN_PAUSE
        elif frame.kind == Kind.ERROR and flight is not None and not flight.held:
            self._launch(self._flights.pop(frame.sequence))
        elif frame.kind == Kind.IMAGE and flight is not None and len(frame.payload) == self.answers.shape[1]:
            self._store(frame, flight)
        else:
            self._link.statistics.stray += frame.kind != Kind.ERROR

    def _store(self, frame: Frame, flight: _Flight) -> None:
        self._heard = time.monotonic()
        statistics = self._link.statistics
        self.answers[flight.index] = np.frombuffer(frame.payload, np.uint8)
        self.follows[flight.index] = self._before == (flight.index - 1, statistics.troubles)
        self._before = (flight.index, statistics.troubles)
        self.done += 1
        statistics.answered += 1
        order = list(self._flights)
        passed = [seq for seq in order[: order.index(frame.sequence)] if not self._flights[seq].held]
        del self._flights[frame.sequence]
        for held in (other for other in self._flights.values() if other.held):
            held.held = self._heard  # there is room now
        for sequence in passed:
            self._launch(self._flights.pop(sequence))

    def _resend_held(self) -> None:
        now = time.monotonic()
        for sequence in [seq for seq, flight in self._flights.items() if flight.held and flight.held <= now]:
            flight = self._flights.pop(sequence)
            self._launch(_Flight(flight.index, flight.tries - 1))  # want of room is no damage, and ends by itself

    def _silence(self) -> None:
        self._link.statistics.silences += 1
        self._heard = time.monotonic()
        for sequence in list(self._flights):
            self._launch(self._flights.pop(sequence))

    def _give_up(self, flight: _Flight) -> None:
        statistics = self._link.statistics
        faults = ", ".join(f"{count} {fault.name.lower()}" for fault, count in statistics.reported.items() if count)
        raise FlipflowError(
            "E388",
            f"no sound answer in {flight.tries} tries; on the link so far: {statistics.silences} silences, {statistics.damaged} "
            f"damaged answers, reported by the device: {faults or 'nothing'}.",
            f"image {flight.index}",
            "Check cable and ground, or make the bitstream with a lower baud rate (--baud).",
        )
