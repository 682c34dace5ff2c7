"""Texts of a board top: the generated module, and the RTL of the link and of the clock that it stands on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipflow.errors import FlipflowError
from flipflow.hw.board_top.pll import Clock, plan_clock
from flipflow.hw.host.device import Device
from flipflow.hw.host.protocol import DEFAULT_BAUD

if TYPE_CHECKING:
    from flipflow.hw.boards import Board

RTL = Path(__file__).parents[1] / "rtl"
TOP = "board_top"
# A package stands before what imports it, for tools that read files in order.
LINK = (
    "link_pkg", "uart_rx", "uart_tx", "link_crc", "link_receiver", "link_transmitter", "image_buffer", "result_buffer",
    "host_link", "reset_control",
)  # fmt: skip
# The family's own wrapper of its PLL, and the primitive's declaration.
CLOCKS = {"ecp5": ("EHXPLLL", "ecp5_pll"), "gowin": ("rPLL", "gowin_pll")}
_FEWEST_CLOCKS = 8  # a bit, for uart_rx
_MOST_ERROR = 0.015  # of the baud rate; the receiver takes 2 % beside it
_SILENCE_SECONDS = 0.25  # that end half a frame: longer than what an operating system holds a byte back


def clock_of(board: "Board", clock_mhz: float) -> Clock:
    """The accelerator's clock on a board, as near to `clock_mhz` as its PLL comes. Raises FlipflowError E380."""
    return plan_clock(board.family, board.clock_mhz, clock_mhz)


def board_top(
    accel: Mapping[str, Any],
    board: "Board",
    clock_mhz: float,
    identity: bytes,
    *,
    baud: int = DEFAULT_BAUD,
    silence_cycles: int | None = None,
) -> dict[str, str]:
    """Sources of the top module `board_top` of an accelerator: file name -> text, in the order in which tools may read them.

    accel: accelerator.json. identity: flipflow.hw.host.network.network_identity of the run. baud: of the link, bits a second.
    silence_cycles: clock cycles without a byte that end half a frame, a quarter of a second by default.
    Ports: clk_i, uart_rx_i, uart_tx_o, and where the board has them button_i and led_o. The accelerator is u_accelerator.
    link.json, no source, says what the device will answer and at which baud rate.

    Raises: FlipflowError E380 (clock), E381 (images too large for the link), E382 (baud rate), E406 (accelerator.json).
    """
    clock = clock_of(board, clock_mhz)
    device = Device.of(accel, identity, float(clock.mhz))
    facts = _link_facts(device, clock, baud, silence_cycles) | _board_facts(board, clock)
    facts |= {"name": str(accel.get("name", "")), "fifos": _fifos(accel)}
    files = {f"{name}.sv": (RTL / "link" / f"{name}.sv").read_text() for name in LINK}
    if not clock.direct:
        files |= {f"{name}.sv": (RTL / board.family / f"{name}.sv").read_text() for name in CLOCKS[board.family]}
    files[f"{TOP}.sv"] = _render(facts)
    files["link.json"] = json.dumps(_document(device, clock, board, baud), indent=1) + "\n"
    return files


def _fifos(accel: Mapping[str, Any]) -> int:
    fifos = accel.get("fifos")
    if not isinstance(fifos, list) or not fifos:
        fix = "Build again; this file is not meant to be edited."
        raise FlipflowError("E406", "is missing.", "accelerator.json fifos", fix)
    return len(fifos)


def _link_facts(device: Device, clock: Clock, baud: int, silence_cycles: int | None) -> dict[str, Any]:
    identity = device.to_bytes()
    hertz = float(clock.mhz) * 1e6
    return {
        "clocks_per_bit": clocks_per_bit(clock, baud),
        "baud": baud,
        "silence": silence_cycles or round(hertz * _SILENCE_SECONDS),
        "slots": device.slots,
        "in_width": device.source.tdata_width,
        "in_beats": device.source.beats_per_frame,
        "out_width": device.sink.tdata_width,
        "out_beats": device.sink.beats_per_frame,
        "identity_bytes": len(identity),
        "identity": f"{8 * len(identity)}'h{int.from_bytes(identity, 'little'):0{2 * len(identity)}x}",
    }


def _board_facts(board: "Board", clock: Clock) -> dict[str, Any]:
    return {
        "board": board.name,
        "family": board.family,
        "oscillator_mhz": f"{board.clock_mhz:g}",
        "device": board.device if board.family != "gowin" else board.part_number[:5] + "-18C",
        "clock": clock,
        "clock_mhz": f"{float(clock.mhz):.6g}",
        "button": board.button is not None,
        "button_active_low": board.button_active_low,
        "leds": len(board.leds),
        "leds_active_low": board.leds_active_low,
    }


def clocks_per_bit(clock: Clock, baud: int) -> int:
    """Clock cycles of a bit on the line. Raises FlipflowError E382 where the rate is out of reach of this clock."""
    hertz = float(clock.mhz) * 1e6
    cycles = round(hertz / baud) if baud > 0 else 0
    if cycles >= _FEWEST_CLOCKS and abs(hertz / cycles / baud - 1) <= _MOST_ERROR:
        return cycles
    near = f"{round(hertz / max(cycles, _FEWEST_CLOCKS)):,}"
    raise FlipflowError(
        "E382",
        f"a clock of {hertz / 1e6:.3f} MHz does not make it within {_MOST_ERROR:.1%}.",
        f"a baud rate of {baud:,}",
        f"Choose one of at most {round(hertz / _FEWEST_CLOCKS):,} that divides the clock, such as {near} (--baud).",
    )


def _render(facts: Mapping[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("board_top.sv.j2").render(facts)


def _document(device: Device, clock: Clock, board: "Board", baud: int) -> dict[str, Any]:
    return {
        "board": board.name,
        "network": device.network.hex(),
        "clock_mhz": float(clock.mhz),
        "baud": baud,
        "slots": device.slots,
    }
