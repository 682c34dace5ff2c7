"""Pin constraints of a board for nextpnr: .lpf for ECP5 (Lattice's preferences), .cst for Gowin (physical constraints)."""

from flipflow.hw.boards import Board, Pin

_GOWIN_PULL = {"up": "UP", "down": "DOWN", "none": "NONE"}


def constraints(board: Board) -> tuple[str, str]:
    """(file name, text) of the constraints on the ports of the module `board_top`."""
    return ("board.lpf", lpf(board)) if board.family == "ecp5" else ("board.cst", cst(board))


def lpf(board: Board) -> str:
    """Constraints for nextpnr-ecp5; the frequency of the oscillator, of which it derives that of a PLL's outputs."""
    lines = [f"# {board.title}"]
    for port, pin in board.pins().items():
        lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
        drive = f" DRIVE={pin.drive}" if pin.drive is not None else ""
        lines.append(f'IOBUF PORT "{port}" IO_TYPE={pin.standard} PULLMODE={pin.pull.upper()}{drive};')
    return "\n".join([*lines, f'FREQUENCY PORT "clk_i" {board.clock_mhz:.6f} MHZ;']) + "\n"


def cst(board: Board) -> str:
    """Constraints for nextpnr-himbaechel-gowin, which takes frequencies from its command line."""
    lines = [f"// {board.title}"]
    for port, pin in board.pins().items():
        lines += [f'IO_LOC "{port}" {pin.site};', f'IO_PORT "{port}" {_gowin_attributes(pin)};']
    return "\n".join(lines) + "\n"


def _gowin_attributes(pin: Pin) -> str:
    drive = f" DRIVE={pin.drive}" if pin.drive is not None else ""
    return f"IO_TYPE={pin.standard} PULL_MODE={_GOWIN_PULL[pin.pull]}{drive}"
