"""Starts FINN without its command line, its vendor tools, or noise on the terminal."""

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from flipflow.errors import Exit, FlipflowError


def start_finn() -> None:
    """Makes FINN's transformations usable in this process; calling it again changes nothing.

    FINN wants a settings object and a build directory; both lie in a temporary folder unless the environment names one.

    Raises: FlipflowError E250 where finn-plus is not installed.
    """
    try:
        from finn.util import settings  # noqa: PLC0415  FINN is imported lazily: it is slow and optional
    except ImportError as error:
        raise FlipflowError(
            "E250",
            f"FINN cannot be imported ({error}).",
            "finn-plus",
            "Run `make setup`, or `pip install --no-deps finn-plus==1.6.1`.",
            Exit.TOOL_MISSING,
        ) from error
    if "FINN_BUILD_DIR" not in os.environ:
        folder = Path(tempfile.gettempdir()) / f"flipflow-finn-{os.getuid()}"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["FINN_BUILD_DIR"] = str(folder)
    # without this FINN makes a folder in the user's home
    os.environ.setdefault("FINN_SETTINGS", str(Path(os.environ["FINN_BUILD_DIR"]) / "settings.yaml"))
    settings.initialize_dummy_settings()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides the warnings that qonnx and FINN emit on sound graphs (layout guesses, unnamed custom ops)."""
    logger = logging.getLogger("finn_logger")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
