"""The host's driver against a model of the device in Python: damage both ways, the wrong device, a device that is not there."""

import os
import pty
from pathlib import Path

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.host import Accelerator
from flipflow.hw.host.device import Device, image_bytes, images_to_bytes
from flipflow.hw.host.network import network_identity
from flipflow.hw.host.protocol import Decoder, Fault, Frame, encode
from flipflow.sim.beats import input_stream, pack
from tests import link_accelerators as formats
from tests.link_model import ModelDevice

ALL = (formats.NARROW, formats.WIDE, formats.SINGLE_BITS, formats.PIXELS, formats.NINE_BITS, formats.ONE_BEAT)
SHORT = 0.02  # seconds: the model answers at once or never


def answer(form: formats.Format, image: np.ndarray, number: int) -> bytes:
    """The payload of an image's answer, put together bit by bit: beats, then two time stamps, 100 cycles apart."""
    logits = form.logits(image[None])[0]
    payload = b""
    for start in range(0, form.classes, form.pe):
        beat = 0
        for place, logit in enumerate(logits[start : start + form.pe]):
            beat |= (int(logit) & (1 << form.logit_bits) - 1) << (form.logit_bits * place)
        beat |= int(np.argmax(logits)) << (form.pe * form.logit_bits)
        payload += beat.to_bytes(-(-(form.pe * form.logit_bits + form.class_bits) // 8), "little")
    begin = (2**32 - 1000 + 500 * number) % 2**32  # wraps on the way
    return payload + begin.to_bytes(4, "little") + ((begin + 100) % 2**32).to_bytes(4, "little")


def model_device(
    form: formats.Format, run: Path, images: np.ndarray, damage: tuple[float, float] = (0.0, 0.0), seed: int = 0
) -> ModelDevice:
    """A device that knows the answers to `images`."""
    form.run_dir(run)
    device = Device.of(form.describe(), network_identity(run), 100.0)
    payloads = images_to_bytes(images, device.source)
    known = {row.tobytes(): answer(form, images[i], i) for i, row in enumerate(payloads)}
    return ModelDevice(device.to_bytes(), known, device.slots, *damage, seed)


@pytest.mark.parametrize("form", ALL, ids=[f"{form.bits}x{form.elems}" for form in ALL])
def test_every_format(form: formats.Format, tmp_path: Path) -> None:
    images = form.images(50, seed=1)
    port = model_device(form, tmp_path, images)
    with Accelerator.open(port, tmp_path, timeout=SHORT) as fpga:
        answers = fpga.infer_integers(images)
    np.testing.assert_array_equal(answers.logits, form.logits(images))
    np.testing.assert_array_equal(answers.classes, form.logits(images).argmax(axis=1))
    assert answers.latency.tolist() == [100] * 50
    assert port.closed


def test_intervals_wrap_and_the_first_is_unknown(tmp_path: Path) -> None:
    images = np.unique(formats.PIXELS.images(20, seed=2), axis=0)
    with Accelerator.open(model_device(formats.PIXELS, tmp_path, images), tmp_path, timeout=SHORT) as fpga:
        answers = fpga.infer_integers(images)
    assert answers.interval.tolist() == [-1] + [500] * 19


def test_images_are_packed_as_the_document_says() -> None:
    """By hand: 3-bit beats, two a byte; 9-bit beats in two bytes."""
    narrow, nine = input_stream(formats.NARROW.describe()), input_stream(formats.NINE_BITS.describe())
    image = np.array([[1, -1, 2, -2, 3, -3, -4, 0, 1, 1, -1]])
    expected = [0b111_001, 0b110_010, 0b101_011, 0b000_100, 0b001_001, 0b111]
    assert images_to_bytes(image, narrow)[0].tolist() == expected
    assert image_bytes(narrow) == 6
    image = np.array([[1, -1, 255, -256, 0, 2, 3]])
    assert images_to_bytes(image, nine)[0].tolist() == [1, 0, 255, 1, 255, 0, 0, 1, 0, 0, 2, 0, 3, 0]
    assert next(iter(pack(image, nine))).shape == (1, 7, 1)


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_costs_time_and_nothing_else(seed: int, tmp_path: Path) -> None:
    """One byte in a hundred is dropped, doubled or flipped, on the way in, on the way out, or both ways."""
    form = formats.NARROW if seed % 2 else formats.PIXELS
    damage = [(0.01, 0.0), (0.0, 0.01), (0.01, 0.01)][seed // 2]
    images = form.images(400, seed)
    port = model_device(form, tmp_path, images, damage, seed)
    with Accelerator.open(port, tmp_path, timeout=SHORT, tries=60) as fpga:
        before = dict(fpga.statistics.reported)
        answers = fpga.infer_integers(images)
        np.testing.assert_array_equal(answers.logits, form.logits(images))
        assert fpga.statistics.answered == 400
        assert fpga.statistics.resent > 10
        reported = {fault: count - before[fault] for fault, count in fpga.statistics.reported.items()}
        if damage[1] == 0.0:  # every report has arrived
            assert reported == {fault: port.faults[fault] for fault in Fault}
        port.damage = 0.0, 0.0
        assert fpga.counters().faults == {fault: port.faults[fault] for fault in Fault}


def test_no_room_is_no_damage(tmp_path: Path) -> None:
    """A device with fewer slots than it says: what finds no room is sent again, as often as it takes, and is no try."""
    images = formats.PIXELS.images(100, seed=3)
    port = model_device(formats.PIXELS, tmp_path, images)
    port.slots = 1
    with Accelerator.open(port, tmp_path, timeout=1.0, tries=1) as fpga:
        answers = fpga.infer_integers(images)
    np.testing.assert_array_equal(answers.logits, formats.PIXELS.logits(images))
    assert fpga.statistics.reported[Fault.OVERRUN] > 0


def test_a_line_that_nothing_gets_over(tmp_path: Path) -> None:
    images = formats.PIXELS.images(5, seed=4)
    port = model_device(formats.PIXELS, tmp_path, images)
    with Accelerator.open(port, tmp_path, timeout=SHORT, tries=3) as fpga:
        port.damage = 0.5, 0.0
        with pytest.raises(FlipflowError, match=r"E388 image \d: no sound answer in 3 tries"):
            fpga.infer_integers(images)


def test_nobody_there_and_no_port(tmp_path: Path) -> None:
    formats.PIXELS.run_dir(tmp_path)
    master, slave = pty.openpty()
    try:
        with pytest.raises(FlipflowError, match="E384 /dev/"):
            Accelerator.open(os.ttyname(slave), tmp_path, timeout=SHORT, tries=2)
        assert os.read(master, 100).startswith(b"~~\x01")  # a flag for what went before, and the request
    finally:
        os.close(master)
        os.close(slave)
    with pytest.raises(FlipflowError, match="E383 /dev/no-such-port"):
        Accelerator.open("/dev/no-such-port", tmp_path)
    with pytest.raises(FlipflowError, match=r"E452 .*accelerator\.json"):
        Accelerator.open("/dev/no-such-port", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("identity", "words"),
    [(b"hello", "something else"), (b"FLIP\x09" + bytes(70), "version 9"), (b"", "something else")],
)
def test_something_else_answers(identity: bytes, words: str, tmp_path: Path) -> None:
    port = model_device(formats.PIXELS, tmp_path, formats.PIXELS.images(2, seed=5))
    port.identity = identity
    with pytest.raises(FlipflowError, match=f"E389 .*{words}"):
        Accelerator.open(port, tmp_path, timeout=SHORT)
    assert port.closed


def test_another_network_and_another_build(tmp_path: Path) -> None:
    images = formats.PIXELS.images(2, seed=6)
    port = model_device(formats.PIXELS, tmp_path / "device", images)
    other, rebuilt = formats.PIXELS.run_dir(tmp_path / "other"), formats.WIDE.run_dir(tmp_path / "rebuilt")
    (other / "integer.npz").write_bytes(b"another")
    with pytest.raises(FlipflowError, match="E385"):
        Accelerator.open(port, other, timeout=SHORT)
    with pytest.raises(FlipflowError, match=r"E386 .*3 elements a beat.*says 196 .*49"):
        Accelerator.open(port, rebuilt, timeout=SHORT)


def test_images_of_the_wrong_shape_or_range(tmp_path: Path) -> None:
    images = formats.PIXELS.images(2, seed=7)
    with Accelerator.open(model_device(formats.PIXELS, tmp_path, images), tmp_path, timeout=SHORT) as fpga:
        for wrong in (images[:, :-1], images + 256, images.astype(np.float32), images[:0]):
            with pytest.raises(FlipflowError, match="E405"):
                fpga.infer_integers(wrong)


def test_a_port_that_goes_away(tmp_path: Path) -> None:
    class Unplugged(ModelDevice):
        def read(self, size: int) -> bytes:
            if self.answered > 3:
                raise OSError("device disconnected")
            return super().read(size)

    images = formats.PIXELS.images(9, seed=8)
    port = model_device(formats.PIXELS, tmp_path, images)
    port.__class__ = Unplugged
    with (
        Accelerator.open(port, tmp_path, timeout=SHORT) as fpga,
        pytest.raises(FlipflowError, match=r"E383 .*disconnected"),
    ):
        fpga.infer_integers(images)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_frames_come_out_of_pieces_of_any_size(size: int) -> None:
    frames = [Frame(2, False, i, bytes([0x7E, 0x7D, i, 0x5E]) * i) for i in range(20)]
    stream = b"noise" + b"".join(encode(frame.kind, frame.sequence, frame.payload) for frame in frames)
    decoder, found = Decoder(), []
    for start in range(0, len(stream), size):
        found += decoder.feed(stream[start : start + size])
    assert found == frames
    assert decoder.damaged == 0
