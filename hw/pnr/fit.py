"""Whether a network fits a board, and what would where it does not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.boards import Board, Part, open_boards

# Above this share of a part's LUTs nextpnr finds no placement or no routing in useful time.
_PLACEABLE = 0.92
# What an estimate must be over before hours of synthesis are refused for it.
_ESTIMATE_MARGIN = 1.3
_NAMES = {"lut": "LUT4s", "ff": "flip-flops", "bram": "18-kbit block RAMs", "dsp": "multipliers"}
_LARGEST_CYCLES = 1 << 26


def require_fit(board: Board, used: Mapping[str, int], run_dir: Path, measured: bool) -> None:
    """Refuse what cannot fit. used: {"lut", "ff", "bram", "dsp"}, any of them; measured: by synthesis, else estimated.

    Raises: FlipflowError E373: what is over by how much, and a fold or a board that would fit.
    """
    margin = 1.0 if measured else _ESTIMATE_MARGIN
    over = {key: used[key] for key in _NAMES if used.get(key, 0) > margin * getattr(board.part, key)}
    if not over:
        return
    told = [
        f"{used[key]:,} {_NAMES[key]} of {getattr(board.part, key):,} ({used[key] / getattr(board.part, key) - 1:.0%} over)"
        for key in over
    ]
    how = "takes" if measured else "takes by the estimate of its kernels"
    what = f"the network {how} {' and '.join(told)}."
    raise FlipflowError("E373", what, f"board {board.name}", _advice(board, used, run_dir))


def _advice(board: Board, used: Mapping[str, int], run_dir: Path) -> str:
    words = []
    cycles = fitting_cycles(run_dir, board.part, board.family, used)
    if cycles is not None:
        words.append(f"Fold smaller: `flipflow build {run_dir} --cycles {cycles}` would fit by the estimate.")
    boards = [other.name for other in open_boards() if fits(other.part, used)]
    if boards:
        words.append(f"As it is folded, it would fit {', '.join(boards)}.")
    elif cycles is None:
        words.append(
            "No fold of it and none of the boards fits: take a smaller network, or a larger FPGA (`--board zcu104`)."
        )
    return " ".join(words)


def fits(part: Part, used: Mapping[str, int]) -> bool:
    """Whether a part holds what is used, with room for placement."""
    room = {"lut": _PLACEABLE, "ff": 1.0, "bram": 1.0, "dsp": 1.0}
    return all(used.get(key, 0) <= room[key] * getattr(part, key) for key in _NAMES)


def estimated(run_dir: Path, family: str) -> dict[str, int] | None:
    """Estimated LUTs and block RAMs of a run's accelerator as it is folded; None where the run has no folded graph."""
    from flipflow.hw.graph import load_model  # noqa: PLC0415 - FINN takes a second to import

    path = run_dir / "folded.onnx"
    return _sum(load_model(path), family) if path.is_file() else None


def fitting_cycles(run_dir: Path, part: Part, family: str, used: Mapping[str, int]) -> int | None:
    """Cycles a frame of the fastest fold, among powers of two, whose estimate fits the part; None where none does.

    used: of the fold in force. Where that is known to be more than its estimate, other estimates are scaled by the same factor.
    """
    from flipflow.hw.convert import convert  # noqa: PLC0415
    from flipflow.hw.folding import FoldRequest, fold  # noqa: PLC0415
    from flipflow.hw.graph import load_model  # noqa: PLC0415
    from flipflow.hw.stitch import stitch  # noqa: PLC0415

    now = estimated(run_dir, family)
    if now is None or not (run_dir / "streamlined.onnx").is_file():
        return None
    scale = {key: max(used.get(key, 0) / now[key], 1.0) if now[key] else 1.0 for key in now}
    about = json.loads((run_dir / "accelerator.json").read_text(encoding="utf-8"))
    cycles, before = 1 << int(about["predicted"]["ii"]).bit_length(), 0
    while cycles <= _LARGEST_CYCLES:
        model = convert(load_model(run_dir / "streamlined.onnx"))
        reached = max(layer.cycles for layer in fold(model, FoldRequest(cycles=cycles)))
        sums = _sum(stitch(model), family)
        if fits(part, {key: int(sums[key] * scale[key]) for key in sums}):
            return cycles
        if reached == before:  # folded as far as it goes
            return None
        cycles, before = 2 * cycles, reached
    return None


def _sum(model: Any, family: str) -> dict[str, int]:
    """Estimates of all kernels of a folded graph, FIFOs included."""
    from flipflow.hw.graph import kernels_of  # noqa: PLC0415

    ops = kernels_of(model)
    return {
        "lut": sum(int(op.lut_estimation(family)) for op in ops),
        "bram": sum(int(op.bram_estimation(family)) for op in ops),
    }
