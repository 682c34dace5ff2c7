"""Reads what Vivado reports: area by instance, and the slowest path."""

import re
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import Exit, FlipflowError

_ACCELERATOR = "u_accelerator"


@dataclass(frozen=True)
class Usage:
    """What an instance uses, with all below it. lut: logic, LUT RAM and shift registers; bram: block RAMs of 18 kbit."""

    lut: int
    ff: int
    bram: int
    dsp: int


@dataclass(frozen=True)
class Timing:
    """Of the path with the least slack. slack, period: in ns; hold_slack: least slack of hold; start, end: its pins."""

    slack: float
    hold_slack: float
    period: float
    start: str
    end: str
    version: str

    @property
    def fmax_mhz(self) -> float:
        """Clock at which the slack would be 0."""
        return 1000.0 / (self.period - self.slack)

    @property
    def met(self) -> bool:
        """Whether setup and hold are met."""
        return self.slack >= 0 and self.hold_slack >= 0

    @property
    def kernel(self) -> str:
        """The kernel in which the path ends, or "" where that is outside the accelerator."""
        parts = self.end.split("/")
        if _ACCELERATOR not in parts[:-1]:
            return ""
        return parts[parts.index(_ACCELERATOR) + 1].removeprefix("u_")


def read_timing(path: Path) -> Timing:
    """summary.txt of tcl/common.tcl. Raises: FlipflowError E394 (missing, or not in this form)."""
    try:
        values = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip())
        slack, hold_slack, period = (float(values[key]) for key in ("slack", "hold_slack", "period"))
        return Timing(slack, hold_slack, period, values["from"], values["to"], values["version"])
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, str(error)) from error


def read_usage(path: Path) -> dict[str, Usage]:
    """A report of `report_utilization -hierarchical`: instance path ("a/b") -> usage; the top is "".

    Raises: FlipflowError E394 (missing, or no such report).
    """
    try:
        rows = [line.strip("|\n").split("|") for line in path.read_text().splitlines() if line.startswith("|")]
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    table: dict[str, Usage] = {}
    header: list[str] = []
    trail: list[str] = []
    for row in rows:
        cells = [cell.strip() for cell in row]
        if cells[0] == "Instance":
            header = cells
        elif header and len(cells) == len(header) and not cells[0].startswith("("):
            # Two blanks of indentation a level, one blank before the top.
            depth = (len(row[0]) - len(row[0].lstrip()) - 1) // 2
            trail[depth:] = [cells[0]]
            table["/".join(trail[1:])] = _usage(dict(zip(header, cells, strict=True)), path)
    if not table:
        raise _unreadable(path, "it holds no table of instances")
    return table


def _usage(row: dict[str, str], path: Path) -> Usage:
    dsp = next((key for key in row if re.fullmatch(r"DSP.*", key)), None)
    try:
        bram = 2 * int(row["RAMB36"]) + int(row["RAMB18"])
        return Usage(int(row["Total LUTs"]), int(row["FFs"]), bram, int(row[dsp]) if dsp else 0)
    except (KeyError, ValueError) as error:
        raise _unreadable(path, f"column or number {error}") from error


def kernel_usage(table: dict[str, Usage]) -> dict[str, Usage]:
    """Usage by kernel of the accelerator, FIFOs included."""
    found = {}
    for instance, usage in table.items():
        parts = instance.split("/")
        if len(parts) >= 2 and parts[-2] == _ACCELERATOR:
            found[parts[-1].removeprefix("u_")] = usage
    return found


def _unreadable(path: Path, why: str) -> FlipflowError:
    what = f"it is missing, or not what Vivado is known to write ({why})."
    fix = "Read the reports beside it yourself, and please report this with Vivado's version."
    return FlipflowError("E394", what, str(path), fix, Exit.CHECK_FAILED)
