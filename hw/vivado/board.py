"""Boards whose bitstreams AMD's Vivado makes, as their TOML files describe them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from flipflow.config.load import explain
from flipflow.config.section import Section
from flipflow.errors import FlipflowError
from flipflow.hw.boards.find import read_table

Shell = Literal["zynq7000", "zynqmp", "xdma"]


class Capacity(Section):
    """What the part holds: LUT6, flip-flops, block RAMs of 36 kbit, DSP slices."""

    lut: int = Field(ge=1)
    ff: int = Field(ge=1)
    bram36: int = Field(ge=1)
    dsp: int = Field(ge=0)


class VivadoBoard(Section):
    """A board that Vivado makes bitstreams for.

    shell: what joins the accelerator to its host: the processing system of a Zynq with an AXI DMA, or a PCI Express card with the
    XDMA core. part: full ordering code. board_part: Vivado's name of the board, without its version. stream_bits: widest stream
    word, a power of two. crystal_mhz: oscillator of a Zynq-7000's processing system, which makes the accelerator's clock of it.
    max_clock_mhz: fastest clock that the shell can make. capacity: of the part. finn_board: FINN's name of the board, "" where it
    has none. load: how to bring a bitstream in. sources: where every figure was read.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    flow: Literal["vivado"]
    shell: Shell
    part: str = Field(pattern=r"^xc[a-zA-Z0-9-]+$")
    finn_board: str = ""
    board_part: str = Field(pattern=r"^[a-z0-9._-]+(:[a-z0-9._-]+)*$")
    stream_bits: Literal[32, 64, 128, 256, 512]
    crystal_mhz: float = Field(default=33.333333, gt=0.0)
    max_clock_mhz: float = Field(gt=0.0)
    load: str = ""
    capacity: Capacity
    sources: tuple[str, ...] = Field(min_length=1)

    @property
    def narrowest_bits(self) -> int:
        """Bits of the narrowest stream word: XDMA's streams have one width only."""
        return self.stream_bits if self.shell == "xdma" else 8

    @property
    def family(self) -> str:
        """The family in `flipflow synth`'s words: xc7 or xcup."""
        return "xc7" if self.shell == "zynq7000" else "xcup"


def load_vivado_board(path: Path) -> VivadoBoard:
    """The board of this TOML file. Raises: FlipflowError E371 (the file describes no such board: the message names the key)."""
    try:
        return VivadoBoard.model_validate(read_table(path))
    except ValidationError as error:
        found = explain(error, str(path), VivadoBoard)
        fix = "Compare with a board that comes with flipflow (docs/vendor.md lists them)."
        raise FlipflowError("E371", found.what, found.where, fix) from error


def require_clock(board: VivadoBoard, clock_mhz: float) -> None:
    """Raise FlipflowError E391 where the board's shell cannot make this clock."""
    if not 1.0 <= clock_mhz <= board.max_clock_mhz:
        what = f"{clock_mhz:g} MHz was asked for, and {board.title} makes 1 to {board.max_clock_mhz:g} MHz."
        raise FlipflowError("E391", what, "target.clock_mhz", "Ask for another clock (--clock-mhz).")
