"""Runs Vivado (or another long tool): its log, progress from what it prints, and what it said where it fails."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.process import TAIL_LINES, run_logged

Progress = Callable[[str], None]
# What Vivado prints when it begins something that takes a while.
_MILESTONE = re.compile(
    r"^(?:Starting (?P<task>[A-Z][\w ]+? (?:Task|: Time))|Phase (?P<phase>\d+(?:\.\d+)* [\w ,/-]+)|"
    r"Command: (?P<command>\w+)|\*\*\* Running (?P<run>\w+)|(?P<wait>\[\w{3} \w{3} .*\] (?:Launched|Waiting for).*))"
)


def find_vivado() -> Path | None:
    """`vivado` on PATH, None where there is none."""
    found = shutil.which("vivado")
    return None if found is None else Path(found)


def milestone(line: str) -> str | None:
    """What a line of Vivado's output says has begun, in a few words; None for any other line."""
    match = _MILESTONE.match(line.strip())
    if match is None:
        return None
    text = next(value for value in match.groups() if value is not None)
    return text.removesuffix(" Task").removesuffix(" : Time").strip()


def run_script(vivado: Path, script: Path, log: Path, progress: Progress) -> None:
    """Run a Tcl script in its own folder, to its end; progress is told what begins.

    Raises: FlipflowError E392 (Vivado does not start, or ends with an error: its last lines, and the log's path).
    """
    command = [str(vivado), "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", str(script.resolve())]

    def look(line: str) -> None:
        begun = milestone(line)
        if begun is not None:
            progress(begun)

    run_vendor_tool(command, script.parent, log, look, f"Vivado, {script.name}")


def run_vendor_tool(
    command: Sequence[str],
    folder: Path,
    log: Path,
    look: Progress,
    name: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a tool in `folder` with its output in `log`; every line is shown to `look`. Ctrl-C ends it with all it started.

    Raises: FlipflowError E392 (it does not start, or ends with an error: its last lines, and the log's path).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        outcome = run_logged(command, folder, log, look, environment=environment)
    except OSError as error:
        if error.filename != command[0]:
            raise
        raise _died(f"it does not start ({error.strerror or error})", [], name, log) from error
    if outcome.code != 0:
        raise _died(f"it ended with status {outcome.code}", _worst(log, outcome.tail), name, log)


def _worst(log: Path, tail: Sequence[str]) -> list[str]:
    """Vivado's own error lines, which often stand long before its end, or the last lines."""
    errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR:")]
    return errors[-TAIL_LINES:] or list(tail)


def _died(what: str, lines: list[str], name: str, log: Path) -> FlipflowError:
    said = "".join(f"\n    {line}" for line in lines)
    fix = f"The whole log is {log}."
    return FlipflowError("E392", f"{what}.{said}", name, fix, Exit.CHECK_FAILED)
