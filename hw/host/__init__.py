"""The host's end of an accelerator on a board: `Accelerator` sends images over a serial line and reads answers.

The protocol is written down in docs/link.md; hw/rtl/link is the other end of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flipflow.hw.host.driver import Accelerator, Answers
    from flipflow.hw.host.link import Statistics

__all__ = ["Accelerator", "Answers", "Statistics"]


def __getattr__(name: str) -> Any:
    """The driver, imported where it is asked for: a board top needs only the protocol beside it."""
    if name in __all__:
        from flipflow.hw.host import driver  # noqa: PLC0415

        return getattr(driver, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
