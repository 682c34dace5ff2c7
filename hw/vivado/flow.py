"""`flipflow bitstream --board NAME` for boards whose bitstreams Vivado makes."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.synth.area import Area
from flipflow.hw.vivado.board import VivadoBoard, load_vivado_board, require_clock
from flipflow.hw.vivado.project import Project, write_project
from flipflow.hw.vivado.reports import Timing, accelerator_usage, read_timing, read_usage
from flipflow.hw.vivado.tool import find_vivado, run_script
from flipflow.sim.reporter import Reporter

_STEPS = {
    "out_of_context.tcl": "accelerator alone",
    "package_ip.tcl": "packaging",
}
_ALONE, _IMPLEMENTED = "out_of_context", "implemented"


def bitstream(run_dir: Path, board: Path, clock_mhz: float, reporter: Reporter) -> dict[str, Any]:
    """Generate a Vivado project and a driver for the run's accelerator on this board, and run Vivado where there is one.

    Writes runs/<name>/bitstream/<board>/, and with Vivado area.json, timing.json and accelerator.bit (.hwh for a Zynq) beside it.
    Returns: board, folder, files, timing, area, seconds, made.
    Raises: FlipflowError E371 (board file), E374 (the clock is not reached; all is written, and the bitstream kept), E390 (no
    Vivado: exit code 3, the project is there), E391 (the clock is none that the board can make), E392 (Vivado died), E393 (the
    accelerator is larger than the part), E394 (a report cannot be read), E406, E452 (the run).
    """
    target = load_vivado_board(board)
    require_clock(target, clock_mhz)
    project = write_project(run_dir, target, clock_mhz, len(os.sched_getaffinity(0)))
    reporter.message(f"{project.folder}: {len(project.files)} files for {target.title} at {clock_mhz:g} MHz")
    vivado = find_vivado()
    if vivado is None:
        raise _without_vivado(project)
    result: dict[str, Any] = {"board": target.name, "folder": str(project.folder), "files": list(project.files)}
    return result | _run(vivado, project, run_dir, reporter)


def _without_vivado(project: Project) -> FlipflowError:
    listed = "".join(f"\n    {name}" for name in project.files)
    scripts = ", ".join(project.scripts)
    what = f"`vivado` is not on PATH. Generated were, in {project.folder}:{listed}\n"
    fix = (
        "Install Vivado and source its settings64.sh, then give the same command again; or take the folder to a machine that has "
        f"it and run `vivado -mode batch -source` on {scripts}, in this order."
    )
    return FlipflowError("E390", what, f"--board {project.board.name}", fix, Exit.TOOL_MISSING)


def _run(vivado: Path, project: Project, run_dir: Path, reporter: Reporter) -> dict[str, Any]:
    """All scripts, with reports as soon as they are there."""
    started = time.monotonic()
    for name in ("area.json", "timing.json", "accelerator.bit", "accelerator.hwh"):
        (run_dir / name).unlink(missing_ok=True)  # of another build: not this one's
        (project.folder / name).unlink(missing_ok=True)
    for index, script in enumerate(project.scripts):
        label = _STEPS.get(script, "block design and bitstream")
        log = project.folder / "logs" / f"{Path(script).stem}.log"

        def show(begun: str, index: int = index, label: str = label) -> None:
            reporter.progress("vivado", index, len(project.scripts), f"{label}: {begun}")

        reporter.progress("vivado", index, len(project.scripts), label)
        run_script(vivado, project.folder / script, log, show)
        if script == "out_of_context.tcl":
            usage = read_usage(_reports(project, _ALONE) / "utilization.rpt")
            _require_fit(usage[""], project.board)
    reporter.progress("vivado", len(project.scripts), len(project.scripts), "done")
    return _finish(project, run_dir, reporter, round(time.monotonic() - started, 1))


def _reports(project: Project, which: str) -> Path:
    return project.folder / "reports" / which


def _require_fit(used: Area, board: VivadoBoard) -> None:
    have = board.capacity
    needs = {"LUTs": (used.lut, have.lut), "flip-flops": (used.ff, have.ff), "DSP slices": (used.dsp, have.dsp)}
    needs["block RAMs of 18 kbit"] = (used.bram, 2 * have.bram36)
    over = [f"{need:,} {what} of {limit:,}" for what, (need, limit) in needs.items() if need > limit]
    if over:
        fix = "Fold further (`flipflow build RUN --cycles N` with more cycles), or take a larger board."
        raise FlipflowError("E393", f"the accelerator needs {', '.join(over)}.", board.title, fix)


def _finish(project: Project, run_dir: Path, reporter: Reporter, seconds: float) -> dict[str, Any]:
    timing = read_timing(_reports(project, _IMPLEMENTED) / "summary.txt")
    area = _area(_reports(project, _IMPLEMENTED) / "utilization.rpt", project, run_dir, timing.version)
    documents = {"timing": _timing(timing, project), "area": area}
    for name, document in documents.items():
        temporary = run_dir / f"{name}.json.tmp"
        temporary.write_text(json.dumps(document, indent=1) + "\n")
        temporary.replace(run_dir / f"{name}.json")
    made = [name for name in ("accelerator.bit", "accelerator.hwh") if (project.folder / name).is_file()]
    if "accelerator.bit" not in made:
        what = "it ended well, and wrote no accelerator.bit."
        raise FlipflowError("E392", what, "Vivado", f"See {project.folder / 'logs'}.", Exit.CHECK_FAILED)
    for name in made:
        shutil.copyfile(project.folder / name, run_dir / name)
    _require_timing(timing, project, run_dir)
    reporter.message(f"{timing.fmax_mhz:.1f} MHz reached, {project.clock_mhz:g} asked for; {', '.join(made)}")
    return documents | {"seconds": seconds, "made": made}


def _require_timing(timing: Timing, project: Project, run_dir: Path) -> None:
    if timing.met:
        return
    where = f"kernel {timing.kernel}" if timing.kernel else "the interconnect around the accelerator"
    path = f"{timing.start} -> {timing.end}"
    hold = f"; hold is missed by {-timing.hold_slack:g} ns" if timing.hold_slack < 0 else ""
    what = f"{timing.fmax_mhz:.1f} MHz achieved, {project.clock_mhz:g} MHz asked for{hold}; critical path in {where} ({path})."
    safe = f"Ask for --clock-mhz {int(timing.fmax_mhz)}, or fold that kernel otherwise."
    fix = f"The bitstream is kept, and may fail on the board. {safe}"
    raise FlipflowError("E374", what, str(run_dir / "timing.json"), fix, Exit.CHECK_FAILED)


def _timing(timing: Timing, project: Project) -> dict[str, Any]:
    return {
        "board": project.board.name,
        "fmax_mhz": round(timing.fmax_mhz, 2),
        "asked_mhz": project.clock_mhz,
        "met": timing.met,
        "critical": {"kernel": timing.kernel, "path": f"{timing.start} -> {timing.end}"},
        "tool": f"Vivado {timing.version}",
    }


def _area(report: Path, project: Project, run_dir: Path, version: str) -> dict[str, Any]:
    """area.json, as `flipflow synth` writes it; `total` includes DMA and interconnect."""
    from flipflow.hw.graph import kernels_of, load_model  # noqa: PLC0415 - FINN is slow to import
    from flipflow.hw.synth.report import error_percent, kernel_row  # noqa: PLC0415

    table = read_usage(report)
    accelerator, kernels = accelerator_usage(table, report)
    ops = kernels_of(load_model(run_dir / "folded.onnx"))
    family = project.board.family
    rows = [kernel_row(op, kernels.get(op.name, Area()), family) for op in ops]
    estimated: dict[str, Any] = {key: sum(row[f"estimated_{key}"] for row in rows) for key in ("lut", "bram")}
    errors = {f"{key}_error_percent": error_percent(estimated[key], vars(accelerator)[key]) for key in ("lut", "bram")}
    return {
        "board": project.board.name,
        "family": family,
        "total": _measured(table[""]),
        "accelerator": _measured(accelerator),
        "estimated": estimated | errors,
        "kernels": rows,
        "synthesis": {"tool": f"Vivado {version}"},
    }


def _measured(area: Area) -> dict[str, int]:
    return {key: value for key, value in area.as_dict().items() if key != "carry"}  # Vivado counts carries apart
