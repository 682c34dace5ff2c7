"""Whether an FPGA has the pins that a board's file names: asked of nextpnr in seconds, before minutes of synthesis."""

import json
import tempfile
from pathlib import Path
from typing import Any

from flipflow.hw.boards import Board
from flipflow.hw.pnr.constraints import constraints
from flipflow.hw.pnr.nextpnr import design_arguments, failure, nextpnr_of
from flipflow.hw.pnr.tools import run_tool


def check_pins(board: Board) -> None:
    """Let nextpnr pack a design that has the board top's ports and nothing else, under the board's constraints.

    Raises: FlipflowError E372 (a pin, package, speed grade or device that there is not), E376 (nextpnr is not installed).
    """
    with tempfile.TemporaryDirectory(prefix="flipflow-pins-") as scratch:
        place = Path(scratch)
        name, text = constraints(board)
        (place / name).write_text(text, encoding="utf-8")
        (place / "netlist.json").write_text(json.dumps(_pads_only(board)), encoding="utf-8")
        command = [*design_arguments(board), "--pack-only"]
        ran = run_tool(nextpnr_of(board), command, place, place / "pins.log")
        if ran.code != 0:
            error = failure(board, nextpnr_of(board), ran, place / "pins.log")
            # Anything else than a wrong pin is told better by the run on the whole design, whose log stays.
            if error.code == "E372":
                raise error


def _pads_only(board: Board) -> dict[str, Any]:
    """A netlist as Yosys would write it: inputs go nowhere, outputs follow uart_rx_i."""
    ports: dict[str, dict[str, Any]] = {}
    cells: dict[str, Any] = {}
    fresh = iter(range(2, 1 << 16))
    inside = next(fresh)
    for port in board.pins():
        name = port.partition("[")[0]
        entry = ports.setdefault(name, {"direction": "output" if name.endswith("_o") else "input", "bits": []})
        entry["bits"].append(next(fresh))
    for name, entry in ports.items():
        for index, bit in enumerate(entry["bits"]):
            net = inside if name in ("uart_rx_i", "uart_tx_o", "led_o") else next(fresh)
            if board.family == "gowin":  # nextpnr-ecp5 makes its own pads
                cells[f"pad_{name}_{index}"] = _pad(entry["direction"], bit, net)
            else:
                entry["bits"][index] = net
    top = {"attributes": {"top": "1"}, "ports": ports, "cells": cells, "netnames": {}}
    return {"creator": "flipflow", "modules": {"board_top": top}}


def _pad(direction: str, port: int, net: int) -> dict[str, Any]:
    kind, source, sink = ("IBUF", port, net) if direction == "input" else ("OBUF", net, port)
    return {
        "hide_name": 0,
        "type": kind,
        "parameters": {},
        "attributes": {},
        "port_directions": {"I": "input", "O": "output"},
        "connections": {"I": [source], "O": [sink]},
    }
