"""What becomes of nextpnr's complaints, of designs that do not fit, and of clocks that are not met."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.boards import PARTS, load_board
from flipflow.hw.pnr import fit
from flipflow.hw.pnr.constraints import constraints
from flipflow.hw.pnr.nextpnr import Choice, arguments, failure
from flipflow.hw.pnr.results import require_timing
from flipflow.hw.pnr.tools import NEXTPNR_ECP5, Tool, require_tool, run_tool
from flipflow.hw.process import Outcome, Processes, Usage

LOG = Path("runs/x/nextpnr-seed1.log")


def died(*lines: str, code: int = 125) -> Outcome:
    return Outcome(code, Usage(1.0, 1.0, 3 << 30), lines)


# nextpnr 0.11.1's own words.
@pytest.mark.parametrize(
    ("board", "text", "key"),
    [
        (
            "ulx3s-85f",
            "IO pin 'clk_i$tr_io' constrained to pin 'ZZ1', which does not exist for package 'CABGA381'.",
            "clock",
        ),
        (
            "ulx3s-85f",
            "IO pin 'led_o[3]$tr_io' constrained to pin 'ZZ1', which does not exist for package 'X'.",
            "leds[3]",
        ),
        ("ulx3s-85f", "Unsupported package 'CABGA382' for 'LFE5U-85F'.", "package"),
        ("ulx3s-85f", "Unsupported speed grade '5'", "speed"),
        ("tang-nano-20k", "Pin 70 not found (pin# style)", "uart_rx"),
    ],
)
def test_a_wrong_pin_names_its_key(board: str, text: str, key: str) -> None:
    error = failure(load_board(board), NEXTPNR_ECP5, died(f"ERROR: {text}", "0 warnings, 1 error"), LOG)
    assert (error.code, error.exit_code) == ("E372", Exit.BAD_INPUT)
    assert f"key '{key}'" in error.where
    assert text in error.what


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("ERROR: Unable to place cell 'x', no BELs remaining to implement cell type 'TRELLIS_COMB'",), "E377"),
        (("ERROR: Failed to route arc 0 of net 'x', from a to b.",), "E377"),
        (("wasm trap: out of bounds memory access", "wasm backtrace:"), "E375"),
        ((), "E375"),
    ],
)
def test_other_ends_of_nextpnr(lines: tuple[str, ...], code: str) -> None:
    error = failure(load_board("ulx3s-85f"), NEXTPNR_ECP5, died(*lines), LOG)
    assert (error.code, error.exit_code, error.where) == (code, Exit.CHECK_FAILED, str(LOG))
    assert not lines or lines[-1].removeprefix("ERROR: ") in error.what


def test_a_killed_nextpnr_tells_its_memory() -> None:
    error = failure(load_board("ulx3s-85f"), NEXTPNR_ECP5, died("Info: Routing..", code=-9), LOG)
    assert error.code == "E375"
    assert "3.0 GiB" in error.what


def test_a_tool_that_is_not_installed() -> None:
    with pytest.raises(FlipflowError) as caught:
        require_tool(Tool("nextpnr-x", "yowasp-nextpnr-x", "yowasp_nextpnr_x", "tool.run()"))
    assert (caught.value.code, caught.value.exit_code) == ("E376", Exit.TOOL_MISSING)
    assert "flipflow[board]" in caught.value.fix


def test_a_tool_that_dies_leaves_its_last_lines_and_log(tmp_path: Path) -> None:
    crash = Tool("crash", "none", "os", "[print(f'line {n}') for n in range(20)] and tool.abort()")
    heard: list[str] = []
    ran = run_tool(crash, [], tmp_path, tmp_path / "log", heard.append)
    # Lines of a process that aborts may be lost in its own buffer, but not its end.
    assert ran.code < 0
    assert (tmp_path / "log").read_text() == "".join(f"{line}\n" for line in heard)


def test_a_tools_output_cost_and_code(tmp_path: Path) -> None:
    tool = Tool("count", "none", "os", "print(tool.getcwd(), *sys.argv[1:]) or 7")
    ran = run_tool(tool, ["a", "b c"], tmp_path, tmp_path / "log")
    assert (ran.code, ran.tail) == (7, (f"{tmp_path} a b c",))
    assert ran.usage.memory_bytes > 1 << 20
    assert ran.usage.cpu_seconds > 0.0


def test_tools_that_run_side_by_side_end_together(tmp_path: Path) -> None:
    processes = Processes()
    process = processes.start(["sleep", "60"], tmp_path, subprocess.DEVNULL, None)
    processes.kill()
    assert process.wait(timeout=10) < 0
    with pytest.raises(KeyboardInterrupt):
        processes.start(["sleep", "60"], tmp_path, subprocess.DEVNULL, None)


def test_command_line_and_constraints_of_ecp5() -> None:
    board = load_board("ulx3s-85f")
    command = arguments(board, Choice(7, "router2", "sa"), 125.0, "seed7")
    assert command == [
        "--85k", "--package", "CABGA381", "--speed", "6", "--lpf", "board.lpf", "--json", "netlist.json",
        "--top", "board_top", "--textcfg", "seed7.config", "--report", "seed7.report.json",
        "--detailed-timing-report", "--freq", "125", "--seed", "7", "--timing-allow-fail",
        "--router", "router2", "--placer", "sa",
    ]  # fmt: skip
    name, text = constraints(board)
    assert name == "board.lpf"
    assert 'LOCATE COMP "led_o[7]" SITE "H3";' in text
    assert 'IOBUF PORT "uart_tx_o" IO_TYPE=LVCMOS33 PULLMODE=UP DRIVE=4;' in text
    assert 'FREQUENCY PORT "clk_i" 25.000000 MHZ;' in text


def test_command_line_and_constraints_of_gowin() -> None:
    board = load_board("tang-nano-20k")
    command = arguments(board, Choice(), 80.0, "seed1")
    assert command[:6] == ["--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C", "--vopt", "cst=board.cst"]
    assert "--router" not in command
    name, text = constraints(board)
    assert name == "board.cst"
    assert 'IO_LOC "uart_rx_i" 70;\nIO_PORT "uart_rx_i" IO_TYPE=LVCMOS33 PULL_MODE=UP;\n' in text


def test_what_is_over_and_the_board_that_would_fit(tmp_path: Path) -> None:
    used = {"lut": 30_000, "ff": 20_000, "bram": 84, "dsp": 0}
    with pytest.raises(FlipflowError) as caught:
        fit.require_fit(load_board("ulx3s-25f"), used, tmp_path, measured=True)
    error = caught.value
    assert (error.code, error.exit_code) == ("E373", Exit.BAD_INPUT)
    assert "30,000 LUT4s of 24,288 (24% over) and 84 18-kbit block RAMs of 56 (50% over)" in error.what
    assert "colorlight-i9, orangecrab-85f, ulx3s-85f" in error.fix


def test_an_estimate_refuses_only_what_is_far_over(tmp_path: Path) -> None:
    board = load_board("ulx3s-25f")
    fit.require_fit(board, {"lut": int(24_288 * 1.25), "bram": 56}, tmp_path, measured=False)
    with pytest.raises(FlipflowError, match="by the estimate"):
        fit.require_fit(board, {"lut": int(24_288 * 1.35), "bram": 56}, tmp_path, measured=False)


def test_where_nothing_fits(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="none of the boards fits"):
        fit.require_fit(load_board("ulx3s-85f"), {"lut": 300_000}, tmp_path, measured=True)


def test_placement_needs_room() -> None:
    part = PARTS["LFE5U-25F"]
    assert fit.fits(part, {"lut": int(0.9 * part.lut), "ff": part.ff})
    assert not fit.fits(part, {"lut": int(0.95 * part.lut), "ff": 0})
    assert not fit.fits(replace(part, bram=3), {"bram": 4})


def timing(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "board": "ulx3s-85f", "fmax_mhz": 81.25, "asked_mhz": 100.0, "met": False, "seed": 3,
        "critical": {"kernel": "conv1", "delay_ns": 12.3, "path": []},
        "clocks": {"clk": {"achieved_mhz": 81.25, "constraint_mhz": 100.0}},
    }  # fmt: skip
    return document | changes


def test_timing_that_is_not_met() -> None:
    with pytest.raises(FlipflowError) as caught:
        require_timing(timing(), "runs/x/timing.json")
    error = caught.value
    assert (error.code, error.exit_code) == ("E374", Exit.CHECK_FAILED)
    assert "81.25 MHz achieved, 100 MHz asked for; the critical path lies in conv1" in error.what
    assert "seed 3 is kept" in error.fix
    assert "--clock-mhz 81" in error.fix
    require_timing(timing(met=True), "runs/x/timing.json")


def test_memory_bounds_the_seeds_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from flipflow.hw.pnr import seeds  # noqa: PLC0415

    board = load_board("ulx3s-85f")
    monkeypatch.setattr(seeds.os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.setattr(seeds, "_free_memory", lambda: 4 << 30)
    assert seeds.side_by_side(board, 10_000) == 3  # 4 GiB hold three of 0.7 GiB and 0.4 GB
    monkeypatch.setattr(seeds, "_free_memory", lambda: 0)
    assert seeds.side_by_side(board, 10_000) == 1
    monkeypatch.setattr(seeds, "_free_memory", lambda: 1 << 40)
    assert seeds.side_by_side(board, 10_000) == 8
