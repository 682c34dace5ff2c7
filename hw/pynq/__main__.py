"""Answers the images of a .npy file: python3 -m flipflow_driver --input images.npy --out answers.npz."""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from .accelerator import Accelerator
from .links import AcceleratorError


def main() -> int:
    """Answer the images of a .npy file."""
    parser = argparse.ArgumentParser(prog="flipflow_driver", description="Run images through a flipflow accelerator.")
    parser.add_argument("--bitstream", default="accelerator.bit", help="bitstream to load on a PYNQ board")
    parser.add_argument("--xdma", help="a card's device files, such as /dev/xdma0, instead of a bitstream")
    parser.add_argument("--network", help="network.json; beside the bitstream by default")
    parser.add_argument("--input", required=True, help=".npy file of integers [N, H, W, C] or [N, K]")
    parser.add_argument("--out", required=True, help=".npz file for logits and class")
    options = parser.parse_args()
    try:
        images = np.load(options.input, allow_pickle=False)
        bitstream = None if options.xdma else options.bitstream
        with Accelerator.open(bitstream, options.network, options.xdma) as fpga:
            started = time.monotonic()
            answers = fpga.infer(images)
            seconds = time.monotonic() - started
        found = {"logits": answers.logits, "class": answers.classes}
        np.savez_compressed(options.out, allow_pickle=False, **found)
    except (AcceleratorError, OSError, ValueError) as error:
        print(f"flipflow_driver: {error}", file=sys.stderr)
        return 2
    print(
        f"{len(images)} images in {seconds:.3f} s; latency {answers.latency} cycles, interval {answers.interval} cycles"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
