"""A process that is told to end cleans up, as after Ctrl-C."""

import subprocess
import sys

PROGRAM = """
import os, signal, sys, time
import flipflow.cli.main

cli = sys.modules["flipflow.cli.main"]  # the package's own `main` is the function

def verb(standalone_mode):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)

cli.app = verb
cli.main()
"""


def test_sigterm_unwinds_like_ctrl_c() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert "interrupted" in done.stderr
