"""The host's side of a board, without a board: the whole board top in simulation, and the driver that a desk would use.

    flipflow run configs/digits-cnn.toml              train, export, build, verify
    python examples/host_on_a_board.py                the first test images, over a simulated serial line

The simulation stands at the pins: the board's oscillator, the PLL (a model of the vendor's), the serial line bit by bit, the
accelerator's RTL. Bytes can be lost, doubled and damaged on the way; the answers are right all the same. With a real board
leave the simulation away and give the port's name: `Accelerator.open("/dev/ttyUSB0", run)`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from flipflow.config import load_config
from flipflow.hw.board_top import board_top
from flipflow.hw.boards import load_board
from flipflow.hw.host import Accelerator
from flipflow.hw.host.network import network_identity
from flipflow.sim.board import Line, SimulatedBoard, build_board
from flipflow.sim.images import test_images
from flipflow.sim.levels import Network

CLOCK_MHZ = 100.0
BAUD = 12_500_000  # 8 clock cycles a bit, the fewest: less to simulate


def simulated(run: Path, name: str, damage: float) -> SimulatedBoard:
    """The board `name` with the accelerator of `run`, on a line that damages one byte in 1 / `damage`."""
    accel, board = json.loads((run / "accelerator.json").read_text()), load_board(name)
    top = board_top(accel, board, CLOCK_MHZ, network_identity(run), baud=BAUD, silence_cycles=20_000)
    binary = build_board(top, sorted((run / "rtl").glob("*.sv")), board.button is not None)
    released = int(board.button is not None and board.button_active_low)
    return SimulatedBoard(binary, run / "rtl", board.clock_mhz, Line(BAUD, damage, damage), released)


def main() -> None:
    """Classify images on the simulated board and compare with the reference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", nargs="?", type=Path, default=Path("runs/digits-cnn"), help="run directory")
    parser.add_argument("--board", default="ulx3s-85f", help="any board of flipflow's own with a serial link")
    parser.add_argument("--images", type=int, default=40, help="how many")
    parser.add_argument("--damage", type=float, default=0.002, help="part of the bytes, each way")
    options = parser.parse_args()

    network = Network(options.run)
    images = test_images(load_config(options.run / "config.toml", ()), network.canonical, options.images)
    expected = network.run("integer", network.canonical.accept(images.values))
    with (
        simulated(options.run, options.board, options.damage) as board,
        Accelerator.open(board.port, options.run, timeout=2.0) as fpga,
    ):
        answers = fpga.infer(images.values)
        print(f"on {options.board} at {fpga.device.clock_khz / 1000:g} MHz: {len(answers.classes)} images")
        print(f"equal to the reference: {np.array_equal(answers.logits, expected.logits)}")
        print(f"cycles an image: {sorted(set(answers.latency.tolist()))}")
        print(f"on the host: {fpga.statistics}")
        print(f"on the device: {fpga.counters()}")


if __name__ == "__main__":
    main()
