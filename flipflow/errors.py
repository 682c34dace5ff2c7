"""Coded errors: every message names what is wrong, where, and the remedy."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command line."""

    GOOD = 0
    CHECK_FAILED = 1
    BAD_INPUT = 2
    TOOL_MISSING = 3


class FlipflowError(Exception):
    """What a user can put right: `code` is listed in docs/errors.md and by `flipflow explain CODE`.

    code: "E" and three digits; its first digit says the area (1 configuration and data, 2 export and check, 3 hardware,
    4 simulation and verification, 5 tools and machine).
    what: the reason, naming the values found. where: the key, node, tensor or file. fix: what to do about it.
    """

    def __init__(self, code: str, what: str, where: str, fix: str, exit_code: Exit = Exit.BAD_INPUT) -> None:
        super().__init__(f"{code} {where}: {what} {fix}")
        self.code = code
        self.what = what
        self.where = where
        self.fix = fix
        self.exit_code = exit_code
