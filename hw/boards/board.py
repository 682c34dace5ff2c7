"""A board as its TOML file describes it: the FPGA, and the pins that an accelerator needs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from flipflow.config.section import Section
from flipflow.hw.boards.parts import PARTS, Part

Pull = Literal["up", "down", "none"]
# I/O standards by family: nextpnr takes any name, and makes a bitstream that does not work of a wrong one. ECP5: Lattice
# FPGA-TN-02032, table 2.1; Gowin: UG289, table 2-1.
STANDARDS: dict[str, tuple[str, ...]] = {
    "ecp5": (
        *("LVCMOS33", "LVCMOS25", "LVCMOS18", "LVCMOS15", "LVCMOS12", "LVTTL33"),
        *("SSTL18_I", "SSTL18_II", "SSTL15_I", "SSTL15_II", "SSTL135_I", "SSTL135_II", "HSUL12"),
    ),
    "gowin": ("LVCMOS33", "LVCMOS25", "LVCMOS18", "LVCMOS15", "LVCMOS12", "LVTTL33", "SSTL18_I", "SSTL15", "HSTL18_I"),
}


class Pin(Section):
    """One pin of the FPGA.

    site: the package's name of it, a ball such as "G2" or a number such as "4". standard: I/O standard (LVCMOS33). pull: resistor
    in the FPGA. drive: strength of an output in mA, None for the tool's own.
    """

    site: str = Field(pattern=r"^[A-Z]{0,2}[0-9]{1,3}$")
    standard: str = Field(default="LVCMOS33", pattern=r"^[A-Z][A-Z0-9_]+$")
    pull: Pull = "none"
    drive: int | None = Field(default=None, ge=1, le=24)


class Board(Section):
    """A board that nextpnr has a flow for.

    name: as --board takes it. device: with its entry in PARTS. package, speed: as nextpnr's architecture names them (ECP5), or
    part: the full ordering code (Gowin). clock_mhz: of the oscillator at `clock`. uart_rx: into the FPGA; uart_tx: out of it.
    serial: what stands at the other end of them. button: resets the accelerator. load: command that loads a bitstream, {file} its
    name. sources: where every figure was read.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    flow: Literal["nextpnr"] = "nextpnr"
    family: Literal["ecp5", "gowin"]
    device: str
    package: str
    speed: str
    part_number: str = ""
    clock: Pin
    clock_mhz: float = Field(gt=0.0, le=400.0)
    uart_rx: Pin
    uart_tx: Pin
    serial: str
    button: Pin | None = None
    button_active_low: bool = False
    leds: tuple[Pin, ...] = ()
    leds_active_low: bool = False
    load: str = ""
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.device not in PARTS:
            raise ValueError(f"`device` is none of {', '.join(PARTS)}")
        if self.family == "gowin" and not self.part_number:
            raise ValueError("a Gowin board needs `part_number`, the full ordering code")
        for port, pin in self.pins().items():
            if pin.standard not in STANDARDS[self.family]:
                key, known = self.keys()[port], ", ".join(STANDARDS[self.family])
                raise ValueError(f"`{key}`: {pin.standard} is no I/O standard of {self.family}; there are {known}")
        sites = [pin.site for pin in self.pins().values()]
        twice = sorted({site for site in sites if sites.count(site) > 1})
        if twice:
            raise ValueError(f"site {', '.join(twice)} is given to two pins")
        return self

    @property
    def part(self) -> Part:
        """Capacities of the FPGA."""
        return PARTS[self.device]

    def pins(self) -> dict[str, Pin]:
        """Pins by the port of `board_top` that they belong to."""
        pins = {"clk_i": self.clock, "uart_rx_i": self.uart_rx, "uart_tx_o": self.uart_tx}
        if self.button is not None:
            pins["button_i"] = self.button
        return pins | {f"led_o[{index}]": pin for index, pin in enumerate(self.leds)}

    def keys(self) -> dict[str, str]:
        """The file's key of every port of `pins`, for messages."""
        names = {"clk_i": "clock", "uart_rx_i": "uart_rx", "uart_tx_o": "uart_tx", "button_i": "button"}
        return names | {f"led_o[{index}]": f"leds[{index}]" for index in range(len(self.leds))}
