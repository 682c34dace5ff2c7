"""Whether a network fits a board, and what would where it does not."""

from collections.abc import Mapping
from pathlib import Path

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
    cycles = fitting_cycles(run_dir, board.part, used)
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


def fitting_cycles(run_dir: Path, part: Part, used: Mapping[str, int]) -> int | None:
    """Cycles a frame of the fastest fold, among powers of two, whose estimate fits the part; None where none does.

    used: of the fold in force. Where it is known to be more than its estimate, other estimates are scaled by the same factor.
    """
    from flipflow.hw.folding import FoldRequest, fold  # noqa: PLC0415 - FINN takes a second to import

    folded = _estimate_now(run_dir)
    if folded is None:
        return None
    scale = {key: max(used.get(key, 0) / folded[key], 1.0) if folded[key] else 1.0 for key in folded}
    cycles, previous = 1 << max(folded["ii"] - 1, 1).bit_length(), None
    while cycles <= _LARGEST_CYCLES:
        model = _unfolded(run_dir)
        layers = fold(model, FoldRequest(cycles=cycles))
        now = sum(layer.lut for layer in layers), sum(layer.bram for layer in layers)
        if fits(part, {"lut": int(now[0] * scale["lut"]), "bram": int(now[1] * scale["bram"])}):
            return cycles
        if now == previous:  # as small as folding makes it
            return None
        cycles, previous = 2 * cycles, now
    return None


def _unfolded(run_dir: Path) -> object:
    from flipflow.hw.convert import convert  # noqa: PLC0415
    from flipflow.hw.graph import load_model  # noqa: PLC0415

    return convert(load_model(run_dir / "streamlined.onnx"))


def _estimate_now(run_dir: Path) -> dict[str, int] | None:
    """Estimated LUTs and block RAMs of the fold in force, and its cycles a frame; None where the run has no streamlined graph."""
    import json  # noqa: PLC0415

    try:
        about = json.loads((run_dir / "accelerator.json").read_text(encoding="utf-8"))
        layers = about["layers"]
        ii = int(about["predicted"]["ii"])
    except (OSError, ValueError, KeyError):
        return None
    if not (run_dir / "streamlined.onnx").is_file():
        return None
    return {"lut": sum(entry["lut"] for entry in layers), "bram": sum(entry["bram"] for entry in layers), "ii": ii}
