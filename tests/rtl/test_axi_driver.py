"""The driver of the PYNQ boards, as it is copied to them, against a mock of pynq whose device is Verilator's model."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axi_device import Device, small_board, write_small_project
from pynq_mock import Pynq
from test_accelerator_harness import IMAGES, LOGITS, accelerator

from flipflow.hw.pynq import Accelerator, AcceleratorError
from flipflow.hw.pynq import accelerator as driver
from flipflow.hw.pynq.stream import check_images, pack, unpack
from flipflow.hw.vivado.geometry import Geometry, geometry
from flipflow.hw.vivado.project import Project
from flipflow.sim import beats


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("driver")
    rtl, accel = accelerator(folder)
    made = write_small_project(folder, small_board(8), rtl, accel)
    (made.folder / "accelerator.bit").write_text("what Vivado would have made")
    return made


@pytest.fixture
def pynq(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pynq]:
    with Device(project) as device:
        mock = Pynq(device)
        monkeypatch.setitem(sys.modules, "pynq", mock)
        yield mock
        assert all(buffer.freed for buffer in mock.buffers)


@pytest.fixture
def fpga(pynq: Pynq, project: Project) -> Iterator[Accelerator]:
    with Accelerator.open(project.folder / "accelerator.bit") as opened:
        yield opened


def test_answers(fpga: Accelerator) -> None:
    for images in (IMAGES[:1], IMAGES, IMAGES[3:10].astype(np.int64)):
        answers = fpga.infer(images)
        logits = LOGITS[:1] if len(images) == 1 else LOGITS if len(images) == len(IMAGES) else LOGITS[3:10]
        assert np.array_equal(answers.logits, logits) and answers.logits.dtype == np.int64
        assert np.array_equal(answers.classes, logits.argmax(axis=1))
    assert fpga.counters() | {"cycles": 0, "stalled_in": 0, "stalled_out": 0} == {
        "frames_in": 58,
        "frames_out": 58,
        "frames_cut_short": 0,
        "cycles": 0,
        "stalled_in": 0,
        "stalled_out": 0,
        "latency": answers.latency,
        "interval": answers.interval,
    }
    assert answers.interval == 9  # of the slowest kernel: 3 rounds of 3 steps
    fpga.clear()
    assert fpga.counters()["frames_in"] == 0


@pytest.mark.parametrize("stall", [0.3, 0.8])
def test_answers_on_a_stalling_bus(fpga: Accelerator, pynq: Pynq, stall: float) -> None:
    pynq.dma.device.stall(stall, 9)
    assert np.array_equal(fpga.infer(IMAGES).logits, LOGITS)


def test_images_in_several_transfers(fpga: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "MAX_TRANSFER", 7 * 6)  # 7 images of 6 words
    assert np.array_equal(fpga.infer(IMAGES).logits, LOGITS)


@pytest.mark.parametrize(("channel", "what"), [("recvchannel", "receiving answers"), ("sendchannel", "sending images")])
@pytest.mark.parametrize("images", [1, 20, 50])
def test_after_a_timeout_the_next_call_is_right(
    fpga: Accelerator, pynq: Pynq, channel: str, what: str, images: int
) -> None:
    stuck = getattr(pynq.dma, channel)
    stuck.stuck = True
    with pytest.raises(AcceleratorError, match=r"Timeout while (sending images|receiving answers)") as caught:
        fpga.infer(IMAGES[:images], timeout=0.01)
    assert what in str(caught.value) or images > 1  # many images whose answers nobody takes stop the sender as well
    stuck.stuck = False
    assert np.array_equal(fpga.infer(IMAGES).logits, LOGITS)
    assert fpga.counters()["frames_in"] == len(IMAGES)  # the counters began anew


def test_an_error_of_the_dma(fpga: Accelerator, pynq: Pynq) -> None:
    pynq.dma.recvchannel.error = True
    with pytest.raises(AcceleratorError, match="The DMA reports an error while receiving answers"):
        fpga.infer(IMAGES[:2])
    assert np.array_equal(fpga.infer(IMAGES[:2]).logits, LOGITS[:2])


def test_answers_that_end_early(fpga: Accelerator, pynq: Pynq, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a bitstream that ends its packets elsewhere."""
    write = pynq.accelerator.write
    monkeypatch.setattr(pynq.accelerator, "write", lambda offset, value: write(offset, 1 if offset == 0x10 else value))
    with pytest.raises(AcceleratorError, match="6 bytes of answers came instead of 12"):
        fpga.infer(IMAGES[:2])


@pytest.mark.parametrize(
    ("address", "value", "message"),
    [
        (0x000, 0xDEADBEEF, "holds no flipflow accelerator"),
        (0x004, 2, "registers of version 2"),
        (0x044, 0, "The device holds network"),
        (0x018, 5, "folded otherwise"),
    ],
)
def test_a_device_that_is_another(pynq: Pynq, project: Project, address: int, value: int, message: str) -> None:
    pynq.accelerator.spoilt[address] = value
    with pytest.raises(AcceleratorError, match=message):
        Accelerator.open(project.folder / "accelerator.bit")


BAD_IMAGES = [
    (np.zeros((2, 5), np.uint8), "shape"),
    (np.zeros((0, 6), np.uint8), "shape"),
    (np.zeros((2, 6), np.float32), "float32"),
    (np.full((2, 6), 256), r"256\.\.256; the network takes 0\.\.255"),
    (np.full((2, 6), -1), r"takes 0\.\.255"),
]


@pytest.mark.parametrize(("images", "message"), BAD_IMAGES)
def test_images_that_do_not_fit_are_not_sent(fpga: Accelerator, images: np.ndarray, message: str) -> None:
    with pytest.raises(AcceleratorError, match=message):
        fpga.infer(images)
    assert fpga.counters()["frames_in"] == 0


def test_files_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AcceleratorError, match=r"network\.json cannot be read"):
        Accelerator.open(tmp_path / "accelerator.bit")
    with pytest.raises(AcceleratorError, match="either"):
        Accelerator.open()
    (tmp_path / "network.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(AcceleratorError, match="package pynq is missing"):
        Accelerator.open(tmp_path / "accelerator.bit")
    with pytest.raises(AcceleratorError, match=r"xdma7_user: No such file"):
        Accelerator.open(xdma=str(tmp_path / "xdma7"), network=tmp_path / "network.json")


def test_the_copied_package_runs_by_itself(project: Project, tmp_path: Path) -> None:
    """Without flipflow, from its own folder, as on a board."""
    np.save(tmp_path / "images.npy", IMAGES)
    command = [
        sys.executable,
        "-m",
        "flipflow_driver",
        "--input",
        str(tmp_path / "images.npy"),
        "--out",
        str(tmp_path / "o.npz"),
    ]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "package pynq is missing" in done.stderr and "Traceback" not in done.stderr
    code = "import sys, flipflow_driver; print([name for name in sys.modules if name.startswith('flipflow.')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", range(30))
def test_packing_equals_that_of_the_simulation(seed: int) -> None:
    """The board's packing stands alone, so it is compared with the one that the RTL harness is verified with."""
    draw = np.random.default_rng(seed)
    bits, elems, count = int(draw.integers(1, 17)), int(draw.integers(1, 9)), int(draw.integers(1, 5))
    bipolar = bits == 1 and bool(draw.integers(2))
    signed = not bipolar and bits > 1 and bool(draw.integers(2))
    source = {"shape": [elems * count], "bits": bits, "signed": signed, "bipolar": bipolar, "elems_per_beat": elems}
    source |= {"beats_per_frame": count, "tdata_width": elems * bits}
    logit_bits, pe, rounds = int(draw.integers(2, 30)), int(draw.integers(1, 4)), int(draw.integers(1, 4))
    class_bits = max(1, (pe * rounds - 1).bit_length())
    sink = {
        "classes": pe * rounds,
        "logit_bits": logit_bits,
        "pe": pe,
        "class_bits": class_bits,
        "beats_per_frame": rounds,
    }
    sink |= {"tdata_width": pe * logit_bits + class_bits}
    size = geometry({"input": source, "output": sink, "fifos": [{}]}, 8, int(draw.choice([8, 32, 64])))
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    images = draw.choice([-1, 1], (4, elems * count)) if bipolar else draw.integers(low, high, (4, elems * count))
    about = source | {"word_bits": size.in_word_bits, "words_per_frame": size.in_words}
    check_images(images, about)
    wanted = np.concatenate(list(beats.pack(images, beats.input_stream({"input": source}))))
    assert bytes(pack(images, about)) == in_words(wanted, size)
    _check_unpack(draw, sink, size)


def in_words(packed: np.ndarray, size: Geometry) -> bytes:
    """Beats of 32-bit words as bytes of the stream's words."""
    beat_bytes = size.in_words // size.in_beats * size.in_word_bits // 8
    octets = packed.reshape(-1, packed.shape[-1]).view(np.uint8)
    padded = np.zeros((len(octets), max(beat_bytes, octets.shape[1])), np.uint8)
    padded[:, : octets.shape[1]] = octets
    assert not padded[:, beat_bytes:].any()
    return padded[:, :beat_bytes].tobytes()


def _check_unpack(draw: np.random.Generator, sink: dict[str, int], size: Geometry) -> None:
    stream = beats.output_stream({"output": sink})
    raw = draw.integers(0, 1 << 32, (3, stream.beats_per_frame, stream.words), np.uint32)
    logits, classes = beats.unpack(raw, stream)
    beat_bytes = size.out_words // size.out_beats * size.out_word_bits // 8
    octets = np.zeros((3, stream.beats_per_frame, beat_bytes), np.uint8)
    wide = raw.view(np.uint8)
    octets[..., : min(beat_bytes, wide.shape[-1])] = wide[..., :beat_bytes]
    got = unpack(octets.reshape(-1), sink | {"word_bits": size.out_word_bits, "words_per_frame": size.out_words})
    assert np.array_equal(got[0], logits) and np.array_equal(got[1], classes)


def test_network_file(project: Project) -> None:
    about = json.loads((project.folder / "network.json").read_text())
    assert (about["input"]["words_per_frame"], about["output"]["words_per_frame"]) == (6, 6)
    assert len(bytes.fromhex(about["identity"])) == 32
