"""What the streams of a kernel did in a run of flipflow.sim.kernel_bench."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """An input stream in a run. offered: bit t = in_valid_i in cycle t. accepted: cycles in which a word was taken."""

    offered: str
    accepted: list[int]


@dataclass(frozen=True)
class Sink:
    """An output stream in a run. ready: bit t = out_ready_i in cycle t. beats: cycles in which a word was taken, with its
    value.
    """

    ready: str
    beats: list[tuple[int, int]]

    @property
    def words(self) -> list[int]:
        """Output words in order."""
        return [word for _, word in self.beats]

    @property
    def cycles(self) -> list[int]:
        """Cycle of each output word."""
        return [cycle for cycle, _ in self.beats]


@dataclass(frozen=True)
class Trace:
    """What an instance did in a run; cycle 0 is the first one after reset.

    followed: in_ready_o was seen to depend on out_ready_i. status: the status outputs in every cycle, the first one in bit 0.
    faults: breaches of the handshake rules, in words. The properties are those of the only input and output stream.
    """

    sources: list[Source]
    sinks: list[Sink]
    followed: bool
    status: list[int]
    faults: list[str]

    @property
    def offered(self) -> str:
        """Of the input."""
        return self._source.offered

    @property
    def accepted(self) -> list[int]:
        """Of the input."""
        return self._source.accepted

    @property
    def ready(self) -> str:
        """Of the output."""
        return self._sink.ready

    @property
    def words(self) -> list[int]:
        """Of the output."""
        return self._sink.words

    @property
    def cycles(self) -> list[int]:
        """Of the output."""
        return self._sink.cycles

    @property
    def _source(self) -> Source:
        (source,) = self.sources
        return source

    @property
    def _sink(self) -> Sink:
        (sink,) = self.sinks
        return sink


def trace(item: dict[str, Any]) -> Trace:
    """From what the bench wrote."""
    sources = [Source(**source) for source in item["sources"]]
    sinks = [Sink(sink["ready"], [(cycle, int(word, 16)) for cycle, word in sink["beats"]]) for sink in item["sinks"]]
    return Trace(sources, sinks, item["followed"], item["status"], item["faults"])
