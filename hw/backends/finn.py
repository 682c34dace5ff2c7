"""`flipflow bitstream --backend finn-hls`: FINN's own builder makes the bitstream, of FINN's HLS layers, folded as the run is.

What FINN gets is its dataflow graph with all layers specialised, so that its builder begins where the folding is applied. Its
step that narrows datatypes is left out: it computes accumulators of XNOR layers too narrow, and ours are exact already.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards.find import flow_of
from flipflow.hw.vivado.board import VivadoBoard, load_vivado_board, require_clock
from flipflow.hw.vivado.tool import run_vendor_tool
from flipflow.sim.reporter import Reporter

MODEL, FOLDING, CONFIG, OUTPUT = "finn.onnx", "folding.json", "build.yaml", "output"
STEPS = (
    "step_apply_folding_config",
    "step_generate_estimate_reports",
    "step_generate_hardware",
    "step_create_stitched_ip",
    "step_out_of_context_synthesis",
    "step_prepare_synthesis",
    "step_synthesize_bitfile",
    "step_make_driver",
    "step_deployment_package",
)
_OUTPUTS = ("estimate_reports", "stitched_ip", "out_of_context_synth", "bitfile", "pynq_driver", "deployment_package")
FINN = (sys.executable, "-m", "finn.interface.run_finn")
_BITFILE = "bitfile/finn-accel"


def finn_hls(run_dir: Path, board: Path, clock_mhz: float, reporter: Reporter) -> dict[str, Any]:
    """Write FINN's graph, folding and build configuration, run FINN's estimates, and its whole build where Vitis is.

    Writes runs/<name>/bitstream/<board>-finn-hls/; FINN's own results, driver included, go to its folder `output`.
    Returns: board, folder, files, estimate (FINN's, of the whole network); with Vitis also bitfile and seconds.
    Raises: FlipflowError E250 (FINN is missing), E300 (no folded.onnx), E390 (a vendor tool is missing: exit code 3, the files
    are there), E391 (FINN has no flow for the board, or the board no such clock), E392 (FINN's builder fails), E395 (a layer that
    FINN does not have).
    """
    target = _target(board)
    require_clock(target, clock_mhz)
    folder = run_dir / "bitstream" / f"{target.name}-finn-hls"
    reporter.progress("finn-hls", 0, 3, "FINN's graph")
    _write(run_dir, folder, target, clock_mhz)
    reporter.progress("finn-hls", 1, 3, "FINN's estimates")
    estimate = _estimate(folder)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    reporter.message(f"{folder}: FINN's builder expects {estimate['max_cycles']:,} cycles an image")
    missing = missing_tools(target)
    if missing:
        raise _without(missing, target, folder, files)
    result = {"board": target.name, "folder": str(folder), "files": files, "estimate": estimate}
    return result | _build(folder, reporter)


def missing_tools(board: VivadoBoard) -> list[str]:
    """Vendor tools that FINN's builder needs for this board and that are not on PATH."""
    missing = [] if shutil.which("vivado") else ["vivado"]
    if not (shutil.which("vitis_hls") or shutil.which("vitis-run")):
        missing.append("vitis_hls (or vitis-run, from 2024.2 on)")
    if board.shell == "xdma" and not shutil.which("v++"):
        missing.append("v++")
    return missing


def _target(board: Path) -> VivadoBoard:
    if flow_of(board) != "vivado":
        what = "FINN's builder makes bitstreams with Vivado only, and this board's are made with nextpnr."
        raise FlipflowError(
            "E391", what, f"--board {board.stem}", "Take --backend rtl, or a board that Vivado makes files for."
        )
    target = load_vivado_board(board)
    if not target.finn_board:
        what = "its file does not say what FINN calls it."
        raise FlipflowError("E391", what, str(board), "Add `finn_board`, if FINN knows the board.")
    return target


def _write(run_dir: Path, folder: Path, board: VivadoBoard, clock_mhz: float) -> None:
    from flipflow.hw.hls.convert import folding_config, to_hls  # noqa: PLC0415

    model = to_hls(run_dir, board.part)
    from qonnx.transformation.general import GiveUniqueNodeNames  # noqa: PLC0415

    model = model.transform(GiveUniqueNodeNames())  # as the builder does before it applies a folding
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save(str(folder / MODEL))
    (folder / FOLDING).write_text(json.dumps(folding_config(model), indent=1) + "\n")
    (folder / CONFIG).write_text(_config(board, clock_mhz))


def _config(board: VivadoBoard, clock_mhz: float) -> str:
    """build.yaml of finn-plus: a DataflowBuildConfig. JSON is YAML, and needs no package to be written."""
    values: dict[str, Any] = {
        "output_dir": OUTPUT,
        "synth_clk_period_ns": round(1000.0 / clock_mhz, 4),
        "board": board.finn_board,
        "fpga_part": board.part,
        "shell_flow_type": "vitis_alveo" if board.shell == "xdma" else "vivado_zynq",
        "folding_config_file": FOLDING,
        "minimize_bit_width": False,
        "generate_outputs": list(_OUTPUTS),
        "steps": list(STEPS),
    }
    return json.dumps(values, indent=1) + "\n"


def _estimate(folder: Path) -> dict[str, Any]:
    """Run FINN's builder up to its estimates, which needs no vendor tool; returns those of the whole network."""
    command = [sys.executable, "-m", "flipflow.hw.backends.estimate", CONFIG, MODEL]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    report = folder / OUTPUT / "report" / "estimate_network_performance.json"
    if done.returncode != 0 or not report.is_file():
        lines = (done.stdout + done.stderr).strip().splitlines()[-12:]
        said = "".join(f"\n    {line}" for line in lines)
        fix = f"Please report this with the folder {folder}."
        raise FlipflowError("E392", f"it does not take the graph.{said}", "FINN's builder", fix, Exit.CHECK_FAILED)
    estimate: dict[str, Any] = json.loads(report.read_text())
    return estimate


def _without(missing: list[str], board: VivadoBoard, folder: Path, files: list[str]) -> FlipflowError:
    listed = "".join(f"\n    {name}" for name in files)
    what = f"not on PATH: {', '.join(missing)}. Generated were, in {folder}:{listed}\n"
    fix = (
        "Install Vitis and source its settings64.sh, then give the same command again; or take the folder to a machine that has "
        f"Vitis and finn-plus and run `finn build {CONFIG} {MODEL}` in it."
    )
    return FlipflowError("E390", what, f"--board {board.name} --backend finn-hls", fix, Exit.TOOL_MISSING)


def _build(folder: Path, reporter: Reporter) -> dict[str, Any]:
    started = time.monotonic()
    # FINN looks after its own dependencies (finn-hlslib among them), in its own place: our settings must not hide it.
    environment = {key: value for key, value in os.environ.items() if key != "FINN_SETTINGS"}

    def show(line: str) -> None:
        _, found, step = line.partition("Running step: ")
        if found:
            reporter.progress("finn-hls", 2, 3, step.strip())

    log = folder / "finn.log"
    run_vendor_tool([*FINN, "build", "--batch", CONFIG, MODEL], folder, log, show, "FINN's builder", environment)
    reporter.progress("finn-hls", 3, 3, "done")
    made = [path for path in sorted((folder / OUTPUT).glob(f"{_BITFILE}.*")) if path.suffix in {".bit", ".xclbin"}]
    if not made:
        what = "it ended well, and made no bitstream."
        raise FlipflowError("E392", what, "FINN's builder", f"The whole log is {log}.", Exit.CHECK_FAILED)
    return {"bitfile": str(made[0]), "seconds": round(time.monotonic() - started, 1)}
