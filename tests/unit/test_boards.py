"""Board files: the ones that come with flipflow, and what is refused of a user's own."""

from pathlib import Path

import pytest

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards import board_names, find_board, flow_of, load_board, open_boards

# device, MHz, and the pins of clock, rx (into the FPGA) and tx, as the boards' own documents give them (cited in each file).
PUBLISHED = {
    "ulx3s-85f": ("LFE5U-85F", 25.0, "G2", "M1", "L4"),
    "ulx3s-25f": ("LFE5U-25F", 25.0, "G2", "M1", "L4"),
    "colorlight-i9": ("LFE5U-45F", 25.0, "P3", "H18", "J17"),
    "orangecrab-85f": ("LFE5U-85F", 48.0, "A9", "N17", "M18"),
    "tang-nano-20k": ("GW2A-18C", 27.0, "4", "70", "69"),
}
GOOD = """
name = "mine"
title = "Mine"
family = "ecp5"
device = "LFE5U-25F"
package = "CABGA256"
speed = "6"
clock_mhz = 12.0
serial = "an adapter"
sources = ["https://example.org/mine.pdf"]
[clock]
site = "P6"
[uart_rx]
site = "A2"
[uart_tx]
site = "A3"
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_boards_are_as_published(name: str) -> None:
    board = load_board(name)
    assert (board.device, board.clock_mhz, board.clock.site, board.uart_rx.site, board.uart_tx.site) == PUBLISHED[name]
    assert board.name == name
    assert all(source.startswith("https://") for source in board.sources)


def test_every_open_board_is_checked_here() -> None:
    assert {board.name for board in open_boards()} == set(PUBLISHED)


def test_vendor_boards_are_listed_but_not_nextpnrs() -> None:
    vendor = [name for name in board_names() if flow_of(find_board(name)) == "vivado"]
    assert not set(vendor) & set(PUBLISHED)


def test_ports_of_the_board_top() -> None:
    assert list(load_board("orangecrab-85f").pins()) == [
        "clk_i", "uart_rx_i", "uart_tx_o", "button_i", "led_o[0]", "led_o[1]", "led_o[2]",
    ]  # fmt: skip
    assert "button_i" not in load_board("colorlight-i9").pins()
    board = load_board("ulx3s-25f")
    assert set(board.keys()) >= set(board.pins())


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    board = load_board(str(path))
    assert (board.name, board.part.lut, board.part.bram) == ("mine", 24_288, 56)


@pytest.mark.parametrize("name", ["ulx3s", "ULX3S-85F", "tang-nano", "colorlight"])
def test_unknown_board_names_the_nearest(name: str) -> None:
    with pytest.raises(FlipflowError) as caught:
        load_board(name)
    assert (caught.value.code, caught.value.exit_code) == ("E370", Exit.BAD_INPUT)
    assert "Did you mean" in caught.value.fix
    assert "ulx3s-85f" in caught.value.fix


def test_a_missing_file() -> None:
    with pytest.raises(FlipflowError, match="E370"):
        load_board("./nowhere.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('site = "A2"', 'site = "A3"', "A3 is given to two pins"),
        ('site = "A2"', 'site = "bad pin"', "uart_rx.site"),
        ('site = "A2"', 'sight = "A2"', "sight"),
        ('site = "A2"', 'site = "A2"\nstandard = "LVCMOS99"', "`uart_rx`: LVCMOS99"),
        ('device = "LFE5U-25F"', 'device = "LFE5U-99F"', "LFE5U-85F"),
        ("clock_mhz = 12.0", "clock_mhz = 0", "clock_mhz"),
        ("clock_mhz = 12.0", "", "clock_mhz"),
        ('family = "ecp5"', 'family = "gowin"', "part_number"),
        ('family = "ecp5"', 'family = "ice40"', "family"),
        ('sources = ["https://example.org/mine.pdf"]', "sources = []", "sources"),
        ("[clock]", "[clock", "not valid TOML"),
    ],
)
def test_a_bad_file_names_the_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(FlipflowError) as caught:
        load_board(str(path))
    assert (caught.value.code, caught.value.exit_code) == ("E371", Exit.BAD_INPUT)
    assert said in str(caught.value)
    assert str(path) in caught.value.where


def test_a_misspelt_key_names_the_right_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("clock_mhz", "clock_mhz_"))
    with pytest.raises(FlipflowError, match="Did you mean 'clock_mhz'"):
        load_board(str(path))


def test_the_example_in_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
    example = next(block for block in page.split("```text\n")[1:] if block.startswith('name = "mine"'))
    path = tmp_path / "mine.toml"
    path.write_text(example.partition("```")[0])
    board = load_board(str(path))
    assert (board.device, board.button is not None, board.leds_active_low) == ("LFE5U-45F", True, True)
