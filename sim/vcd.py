"""Words that cross streams, read from a waveform (VCD, IEEE 1364-2005 section 18) of a simulated accelerator."""

from collections.abc import Iterable, Iterator
from pathlib import Path

_CLOCK, _RESET = "clk_i", "rst_ni"
_SUFFIXES = ("_valid", "_ready", "_data")


def stream_words(path: Path, scope: str, streams: Iterable[str]) -> dict[str, list[int]]:
    """Data of every beat that the named streams of module `scope` passed on, in order.

    A beat passes where <stream>_valid and <stream>_ready are 1 just before a rising edge of clk_i, out of reset.
    Raises: KeyError where a signal is not in the file.
    """
    streams = tuple(streams)
    wanted = {name + suffix for name in streams for suffix in _SUFFIXES} | {_CLOCK, _RESET}
    words: dict[str, list[int]] = {name: [] for name in streams}
    with path.open(encoding="ascii") as file:
        lines = iter(file)
        signals = _declarations(lines, scope, wanted)
        missing = wanted - {name for names in signals.values() for name in names}
        if missing:
            raise KeyError(f"{path} has no signal {sorted(missing)[0]} in {scope}")
        state: dict[str, int] = dict.fromkeys(wanted, 0)
        for changes in _moments(lines, signals):
            if changes.get(_CLOCK) == 1 and state[_CLOCK] == 0 and state[_RESET]:
                for name in streams:
                    if state[name + "_valid"] and state[name + "_ready"]:
                        words[name].append(state[name + "_data"])
            state.update(changes)
    return words


def _declarations(lines: Iterator[str], scope: str, wanted: set[str]) -> dict[str, list[str]]:
    """Signal names by VCD identifier, of the signals declared directly in `scope`; equal signals share an identifier."""
    path: list[str] = []
    found: dict[str, list[str]] = {}
    for line in lines:
        words = line.split()
        if not words:
            continue
        if words[0] == "$scope":
            path.append(words[2])
        elif words[0] == "$upscope":
            path.pop()
        elif words[0] == "$var" and path and path[-1] == scope and words[4] in wanted:
            found.setdefault(words[3], []).append(words[4])
        elif words[0] == "$enddefinitions":
            break
    return found


def _moments(lines: Iterator[str], signals: dict[str, list[str]]) -> Iterator[dict[str, int]]:
    """Changes of the wanted signals, all of one point in time together. Unknown bits count as 0."""
    changes: dict[str, int] = {}
    for line in lines:
        kind = line[0]
        if kind == "#":
            if changes:
                yield changes
                changes = {}
        elif kind in "bB":
            bits, identifier = line[1:].split()
            for name in signals.get(identifier, ()):
                changes[name] = int(bits.replace("x", "0").replace("z", "0"), 2)
        elif kind in "01xXzZ":
            for name in signals.get(line[1:].strip(), ()):
                changes[name] = int(kind == "1")
    if changes:
        yield changes
