"""`flipflow ...` in this process: for tests in which neither the process nor what it imports is the point."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from flipflow.cli import main

# `flipflow` in a process of its own that Ctrl-C ends, even where the tests' own process was started with SIGINT ignored.
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flipflow.cli import main; main()",
)


def flipflow(*words: str, cwd: Path, check: int = 0) -> tuple[str, str]:
    """stdout and stderr of a command whose exit code must be `check`, as run in the folder `cwd`."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["flipflow", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert (stopped.value.code or 0) == check, err.getvalue()
    assert "Traceback" not in err.getvalue()
    return out.getvalue(), err.getvalue()
