"""Where stages and verifications tell what they are doing."""

from typing import Protocol


class Reporter(Protocol):
    """Takes lines worth reading and the state of progress bars."""

    def message(self, text: str) -> None:
        """One line worth reading."""

    def progress(self, task: str, done: float, total: float, note: str = "") -> None:
        """A bar named `task`, from 0 to `total`."""
