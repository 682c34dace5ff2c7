"""The serial port: opened by name with pyserial, its failures told in words."""

import contextlib
from typing import Any, Protocol

from flipflow.errors import Exit, FlipflowError

_POLL_SECONDS = 0.02  # a read returns after this long without a byte, so that deadlines are seen


class Port(Protocol):
    """What the driver needs of a serial port; serial.Serial has it, and so may anything else."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, waiting a moment for the first."""

    def write(self, data: bytes) -> Any:
        """Send all of `data`."""

    def close(self) -> None:
        """Give the port back."""

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without waiting."""


def open_port(name: str, baud: int) -> Port:
    """The port of this name, 8N1, for this program alone.

    Raises: FlipflowError E383 (cannot be opened), E387 (pyserial is missing; exit code 3).
    """
    try:
        import serial  # noqa: PLC0415 - an optional package
    except ImportError as error:
        fix = 'Install it with `pip install "flipflow[board]"`.'
        raise FlipflowError("E387", "it is not installed.", "pyserial", fix, Exit.TOOL_MISSING) from error
    try:
        port = serial.Serial(name, baud, timeout=_POLL_SECONDS, exclusive=True)
        port.reset_input_buffer()
    except (OSError, ValueError) as error:  # serial.SerialException is an OSError
        fix = "Name the port of the board (Linux: /dev/ttyUSB0, and be in the group dialout), and close what else uses it."
        raise FlipflowError("E383", f"it cannot be opened ({error}).", name, fix) from error
    with contextlib.suppress(OSError, ValueError, AttributeError, NotImplementedError):  # not that kind of port
        port.set_low_latency_mode(True)  # USB adapters else hold short answers back, for up to 16 ms
    opened: Port = port
    return opened


def lost(name: str, error: Exception) -> FlipflowError:
    """The error of a port that failed while in use."""
    fix = "Plug the board in again, and start again."
    return FlipflowError("E383", f"it was lost ({error}).", name, fix)
