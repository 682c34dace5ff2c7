"""A simulated board around one of the small accelerators, for tests."""

from pathlib import Path

from flipflow.hw.board_top import board_top
from flipflow.hw.boards import load_board
from flipflow.hw.host.network import network_identity
from flipflow.sim.board import Line, SimulatedBoard, build_board
from tests.link_accelerators import Format

CLOCK_MHZ = 100
BAUD = 12_500_000  # 8 clocks a bit, the fewest: fast to simulate, and the hardest for the receiver
SILENCE = 20_000  # clock cycles
SECONDS = 5.0  # patience of the driver with a simulation on a busy machine


def simulated_board(
    form: Format, folder: Path, name: str = "ulx3s-85f", line: Line | None = None, baud: int = BAUD
) -> SimulatedBoard:
    """The board `name` with an accelerator of this format, whose run is written to `folder`."""
    board = load_board(name)
    run = form.run_dir(folder)
    source = folder / "accelerator.sv"
    source.write_text(form.source())
    top = board_top(form.describe(), board, CLOCK_MHZ, network_identity(run), baud=baud, silence_cycles=SILENCE)
    binary = build_board(top, [source], board.button is not None, quick=True)
    released = int(board.button is not None and board.button_active_low)
    return SimulatedBoard(binary, folder, board.clock_mhz, line or Line(baud), released)
