"""Boards as data: one TOML file a board, with the FPGA, its pins and where each figure was read."""

from flipflow.hw.boards.board import Board, Pin
from flipflow.hw.boards.find import board_names, find_board, flow_of, load_board, open_boards
from flipflow.hw.boards.parts import PARTS, Part

__all__ = ["PARTS", "Board", "Part", "Pin", "board_names", "find_board", "flow_of", "load_board", "open_boards"]
