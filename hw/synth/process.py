"""Yosys as a process of its own: its log goes to a file and, line by line, to whoever watches.

It runs apart because Yosys works in the current directory, ends the process on some errors, and may run out of memory.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flipflow.errors import Exit, FlipflowError

TAIL_LINES = 12
# Reads one command a line.
_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
peak = next((line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), "0")
libyosys.run_pass(f"log end of script, {peak} kB", design)
"""
_END = re.compile(r"^end of script, (\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """What a process and its children took: seconds of wall and of CPU time, and the largest one's memory in MB (10^6)."""

    seconds: float
    cpu_seconds: float
    memory_mb: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """How a process ended: exit code (negative: the signal that killed it), whether a script of Yosys came to its end, its cost,
    and the last lines of its log.
    """

    code: int
    finished: bool
    usage: Usage
    tail: str


def require_package(name: str, extra: str = "") -> Path:
    """Folder of a tool's Python package. extra: of flipflow's extras, the one that brings it.

    Raises: FlipflowError E350 where it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        what = f"the Python package `{name}` is not installed."
        source = f'"flipflow[{extra}]"' if extra else name
        fix = f"Install it with `pip install {source}`; a distribution's own is too old."
        raise FlipflowError("E350", what, name, fix, Exit.TOOL_MISSING)
    return Path(spec.submodule_search_locations[0])


def run_yosys(commands: Sequence[str], workdir: Path, log: Path, watch: Callable[[str], None] | None = None) -> Outcome:
    """Run Yosys commands in `workdir`, log in the file `log`; each line of it goes to `watch` as well.

    The process and its children end with this call, however it ends.
    Raises: FlipflowError E350 (pyosys is not installed).
    """
    require_package("pyosys", "board")
    # The script goes in by a file: a pipe could fill up while nobody reads the log.
    script = log.with_suffix(".ys")
    script.write_text("\n".join(commands) + "\n")
    with script.open("rb") as source:
        outcome = run_logged([sys.executable, "-c", _YOSYS], workdir, log, watch, source.fileno())
    end = _END.search(outcome.tail)
    if end is None:
        return outcome
    # A process starts as a copy of its parent, whose size wait4's maximum takes in; Yosys' own is known from within.
    usage = replace(outcome.usage, memory_mb=round(int(end.group(1)) * 1024 / 1e6, 1))
    return replace(outcome, finished=True, usage=usage)


def run_logged(
    command: Sequence[str],
    workdir: Path,
    log: Path,
    watch: Callable[[str], None] | None = None,
    stdin: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run any program like this: both of its outputs into `log`, its cost measured, no child left behind."""
    started = time.monotonic()
    tail: list[str] = []
    with (
        log.open("w", encoding="utf-8") as sink,
        subprocess.Popen(
            command, cwd=workdir, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            for line in process.stdout or ():
                sink.write(line)
                text = line.rstrip()
                if text:
                    tail = [*tail[-TAIL_LINES:], text]
                if watch is not None:
                    watch(text)
            _, status, cost = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            _kill(process)
            raise
    usage = Usage(
        round(time.monotonic() - started, 2),
        round(cost.ru_utime + cost.ru_stime, 2),
        round(cost.ru_maxrss * 1024 / 1e6, 1),
    )
    return Outcome(process.returncode, False, usage, "\n".join(tail[-TAIL_LINES:]))


def _kill(process: "subprocess.Popen[str]") -> None:
    """End the process with its children (ABC runs as one)."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
