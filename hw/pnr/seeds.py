"""Several placements side by side, and the best of them."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from flipflow.errors import FlipflowError
from flipflow.hw.boards import Board
from flipflow.hw.pnr.nextpnr import Choice, Routed, place_and_route
from flipflow.hw.pnr.progress import Progress
from flipflow.hw.process import Processes

# Memory of one nextpnr by family, in bytes: its database, and some for each cell (measured on networks of 5,000 to 40,000 cells).
_DATABASE = {"ecp5": 700 << 20, "gowin": 400 << 20}
_PER_CELL = 40_000


def side_by_side(board: Board, cells: int) -> int:
    """How many runs of nextpnr go at once: one a core, and no more than the free memory holds. cells: of the netlist."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, _free_memory() // (_DATABASE[board.family] + _PER_CELL * cells)))


def _free_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        entry = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(entry.split()[1]) << 10
    except (OSError, StopIteration, ValueError):
        return 0


def best_of(
    board: Board,
    choice: Choice,
    seeds: int,
    clock_mhz: float,
    workdir: Path,
    kernels: Sequence[str],
    cells: int,
    show: Callable[[int, float, str], None],
) -> list[Routed]:
    """Route with `seeds` seeds from choice.seed on, the fastest design first.

    show(seed, percent, phase) is called while they run. A seed that finds no routing does not count as long as another does.

    Raises: FlipflowError E372, E375, E376, E377, as `place_and_route`, where no seed ends well.
    """
    processes = Processes()
    done: list[Routed] = []
    failed: list[FlipflowError] = []

    def run(seed: int) -> Routed:
        progress = Progress(lambda percent, phase: show(seed, percent, phase))
        routed = place_and_route(board, replace(choice, seed=seed), clock_mhz, workdir, kernels, progress, processes)
        show(seed, 100.0, f"{routed.timing.fmax_mhz:.1f} MHz")
        return routed

    pool = ThreadPoolExecutor(max_workers=min(seeds, side_by_side(board, cells)))
    try:
        waiting: set[Future[Routed]] = {pool.submit(run, choice.seed + index) for index in range(seeds)}
        while waiting:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                _keep(future, done, failed)
    finally:
        # After Ctrl-C or an error nothing of this may go on in the background.
        processes.kill()
        pool.shutdown(wait=True, cancel_futures=True)
    if not done:
        raise failed[0]
    return sorted(done, key=lambda routed: (-routed.timing.fmax_mhz, routed.choice.seed))


def _keep(future: "Future[Routed]", done: list[Routed], failed: list[FlipflowError]) -> None:
    """Sort a result; only what another seed may do better is kept as a failure, the rest is raised."""
    try:
        done.append(future.result())
    except FlipflowError as error:
        if error.code not in ("E375", "E377"):
            raise
        failed.append(error)
