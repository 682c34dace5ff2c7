"""Reads what Vivado reports: area by instance, and the slowest path."""

import re
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.synth.area import Area

_ACCELERATOR = "u_accelerator"


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


def read_usage(path: Path) -> dict[str, Area]:
    """A report of `report_utilization -hierarchical`: instance path ("a/b") -> area; the top is "".

    A LUT is a position: logic, LUT RAM or shift register. What lies below an instance is part of its area.

    Raises: FlipflowError E394 (missing, or no such report).
    """
    try:
        rows = [line.strip("|\n").split("|") for line in path.read_text().splitlines() if line.startswith("|")]
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    table: dict[str, Area] = {}
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


def _usage(row: dict[str, str], path: Path) -> Area:
    dsp = next((key for key in row if re.fullmatch(r"DSP.*", key)), None)
    try:
        bram = 2 * int(row["RAMB36"]) + int(row["RAMB18"])
        return Area(int(row["Total LUTs"]), int(row["FFs"]), bram, int(row[dsp]) if dsp else 0)
    except (KeyError, ValueError) as error:
        raise _unreadable(path, f"column or number {error}") from error


def accelerator_usage(table: dict[str, Area], path: Path) -> tuple[Area, dict[str, Area]]:
    """Area of the accelerator, and of its kernels by name, FIFOs included. path: of the report, for the message.

    Raises: FlipflowError E394 where the report has no such instance.
    """
    place = next((name for name in table if name.split("/")[-1] == _ACCELERATOR), None)
    if place is None:
        raise _unreadable(path, f"it has no instance {_ACCELERATOR}")
    inside = {name.removeprefix(f"{place}/u_"): area for name, area in table.items() if name.startswith(f"{place}/u_")}
    return table[place], {name: area for name, area in inside.items() if "/" not in name}


def _unreadable(path: Path, why: str) -> FlipflowError:
    what = f"it is missing, or not what Vivado is known to write ({why})."
    fix = "Read the reports beside it yourself, and please report this with Vivado's version."
    return FlipflowError("E394", what, str(path), fix, Exit.CHECK_FAILED)
