"""Synthesis of a run's accelerator: runs/<name>/synth/<family>/ with netlist.json, netlist.v, yosys.log and area.json."""

import shutil
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.emit import TOP
from flipflow.hw.synth.families import family
from flipflow.hw.synth.report import AREA, write_area
from flipflow.hw.synth.yosys import Netlist, Progress, synthesise

FOLDER = "synth"
RTL = "rtl"


def place_of(run_dir: Path, family_name: str) -> Path:
    """Folder of a run's netlist for a family."""
    return run_dir / FOLDER / family_name


def synthesise_run(run_dir: Path, family_name: str, progress: Progress | None = None) -> tuple[Netlist, dict[str, Any]]:
    """Synthesise the accelerator of a run, on its own: its streams are no pins. Returns the netlist and area.json's content.

    What an earlier synthesis left is removed first, so that no netlist is there that does not belong to the RTL.

    Raises: FlipflowError E452 (the run has no RTL), and as flipflow.hw.synth.yosys.synthesise.
    """
    target = family(family_name)
    rtl = run_dir / RTL
    sources = sorted(rtl.glob("*.sv"))
    if TOP not in (path.stem for path in sources):
        fix = f"Run `flipflow build {run_dir}` first."
        raise FlipflowError("E452", f"the run has no {RTL}/{TOP}.sv.", str(run_dir), fix)
    place = place_of(run_dir, target.name)
    shutil.rmtree(place, ignore_errors=True)
    netlist = synthesise(sources, TOP, target.name, place, memories=rtl, progress=progress)
    return netlist, write_area(run_dir, netlist, target.name, path=place / AREA)
