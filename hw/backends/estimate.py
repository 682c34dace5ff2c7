"""Runs FINN's builder up to its estimates in a process of its own: python -m flipflow.hw.backends.estimate CONFIG MODEL.

FINN's builder imports the vendor's simulator although estimates need none; a stand-in takes its place here.
"""

import os
import sys
import types
from pathlib import Path

LAST_STEP = "step_generate_estimate_reports"


def main(config: Path, model: Path) -> int:
    """Write FINN's reports to the folder that the configuration names. Returns FINN's exit code."""
    from flipflow.export.finn.environment import start_finn  # noqa: PLC0415

    os.environ.setdefault("XILINX_VIVADO", os.devnull)
    start_finn()
    simulator = types.ModuleType("finn.xsi")
    simulator.SimEngine = None  # type: ignore[attr-defined]
    sys.modules["finn.xsi"] = simulator
    from finn.builder.build_dataflow import build_dataflow_cfg  # noqa: PLC0415
    from finn.builder.build_dataflow_config import DataflowBuildConfig  # noqa: PLC0415

    chosen = DataflowBuildConfig.construct_from(config.resolve())
    chosen.stop_step = LAST_STEP
    chosen.output_dir = str(config.resolve().parent / chosen.output_dir)
    return int(build_dataflow_cfg(str(model), chosen))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
