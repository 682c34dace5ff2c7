"""Synthesis of a run's accelerator: runs/<name>/synth/<family>/ with netlist.json, netlist.v, yosys.log and area.json."""

import json
import shutil
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw import netlist as made
from flipflow.hw.synth.families import family
from flipflow.hw.synth.report import AREA, write_area
from flipflow.hw.synth.yosys import Netlist, Progress, synthesise

ACCELERATOR = "accelerator.json"
RTL = "rtl"


def synthesise_run(run_dir: Path, family_name: str, progress: Progress | None = None) -> tuple[Netlist, dict[str, Any]]:
    """Synthesise the accelerator of a run, on its own: its streams are no pins. Returns the netlist and area.json's content.

    What an earlier synthesis left is removed first, so that no netlist is there that does not belong to the RTL.

    Raises: FlipflowError E452 (the run has no RTL), E406 (a file of it is missing), and as flipflow.hw.synth.yosys.synthesise.
    """
    target = family(family_name)
    about = read_accelerator(run_dir)
    sources = made.rtl_sources(run_dir, about)
    place = made.folder(run_dir, target.name)
    shutil.rmtree(place, ignore_errors=True)
    netlist = synthesise(sources, made.TOP, target.name, place, memories=run_dir / RTL, progress=progress)
    document = write_area(run_dir, netlist, target.name, path=place / AREA)
    made.mark(run_dir, about, target.name)
    return netlist, document


def read_accelerator(run_dir: Path) -> dict[str, Any]:
    """accelerator.json of a run. Raises: FlipflowError E452 where it is not there, E406 where it is damaged."""
    path = run_dir / ACCELERATOR
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        list(about["sources"])
        [entry["name"] for entry in about["pipeline"]]
    except FileNotFoundError as error:
        fix = f"Run `flipflow build {run_dir}` first."
        raise FlipflowError("E452", f"the run has no {ACCELERATOR}.", str(run_dir), fix) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FlipflowError("E406", "it is damaged.", str(path), "Build again.") from error
    return about
