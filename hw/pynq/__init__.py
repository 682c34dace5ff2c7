"""Drives a flipflow accelerator on a PYNQ board (AXI DMA) or on a PCI Express card (XDMA).

This package is copied beside a bitstream as `flipflow_driver`; with network.json, that is all the board needs. It wants
Python 3.8 and NumPy, and pynq on a Zynq.

    from flipflow_driver import Accelerator

    with Accelerator.open("accelerator.bit") as fpga:  # network.json lies beside the bitstream
        answers = fpga.infer(images)  # integers [N, H, W, C] or [N, K], as the network's first quantizer gives them
        print(answers.classes, answers.latency)

    with Accelerator.open(xdma="/dev/xdma0", network="network.json") as fpga: ...  # the card holds the bitstream already

On the command line: python3 -m flipflow_driver --bitstream accelerator.bit --input images.npy --out answers.npz
"""

from .accelerator import Accelerator, Answers
from .links import AcceleratorError

__all__ = ["Accelerator", "AcceleratorError", "Answers"]
