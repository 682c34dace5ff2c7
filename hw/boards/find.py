"""Finding a board by its name, or in a file of the user's."""

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flipflow.config.load import explain
from flipflow.errors import FlipflowError
from flipflow.hw.boards.board import Board

FOLDER = Path(__file__).parent
_SUFFIX = ".toml"


def board_names() -> tuple[str, ...]:
    """Names of the boards that come with flipflow, of every flow, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{_SUFFIX}")))


def find_board(name: str) -> Path:
    """The file of a board: `name` is one of `board_names`, or the path of a .toml file.

    Raises: FlipflowError E370 (no such board or file, with the nearest names).
    """
    if name in board_names():
        return FOLDER / f"{name}{_SUFFIX}"
    if name.endswith(_SUFFIX) or "/" in name:
        if Path(name).is_file():
            return Path(name)
        fix = f"Name an existing .toml file, or one of {', '.join(board_names())}."
        raise FlipflowError("E370", "there is no such board file.", f"--board {name}", fix)
    near = difflib.get_close_matches(name.lower(), board_names(), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    fix = f"{hint}Boards are {', '.join(board_names())}; a board of your own is a .toml file (docs/boards.md)."
    raise FlipflowError("E370", "there is no board of this name.", f"--board {name}", fix)


def read_table(path: Path) -> dict[str, Any]:
    """A board file's content. Raises: FlipflowError E371 (cannot be read, or is no TOML)."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FlipflowError("E371", f"{error.strerror or error}.", str(path), "Name a readable file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FlipflowError("E371", f"it is not valid TOML ({error}).", str(path), "Correct the line named.") from error


def flow_of(path: Path) -> str:
    """Which tools make a bitstream for the board of this file: "nextpnr" or "vivado"."""
    return str(read_table(path).get("flow", "nextpnr"))


def load_board(name: str) -> Board:
    """The board of this name, or of this .toml file.

    Raises: FlipflowError E370 (no such board), E371 (the file describes no board: the message names the key).
    """
    path = find_board(name)
    try:
        return Board.model_validate(read_table(path))
    except ValidationError as error:
        found = explain(error, str(path), Board)
        fix = found.fix.replace("docs/configuration.md and docs/sweeps.md list", "docs/boards.md lists")
        raise FlipflowError("E371", found.what, found.where, fix) from error


def open_boards() -> tuple[Board, ...]:
    """All boards that come with flipflow and that nextpnr has a flow for."""
    return tuple(load_board(name) for name in board_names() if flow_of(find_board(name)) == "nextpnr")
