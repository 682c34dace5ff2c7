"""Whole generated accelerators behind the wrapper, driven by the boards' driver: logits and cycles as the reference says."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from axi_device import Device, small_board
from pynq_mock import Pynq

from flipflow.hw.build import build
from flipflow.hw.folding import FoldRequest
from flipflow.hw.pynq import Accelerator
from flipflow.hw.vivado.project import write_project
from tests.unit.hw_graphs import Net


def convolutional() -> Net:
    """Signed 4-bit input of 3 channels (12 bits a beat), borders of zeros, a stride, 10 classes."""
    net = Net([6, 5, 3], "INT4", 4).conv(4, (3, 3), "INT3", pads=(1, 1, 1, 1), border="zero").levels("BIPOLAR")
    return net.conv(6, (2, 2), stride=(2, 2), pads=(0, 1, 0, 0), border="zero").levels("BIPOLAR").linear(10)


def bipolar() -> Net:
    """Bits in, and an output of several beats."""
    return Net([40], "BINARY", 7).linear(16).levels("BIPOLAR", bits=True).linear(6)


def check(net: Net, request: FoldRequest, bits: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net.model().save(str(folder / "streamlined.onnx"))
    report = build(folder / "streamlined.onnx", folder, request)
    (folder / "integer.json").write_text("{}")
    np.savez(folder / "integer.npz", seed=net.seed)
    project = write_project(folder, small_board(bits), 100.0, jobs=1)
    (project.folder / "accelerator.bit").write_text("")
    images = net.images(12)
    with Device(project) as device:
        monkeypatch.setitem(sys.modules, "pynq", Pynq(device))
        with Accelerator.open(project.folder / "accelerator.bit") as fpga:
            answers = fpga.infer(images)
            reference = net.reference(images)
            assert len(np.unique(reference, axis=0)) > 4  # images that can be told apart
            assert np.array_equal(answers.logits, reference)
            assert np.array_equal(answers.classes, reference.argmax(axis=1))
            about = json.loads((folder / "accelerator.json").read_text())
            words = max(project.geometry.in_words, project.geometry.out_words)
            assert answers.interval == max(report.ii, words), about["predicted"]
            device.stall(0.5, 4)
            assert np.array_equal(fpga.infer(images[::-1]).logits, reference[::-1])


@pytest.mark.slow
def test_a_convolutional_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(convolutional(), FoldRequest(), 64, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("cycles", [8, 100])
def test_a_network_of_bits(bits: int, cycles: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(bipolar(), FoldRequest(cycles=cycles), bits, tmp_path, monkeypatch)
