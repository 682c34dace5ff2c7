"""Area estimates: where memories go, counted structures, and how far they are from the syntheses on record."""

import json
from pathlib import Path

import pytest

from flipflow.hw.kernels.area import (
    Storage,
    block_rams,
    chain,
    lut_ram,
    multiplexer,
    ram,
    rom,
    rom_luts,
    rom_row_words,
    unforced_rom,
)
from flipflow.hw.kernels.area_mvtu import adder_tree_luts, popcount_luts

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "area.json"


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [
        # What `memory_libmap` of Yosys 0.70 made of such RAMs for ECP5.
        (16, 8, 0), (17, 32, 0), (64, 32, 1), (20, 64, 0), (300, 1, 0), (40, 16, 0), (513, 36, 2), (2000, 1, 1), (33, 36, 1),
        (256, 4, 0), (600, 4, 1), (5000, 8, 3), (1100, 40, 4), (1500, 20, 3), (3000, 33, 6), (1100, 33, 3), (200, 72, 2),
    ],
)  # fmt: skip
def test_ram_blocks(depth: int, width: int, blocks: int) -> None:
    assert ram(depth, width).bram == blocks


def test_rom_blocks() -> None:
    found = [block_rams(*size) for size in ((1024, 14), (64, 1024), (512, 40), (230, 72), (1000, 9))]
    assert found == [1, 29, 2, 2, 1]
    assert rom(1, 100) == Storage()  # a constant
    assert rom(4, 20).bram == 0
    assert rom(4096, 18, cut=False) == Storage(18, 4)  # two rows of two blocks of 2048 x 9 bits, a choice a bit


def test_cut_roms_by_hand() -> None:
    """Rows and the rest in blocks of 2048 x 9, 512 x 36, 8192 x 2, 4096 x 4 and 16384 x 1 bits, and the choice among them."""
    assert rom_row_words(4608, 64) == 2048  # twice 8 blocks, 2 for the rest of 512 words; among three: two LUTs a bit
    assert rom(4608, 64) == Storage(64 * 2, 2 * 8 + 2)
    assert (
        rom_row_words(36864, 16) == 8192
    )  # four times 8 blocks, 4 for the rest of 4096 words; among five: three LUTs a bit
    assert rom(36864, 16) == Storage(16 * 3, 4 * 8 + 4)
    assert (rom_row_words(32768, 8), rom(32768, 8)) == (16384, Storage(8, 16))
    # One row of blocks is never cut, nor is a ROM in LUTs.
    assert (rom_row_words(576, 256), rom(576, 256)) == (0, rom(576, 256, cut=False))
    assert rom(8, 1280) == Storage(252)


def test_unforced_roms() -> None:
    """What Yosys chooses by itself, as seen: 14 bits go to block RAM from 256 words on, 1,024 bits from 64."""
    blocks = [unforced_rom(*size).bram for size in ((64, 14), (128, 14), (256, 14), (56, 1024), (64, 1024), (32, 128))]
    assert blocks == [0, 0, 1, 0, 29, 0]


def test_lut_ram_by_hand() -> None:
    assert lut_ram(16, 8) == Storage(2 * 6)
    assert lut_ram(17, 9) == Storage(2 * 3 * 6 + 9 + 2)  # two rows of three, a choice a bit, a write enable a row
    assert [multiplexer(inputs) for inputs in (1, 2, 3, 4, 7)] == [0, 1, 2, 2, 4]


@pytest.mark.parametrize(
    ("depth", "width", "luts"), [(8, 32, 27), (16, 32, 32), (24, 32, 101), (32, 32, 114), (128, 16, 309)]
)
def test_rom_luts_as_measured(depth: int, width: int, luts: int) -> None:
    """ROMs of random words in LUTs, synthesised alone."""
    assert rom_luts(depth, width) == pytest.approx(luts, rel=0.1, abs=4)


def test_sums_by_hand() -> None:
    assert [chain(width) for width in (1, 4, 5, 6, 16)] == [0, 0, 6, 6, 16]
    # Four 8-bit numbers: two sums of 9 bits, one of 10.
    assert adder_tree_luts(4, 8, 16, False) == 2 * 10 + 10
    # Three with carries: a sum of 9 bits and a carry, the third passed on, then one of 10 and a carry.
    assert adder_tree_luts(3, 8, 16, True) == 10 + 12


@pytest.mark.parametrize(("width", "luts"), [(3, 4), (7, 13), (15, 34), (31, 75), (63, 159), (64, 160)])
def test_popcount_as_measured(width: int, luts: int) -> None:
    """xnor_popcount, synthesised alone."""
    assert popcount_luts(width) == luts


def test_recorded_errors() -> None:
    """The record holds every kernel, folds that no constant was fitted to among them; its summary is that of its points."""
    about = json.loads(RESULTS.read_text())
    kernels = {item["kernel"] for item in about["points"]}
    assert kernels == {
        "argmax", "channel_pad", "fifo", "fork_stream", "mixed_mvtu", "pool", "requantize", "residual_add", "sum_pool",
        "threshold", "width_converter", "window", "xnor_mvtu",
    }  # fmt: skip
    for line in about["summary"]:
        part = [item for item in about["points"] if (item["kernel"], item["set"]) == (line["kernel"], line["set"])]
        assert len(part) == line["points"] > 0
        assert max(abs(item["lut_error_percent"]) for item in part) == line["worst_error_percent"]
        for item in part:
            error = 100 * (item["estimated_lut"] - item["lut"]) / max(1, item["lut"])
            assert item["lut_error_percent"] == pytest.approx(error, abs=0.06)
    assert {line["kernel"] for line in about["summary"] if line["set"] == "check"} == kernels
