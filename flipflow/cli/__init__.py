"""The command line: `flipflow VERB ...`."""

from flipflow.cli.main import main

__all__ = ["main"]
