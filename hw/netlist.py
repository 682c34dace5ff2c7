"""The synthesised netlist of a run's accelerator: made once, and again when what it is made of has changed.

It lies in `<run>/synth/<family>/`, as `flipflow synth` leaves it. A stamp beside it says of which RTL, which ROM contents and
which recipe it was made; a netlist without a stamp, or with another one, is not taken for the accelerator's.
"""

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.synth.families import family
from flipflow.hw.synth.process import require_package
from flipflow.hw.synth.yosys import VERILOG, synthesise
from flipflow.sim import cache

TOP = "accelerator"
_STAMP = "made_of.sha256"

Progress = Callable[[float, str], None]


def folder(run_dir: Path, family_name: str) -> Path:
    """Where a family's netlist of a run lies."""
    return run_dir / "synth" / family_name


def accelerator_netlist(
    run_dir: Path, accel: Mapping[str, Any], family_name: str, progress: Progress | None = None
) -> Path:
    """The netlist (Verilog, kernels as modules) of a run's accelerator, synthesised where there is none that is up to date.

    accel: accelerator.json. progress: called with the share of the synthesis done, 0..1, and what is being done.

    Raises: FlipflowError E350 (no pyosys), E361 (no such family), E406 (RTL missing), and synthesis' own E360-E363.
    """
    place = folder(run_dir, family_name)
    stamp = made_of(run_dir, accel, family_name)
    if _stamped(place) == stamp and (place / VERILOG).is_file():
        return place / VERILOG
    (place / _STAMP).unlink(missing_ok=True)
    made = synthesise(rtl_sources(run_dir, accel), TOP, family_name, place, memories=run_dir / "rtl", progress=progress)
    (place / _STAMP).write_text(stamp + "\n")
    return made.verilog


def mark(run_dir: Path, accel: Mapping[str, Any], family_name: str) -> None:
    """Stamp the netlist that was just synthesised of a run's RTL into its folder, so that it will be used."""
    (folder(run_dir, family_name) / _STAMP).write_text(made_of(run_dir, accel, family_name) + "\n")


def rtl_sources(run_dir: Path, accel: Mapping[str, Any]) -> list[Path]:
    """SystemVerilog files of a run's accelerator. Raises: FlipflowError E406 where one is missing."""
    paths = [run_dir / str(name) for name in accel["sources"]]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise FlipflowError("E406", "is listed in accelerator.json, but not there.", missing[0], "Build again.")
    return [path for path in paths if path.suffix in {".sv", ".v"}]


def _stamped(place: Path) -> str | None:
    path = place / _STAMP
    return path.read_text().strip() if path.is_file() else None


def made_of(run_dir: Path, accel: Mapping[str, Any], family_name: str) -> str:
    """Digest of what a run's netlist is made of: RTL, ROM contents and recipe. Raises: as accelerator_netlist, but for E36x."""
    target = family(family_name)
    require_package("pyosys", "board")
    parts: list[str | bytes] = [importlib.metadata.version("pyosys"), target.command, target.no_pads]
    for path in [*rtl_sources(run_dir, accel), *sorted((run_dir / "rtl").glob("*.mem"))]:
        parts += [path.name, path.read_bytes()]
    return cache.digest(parts)
