"""From a routed design to the file that a board is loaded with."""

from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards import Board
from flipflow.hw.pnr.tools import ECPPACK, GOWIN_PACK, Tool, run_tool

SUFFIX = {"ecp5": ".bit", "gowin": ".fs"}


def packer_of(board: Board) -> Tool:
    """What packs a board's family."""
    return ECPPACK if board.family == "ecp5" else GOWIN_PACK


def pack(board: Board, routed: Path, stem: str) -> Path:
    """Make `stem`.bit (ECP5, compressed) or `stem`.fs (Gowin, text) beside the routed design.

    Raises: FlipflowError E375 (the packer died), E376 (not installed).
    """
    target = routed.parent / f"{stem}{SUFFIX[board.family]}"
    log = routed.parent / "pack.log"
    tool = packer_of(board)
    if tool is ECPPACK:
        words = ["--compress", "--input", routed.name, "--bit", target.name]
    else:
        words = ["-d", board.device, "-o", target.name, routed.name]
    ran = run_tool(tool, words, routed.parent, log)
    if ran.code != 0 or not target.is_file() or target.stat().st_size == 0:
        said = " / ".join(ran.tail[-3:]) or "it said nothing."
        what = f"{tool.name} ended with code {ran.code}: {said}"
        raise FlipflowError("E375", what, str(log), "Read the log; the same command tries again.", Exit.CHECK_FAILED)
    return target
