"""Level `netlist`: the synthesised accelerator, as instances of an FPGA family's cells, in Verilator.

The models of the cells are Yosys' own, and for block RAM and multipliers those in hw/cells. The harness, the images and what
is demanded (logits, classes, the cycle of every frame) are the RTL's. A model of thousands of cells takes long to compile and
runs at some thousand clock cycles a second, so this level wants few images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.sim import cache
from flipflow.sim.accelerator import SimResult, simulate
from flipflow.sim.reporter import Reporter
from flipflow.sim.runner import Progress

DEFAULT_FAMILY = "ecp5"


@dataclass(frozen=True)
class NetlistRun:
    """What the netlist answered. family: of the FPGA. netlist: the file simulated."""

    family: str
    netlist: Path
    result: SimResult


def simulate_netlist(
    run_dir: Path,
    accel: Mapping[str, Any],
    images_int: NDArray[Any],
    family: str = DEFAULT_FAMILY,
    *,
    stall: float = 0.0,
    seed: int = 0,
    reporter: Reporter | None = None,
    progress: Progress | None = None,
) -> NetlistRun:
    """Synthesise a run's accelerator for `family` where that is not done yet, and run images through the netlist.

    accel: accelerator.json. images_int: integers [N, H, W, C] or [N, K] as the input quantizer gives them.
    stall, seed, progress: as in flipflow.sim.accelerator.simulate. reporter: shows the synthesis' progress.

    Raises: FlipflowError E350 (no pyosys), E360-E363 (synthesis), E420 (a cell without a model), and those of `simulate`.
    """
    from flipflow.hw.cells import simulation_source  # noqa: PLC0415 - the tools of hardware only where they are needed
    from flipflow.hw.netlist import accelerator_netlist  # noqa: PLC0415

    def show(share: float, note: str) -> None:
        if reporter is not None:
            reporter.progress(f"synthesis {family}", share, 1.0, note)

    netlist = accelerator_netlist(run_dir, accel, family, show)
    text = simulation_source(netlist.read_text(), family)

    def write(place: Path) -> None:
        (place / "netlist_with_cells.v").write_text(text)

    source = cache.entry("netlist-source", cache.digest([text]), write) / "netlist_with_cells.v"
    images = np.asarray(images_int)
    result = simulate(
        run_dir / "rtl", accel, images, stall=stall, seed=seed, progress=progress, quick=True, sources=[source]
    )
    return NetlistRun(family, netlist, result)
