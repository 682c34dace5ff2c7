"""The generated Tcl, run in a Tcl interpreter whose Vivado commands record calls and refuse what Vivado would refuse."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flipflow.hw.boards.find import find_board
from flipflow.hw.vivado.board import load_vivado_board
from flipflow.hw.vivado.project import Project, write_project
from tests.unit.vivado_runs import write_run

MOCK = Path(__file__).parent / "vivado"
BOARDS = ("pynq-z1", "zcu104", "u250")
INSTALLED = "xilinx.com:zcu104:part0:1.1 xilinx.com:au250:part0:1.3"

IN_PYTHON = """
import sys, tkinter
tcl = tkinter.Tcl()
tcl.setvar("script", sys.argv[2])
tcl.eval("set argv [list $script]")
tcl.evalfile(sys.argv[1])
"""


def interpreter() -> list[str]:
    """Command line of a Tcl interpreter: tclsh, or the one inside Python."""
    if shutil.which("tclsh"):
        return ["tclsh"]
    if subprocess.run([sys.executable, "-c", "import tkinter"], capture_output=True, check=False).returncode == 0:
        return [sys.executable, "-c", IN_PYTHON]
    pytest.skip("there is neither tclsh nor tkinter here")


def vivado(script: Path, log: Path, boards: str = INSTALLED) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MOCK_BOARDS": boards, "MOCK_REPORTS": str(MOCK), "MOCK_LOG": str(log)}
    command = [*interpreter(), str(MOCK / "mock.tcl"), str(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def project(folder: Path, board: str) -> Project:
    return write_project(write_run(folder), load_vivado_board(find_board(board)), 125.0, jobs=2)


@pytest.mark.parametrize("board", BOARDS)
def test_all_scripts_run_to_their_end(tmp_path: Path, board: str) -> None:
    made = project(tmp_path, board)
    log = tmp_path / "calls.log"
    for script in made.scripts:
        done = vivado(made.folder / script, log)
        assert done.returncode == 0, done.stdout
    assert (made.folder / "accelerator.bit").read_text().strip() == f"a bitstream for {made.board.part}"
    assert (made.folder / "accelerator.hwh").is_file()
    for which in ("out_of_context", "implemented"):
        assert (made.folder / "reports" / which / "utilization.rpt").is_file()
        assert "slack 1.250" in (made.folder / "reports" / which / "summary.txt").read_text()
    calls = log.read_text()
    # Every source reaches Vivado twice: alone, and in the packaged block.
    for name in made.files:
        if name.startswith("rtl/"):
            assert calls.count(f"{made.folder}/{name}") >= 2, name
    assert "125" in next(line for line in calls.splitlines() if "FREQ" in line)


@pytest.mark.parametrize(("board", "boards"), [("pynq-z1", "www.digilentinc.com:pynq-z1:part0:1.0"), ("zcu104", "")])
def test_a_zynq_does_with_and_without_board_files(tmp_path: Path, board: str, boards: str) -> None:
    made = project(tmp_path, board)
    for script in made.scripts:
        done = vivado(made.folder / script, tmp_path / "log", boards)
        assert done.returncode == 0, done.stdout
    assert f"apply_board_preset {int(bool(boards))}" in (tmp_path / "log").read_text()


def test_a_card_wants_its_board_files(tmp_path: Path) -> None:
    made = project(tmp_path, "u250")
    assert vivado(made.folder / "package_ip.tcl", tmp_path / "log", "").returncode == 0
    done = vivado(made.folder / "xdma.tcl", tmp_path / "log", "")
    assert done.returncode != 0 and "no board files for xilinx.com:au250:part0" in done.stdout


# What the mock must catch, or the tests above would show nothing: file, a line's text, what takes its place, and the complaint.
SPOILT = [
    ("dma.tcl", "dma/axi_resetn ", "", "dma/axi_resetn is not connected"),
    ("dma.tcl", "dma/M_AXI_S2MM   memory/S01_AXI", "", "is not connected"),
    ("dma.tcl", "NUM_SI 2 NUM_MI 1", "NUM_SI 1 NUM_MI 1", "no S01_AXI"),
    ("dma.tcl", "c_sg_length_width 26", "c_sg_length_width 27", "c_sg_length_width cannot be 27"),
    ("dma.tcl", "c_include_sg 0", "c_include_sgs 0", "no parameter c_include_sgs"),
    (
        "dma.tcl",
        "c_m_axis_mm2s_tdata_width $ff(in_bits)",
        "c_m_axis_mm2s_tdata_width 32",
        "32 bits, accelerator/s_axis 16",
    ),
    ("zynq7000.tcl", "PCW_USE_S_AXI_HP0 1", "PCW_USE_S_AXI_HP0 0", "no S_AXI_HP0"),
    ("zynq7000.tcl", "fan_out ps/FCLK_CLK0", "fan_out ps/FCLK_RESET0_N", "connect_bd_net"),
    (
        "zynq7000.tcl",
        "connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in]",
        "",
        "ext_reset_in",
    ),
    ("common.tcl", "assign_bd_address", "", "addresses are not assigned"),
    ("common.tcl", "create_project -force $name", "create_project -forced $name", "there is no option -forced"),
    ("common.tcl", "set_property top flipflow_wrapper [current_fileset]", "", "nothing to make a bitstream of"),
    ("settings.tcl", '"rtl/fifo.sv"', '"rtl/fifa.sv"', "no such file"),
    ("rtl/flipflow_axi.v", "output wire m_axis_tlast", "output wire m_axis_end", "no interface m_axis"),
]


@pytest.mark.parametrize(("name", "text", "other", "complaint"), SPOILT)
def test_faulty_scripts_are_refused(tmp_path: Path, name: str, text: str, other: str, complaint: str) -> None:
    made = project(tmp_path, "pynq-z1")
    source = (made.folder / name).read_text()
    assert source.count(text) == 1
    (made.folder / name).write_text(source.replace(text, other))
    results = [vivado(made.folder / script, tmp_path / "log") for script in made.scripts]
    failed = [done.stdout for done in results if done.returncode != 0]
    assert failed and complaint in failed[0]


def test_streams_on_different_clocks_are_refused(tmp_path: Path) -> None:
    made = project(tmp_path, "u250")
    script = made.folder / "xdma.tcl"
    text = script.read_text()
    swapped = text.replace("images/m_axis_aclk results/s_axis_aclk", "results/s_axis_aclk").replace(
        "clock/clk_in1 control/aclk", "clock/clk_in1 images/m_axis_aclk control/aclk"
    )
    assert swapped != text
    script.write_text(swapped)
    assert vivado(made.folder / "package_ip.tcl", tmp_path / "log").returncode == 0
    done = vivado(script, tmp_path / "log")
    assert "images/M_AXIS and accelerator/s_axis are on different clocks" in done.stdout


def test_names_that_mean_something_in_tcl(tmp_path: Path) -> None:
    folder = tmp_path / "a run [exit 3] $x"
    folder.mkdir()
    made = write_project(
        write_run(folder, name='odd "name" [exit 4] $y'), load_vivado_board(find_board("zcu104")), 100.0, 1
    )
    for script in made.scripts:
        done = vivado(made.folder / script, tmp_path / "log")
        assert done.returncode == 0, done.stdout
    assert 'odd "name" [exit 4] $y' in (tmp_path / "log").read_text().replace("\\", "")
