"""The driver's way to a PCI Express card, with pipes in the place of the XDMA driver's files and a thread as the card."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from flipflow.hw.boards.find import find_board
from flipflow.hw.pynq import Accelerator, AcceleratorError
from flipflow.hw.pynq.links import XdmaLink
from flipflow.hw.vivado.board import load_vivado_board
from flipflow.hw.vivado.project import Project, write_project
from tests.unit.vivado_runs import write_run

WORD = 64  # bytes: 512 bits, whatever a beat has
IMAGES = np.random.default_rng(1).integers(0, 256, (9, 6))
SCALES = np.array([-3, 1, 2])


def logits(images: np.ndarray) -> np.ndarray:
    """What the card makes of images: any function that tells their elements apart."""
    return (images.astype(np.int64) @ [1, -1, 1, -1, 1, -1])[:, None] * SCALES


def answer(data: bytes) -> bytes:
    """Words of {class, 3 logits of 12 bits} for words of two 8-bit elements."""
    elements = np.frombuffer(data, np.uint8).reshape(-1, 3, WORD)
    assert not elements[..., 2:].any()
    found = logits(elements[..., :2].reshape(-1, 6))
    beats = [
        sum((int(value) & 0xFFF) << (12 * index) for index, value in enumerate(row)) | int(row.argmax()) << 36
        for row in found
    ]
    return b"".join(beat.to_bytes(WORD, "little") for beat in beats)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return write_project(write_run(tmp_path / "run"), load_vivado_board(find_board("u250")), 250.0, jobs=1)


@pytest.fixture
def card(project: Project, tmp_path: Path) -> Iterator[Callable[[Callable[[bytes], bytes]], str]]:
    """Starts a card that answers every packet of nine images with a function; returns the prefix of its files."""
    prefix = str(tmp_path / "xdma0")
    about = json.loads((project.folder / "network.json").read_text())
    size = project.geometry
    values = [0x464C4950, 1, 0, 0, 1, size.in_word_bits, size.in_words, size.out_word_bits, size.out_words, 3]
    registers = np.zeros(1024, "<u4")
    registers[: len(values)] = values
    registers[16:24] = np.frombuffer(bytes.fromhex(about["identity"]), "<u4")
    Path(f"{prefix}_user").write_bytes(registers.tobytes())
    for name in ("h2c_0", "c2h_0"):
        os.mkfifo(f"{prefix}_{name}")
    threads: list[threading.Thread] = []

    def start(reply: Callable[[bytes], bytes]) -> str:
        def serve() -> None:
            with Path(f"{prefix}_h2c_0").open("rb") as images, Path(f"{prefix}_c2h_0").open("wb", 0) as answers:
                while data := images.read(len(IMAGES) * 3 * WORD):
                    answers.write(reply(data))

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return prefix

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_answers(card: Callable[[Callable[[bytes], bytes]], str], project: Project) -> None:
    with Accelerator.open(xdma=card(answer), network=project.folder / "network.json") as fpga:
        for images in (IMAGES, IMAGES[::-1]):
            answers = fpga.infer(images)
            assert np.array_equal(answers.logits, logits(images))
            assert np.array_equal(answers.classes, logits(images).argmax(axis=1))
        packet_frames = fpga._link.read(0x10)
    assert packet_frames == len(IMAGES)


def test_a_card_that_stops(
    card: Callable[[Callable[[bytes], bytes]], str], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = card(lambda data: answer(data)[: 5 * WORD])
    with Accelerator.open(xdma=prefix, network=project.folder / "network.json") as fpga:
        link = fpga._link
        assert isinstance(link, XdmaLink)
        receive = link._receive
        # The Linux driver's read comes back empty once the card has nothing more.
        monkeypatch.setattr(link, "_receive", lambda size: b"" if size == 4 * WORD else receive(size))
        with pytest.raises(AcceleratorError, match=r"ended its answers after 320 of 576 bytes"):
            fpga.infer(IMAGES)
        assert link.read(0x08) == 3  # reset, and counters cleared


def test_a_card_with_another_network(card: Callable[[Callable[[bytes], bytes]], str], project: Project) -> None:
    path = project.folder / "network.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": "00" * 32}))
    with pytest.raises(AcceleratorError, match="load its bitstream"):
        Accelerator.open(xdma=card(answer), network=path)
