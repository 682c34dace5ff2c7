"""Tools that run for long, each as a process of its own: log in a file and, line by line, to whoever watches; cost measured;
nothing left behind, however the call ends.
"""

import codecs
import contextlib
import io
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TAIL_LINES = 12
_PATIENCE = 5.0  # seconds that a process has to end by itself
_GLANCE = 0.5  # seconds between looks for a signal where a process is silent


@dataclass(frozen=True)
class Usage:
    """What a process and its children took: seconds of wall and of CPU time, and the largest one's memory in bytes."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int

    @property
    def memory_mb(self) -> float:
        """Megabytes (10^6)."""
        return round(self.memory_bytes / 1e6, 1)

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "memory_mb": self.memory_mb}


@dataclass(frozen=True)
class Outcome:
    """How a process ended: exit code (negative: the signal that killed it), its cost, and the last lines that it wrote."""

    code: int
    usage: Usage
    tail: tuple[str, ...]


@dataclass
class Processes:
    """The processes of several calls side by side, to end them together."""

    _alive: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def start(
        self, command: Sequence[str], workdir: Path, stdin: int, environment: Mapping[str, str] | None
    ) -> "subprocess.Popen[bytes]":
        """Start `command` at the head of a process group, its errors joined to its output."""
        with self._lock:
            if self._closed:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                cwd=workdir,
                env=environment,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._alive.add(process)
        return process

    def forget(self, process: "subprocess.Popen[bytes]") -> None:
        """The process has ended."""
        with self._lock:
            self._alive.discard(process)

    def kill(self) -> None:
        """End every process that still runs, with its children; none is started any more."""
        with self._lock:
            self._closed = True
            for process in self._alive:
                _signal(process, signal.SIGKILL)


def run_logged(
    command: Sequence[str],
    workdir: Path,
    log: Path,
    watch: Callable[[str], None] | None = None,
    *,
    stdin: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    processes: Processes | None = None,
) -> Outcome:
    """Run `command` in `workdir`, both of its outputs into the file `log`; `watch` is told every line as it comes.

    Raises: OSError whose `filename` is command[0] where it does not start.
    """
    started = time.monotonic()
    processes = processes or Processes()
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    process = processes.start(command, workdir, stdin, environment)
    try:
        with log.open("w", encoding="utf-8", buffering=1) as sink:  # a line at a time, for who looks on
            for line in _lines(process):
                sink.write(line)
                text = line.rstrip()
                if text:
                    tail.append(text)
                if watch is not None:
                    watch(text)
        _, status, cost = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            _end(process)
        if process.stdout is not None:
            process.stdout.close()
        processes.forget(process)
    cpu = round(cost.ru_utime + cost.ru_stime, 2)
    usage = Usage(round(time.monotonic() - started, 2), cpu, cost.ru_maxrss * 1024)
    return Outcome(process.returncode, usage, tuple(tail))


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """What a process writes, by lines that end in a newline but for the last.

    A plain read() misses a Ctrl-C that comes just before it and then blocks for as long as the process is silent.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    rest = ""
    while True:
        while not select.select([pipe], [], [], _GLANCE)[0]:
            pass
        read = os.read(pipe, 65536)
        *lines, rest = (rest + decoder.decode(read, final=not read)).split("\n")
        for line in lines:
            yield line + "\n"
        if not read:
            break
    if rest:
        yield rest


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process with its children: politely, then not."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    _signal(process, signal.SIGKILL)  # what is left of its group
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it ended just now
