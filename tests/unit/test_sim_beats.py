"""Packing of images into beats and unpacking of logits, against values packed by hand."""

from typing import Any

import numpy as np
import pytest

import flipflow.sim.beats as beats_module
from flipflow.errors import FlipflowError
from flipflow.sim.beats import check_images, input_stream, output_stream, pack, unpack


def description(**changes: Any) -> dict[str, Any]:
    """An accelerator.json with a 2x1 image of 2 signed 3-bit channels, a pixel a beat, and 4 classes, 2 a beat."""
    source = {"shape": [2, 1, 2], "bits": 3, "signed": True, "bipolar": False, "elems_per_beat": 2}
    source |= {"beats_per_frame": 2, "tdata_width": 8}
    sink = {"classes": 4, "logit_bits": 20, "pe": 2, "class_bits": 2, "beats_per_frame": 2, "tdata_width": 48}
    return {
        "input": source | {key[3:]: value for key, value in changes.items() if key.startswith("in_")},
        "output": sink | {key[4:]: value for key, value in changes.items() if key.startswith("out_")},
    }


def test_signed_elements_are_packed_from_the_low_bits() -> None:
    images = np.array([[[[1, -1]], [[-4, 3]]]])
    # 1 = 001, -1 = 111: 111_001 = 57. -4 = 100, 3 = 011: 011_100 = 28.
    beats = np.concatenate(list(pack(images, input_stream(description()))))
    assert beats.tolist() == [[[0b111001], [0b011100]]]
    assert beats.dtype == np.uint32


def test_bipolar_elements_are_packed_from_the_low_bits() -> None:
    accel = description(in_shape=[6], in_bits=1, in_bipolar=True, in_elems_per_beat=3)
    images = np.array([[1, -1, -1, 1, 1, -1]], dtype=np.int8)
    assert np.concatenate(list(pack(images, input_stream(accel)))).tolist() == [[[0b001], [0b011]]]


def test_bytes_and_wide_beats() -> None:
    # 6 bytes a beat: two 32-bit words, little-endian.
    accel = description(in_shape=[2, 2, 3], in_bits=8, in_signed=False, in_elems_per_beat=6, in_tdata_width=48)
    images = np.arange(1, 13, dtype=np.uint8).reshape(1, 2, 2, 3)
    beats = np.concatenate(list(pack(images, input_stream(accel))))
    assert beats.tolist() == [[[0x04030201, 0x0605], [0x0A090807, 0x0C0B]]]


def test_elements_wider_than_a_byte_straddle_words() -> None:
    accel = description(in_shape=[4], in_bits=20, in_elems_per_beat=2, in_beats_per_frame=2, in_tdata_width=40)
    beats = np.concatenate(list(pack(np.array([[-2, 1, 0, -(1 << 19)]]), input_stream(accel))))
    # -2 = FFFFE, 1 = 00001: 00001_FFFFE; 0 and 80000: 80000_00000.
    assert beats.tolist() == [[[0x001FFFFE, 0x00], [0x00000000, 0x80]]]


def test_many_images_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats_module, "_BLOCK_BITS", 1 << 16)  # 16 images of 4096 bits
    accel = description(
        in_shape=[4096], in_bits=1, in_signed=False, in_elems_per_beat=32, in_beats_per_frame=128, in_tdata_width=32
    )
    images = np.random.default_rng(0).integers(0, 2, (40, 4096), dtype=np.uint8)
    blocks = list(pack(images, input_stream(accel)))
    assert [len(block) for block in blocks] == [16, 16, 8]
    expected = np.packbits(images, axis=1, bitorder="little").view("<u4").reshape(40, 128, 1)
    assert np.array_equal(np.concatenate(blocks), expected)


def test_logits_and_class_are_unpacked() -> None:
    # Beat 0: logits -1, 5; beat 1: logits 7, -524288 and class 2 above them.
    beats = [5 << 20 | 0xFFFFF, 2 << 40 | 0x80000 << 20 | 7]
    words = np.array([[[beat & 0xFFFFFFFF, beat >> 32] for beat in beats]], dtype=np.uint32)
    logits, classes = unpack(words, output_stream(description()))
    assert logits.tolist() == [[-1, 5, 7, -524288]]
    assert classes.tolist() == [2]
    assert logits.dtype == classes.dtype == np.int64


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((1, 2, 2, 1), int), r"have shape \[1, 2, 2, 1\], but the accelerator takes \[N, 2, 1, 2\]"),
        (np.zeros((0, 2, 1, 2), int), r"have shape \[0, 2, 1, 2\]"),
        (np.zeros((1, 2, 1, 2)), "have dtype float64"),
        (np.full((1, 2, 1, 2), 4), r"hold values in 4\.\.4, but the input takes -4\.\.3"),
        (np.full((1, 2, 1, 2), -5), r"takes -4\.\.3"),
    ],
)
def test_wrong_images_are_refused(images: np.ndarray, words: str) -> None:
    with pytest.raises(FlipflowError, match=words) as caught:
        check_images(images, input_stream(description()))
    assert caught.value.code == "E405"


def test_bipolar_images_hold_no_zero() -> None:
    stream = input_stream(description(in_bits=1, in_signed=True, in_bipolar=True))
    check_images(np.full((1, 2, 1, 2), -1), stream)
    with pytest.raises(FlipflowError, match="takes -1 and"):
        check_images(np.zeros((1, 2, 1, 2), int), stream)


@pytest.mark.parametrize(
    "changes",
    [
        {"in_shape": []},
        {"in_shape": [2, 0, 2]},
        {"in_bits": 0},
        {"in_bits": 33, "in_tdata_width": 66},
        {"in_bits": "3"},
        {"in_bipolar": True},
        {"in_signed": 1},
        {"in_tdata_width": 5},
        {"in_beats_per_frame": 3},
        {"out_pe": 4},
        {"out_tdata_width": 41},
        {"out_class_bits": 1},
        {"out_logit_bits": 64, "out_tdata_width": 200},
    ],
)
def test_malformed_descriptions_are_refused(changes: dict[str, Any]) -> None:
    accel = description(**changes)
    with pytest.raises(FlipflowError, match=r"accelerator\.json (input|output)") as caught:
        (input_stream(accel), output_stream(accel))
    assert caught.value.code == "E406"


def test_missing_sections_are_refused() -> None:
    with pytest.raises(FlipflowError, match="is missing"):
        input_stream({})
