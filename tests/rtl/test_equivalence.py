"""Kernels' netlists are proven equivalent to their RTL; changed ones are found different; too little time is told."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import test_kernel_mvtu
import test_kernel_residual
import test_kernel_streams
import test_kernel_window
from kernel_cases import RTL, Case

from flipflow.errors import FlipflowError
from flipflow.hw.formal import prove
from flipflow.hw.formal.miter import Pair
from flipflow.hw.synth.yosys import synthesise

pytest.importorskip("pyosys", reason="synthesis and proofs need pyosys")

_ALL = (
    *test_kernel_mvtu.CASES,
    *test_kernel_residual.CASES,
    *test_kernel_streams.CASES,
    *test_kernel_window.CASES,
)
# A product of more bits than this (8 x 9: 4 s) is not decided in minutes; netlists of larger ones are simulated.
PRODUCT_BITS = 80


def provable(case: Case) -> bool:
    params = case.instance.params
    wide = case.instance.module == "requantize" and not params["UnitFactor"]
    return not wide or int(params["InBits"]) * int(params["FactorBits"]) <= PRODUCT_BITS


CASES = {f"{case.instance.module}-{case.name}": case for case in _ALL if provable(case)}
SMALL = (
    "fifo-fifo8x2",
    "width_converter-convert1b_3to5",
    "pool-pool3x1u_4_1",
    "argmax-argmax3x3",
    "window-same3",
    "fork_stream-fork5x4",
)
LIMIT = 60.0

# A register behind an exclusive or, by hand: LUT4's table holds the output for inputs {D, C, B, A}, so 6 is a XOR b, 4 times.
XOR_RTL = """
module difference (input logic clk_i, input logic rst_ni, input logic a_i, input logic b_i, output logic q_o);
  always_ff @(posedge clk_i) q_o <= rst_ni & (a_i ^ b_i);
endmodule
"""
XOR_NETLIST = """
module difference(clk_i, rst_ni, a_i, b_i, q_o);
  input clk_i;
  input rst_ni;
  input a_i;
  input b_i;
  output q_o;
  wire d;
  LUT4 #(.INIT(16'h6666)) lut (.A(a_i), .B(b_i), .C(1'h0), .D(1'h0), .Z(d));
  TRELLIS_FF #(.CEMUX("1"), .CLKMUX("CLK"), .GSR("DISABLED"), .LSRMUX("INV"), .REGSET("RESET"), .SRMODE("LSR_OVER_CE"))
    ff (.CLK(clk_i), .DI(d), .LSR(rst_ni), .Q(q_o));
endmodule
"""


def pair_of(case: Case, family: str, folder: Path) -> Pair:
    for name, text in case.instance.files.items():
        (folder / name).write_text(text)
    module, params = case.instance.module, case.instance.params
    made = synthesise(RTL, module, family, folder / "netlist", params=params, memories=folder, keep=())
    return Pair(RTL, module, module, made.verilog.read_text(), family, params, folder)


def by_hand(folder: Path, netlist: str) -> Pair:
    (folder / "difference.sv").write_text(XOR_RTL)
    return Pair([folder / "difference.sv"], "difference", "difference", netlist, "ecp5")


def test_hand_made_netlists(tmp_path: Path) -> None:
    assert prove(by_hand(tmp_path, XOR_NETLIST), LIMIT).result == "proved"
    # Inputs C and D are tied to 0: what the table says for them does not matter.
    assert prove(by_hand(tmp_path, XOR_NETLIST.replace("6666", "0f36")), LIMIT).result == "proved"
    # 7 is 1 for a = b = 0 as well: seen one cycle after the first one out of reset, which is cycle 1.
    wrong = prove(by_hand(tmp_path, XOR_NETLIST.replace("6666", "6667")), LIMIT)
    assert (wrong.result, wrong.cycle) == ("different", 2)
    unreset = prove(by_hand(tmp_path, XOR_NETLIST.replace(".LSR(rst_ni)", ".LSR(1'h1)")), LIMIT)
    assert unreset.result == "different"


def test_too_little_time_is_undecided(tmp_path: Path) -> None:
    assert prove(by_hand(tmp_path, XOR_NETLIST), 0.5).result == "undecided"


def test_unknown_cells_and_kernels_are_named(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match=r"E420.*ODDRX1F"):
        prove(by_hand(tmp_path, XOR_NETLIST.replace("LUT4 #(.INIT(16'h6666))", "ODDRX1F")), LIMIT)
    with pytest.raises(FlipflowError, match="E424"):
        prove(replace(by_hand(tmp_path, XOR_NETLIST), module="sum"), LIMIT)
    with pytest.raises(FlipflowError, match="E423"):
        prove(by_hand(tmp_path, XOR_NETLIST.replace(".A(a_i)", ".A(a_i")), LIMIT)


@pytest.mark.parametrize("name", SMALL)
def test_small_kernels(name: str, tmp_path: Path) -> None:
    proof = prove(pair_of(CASES[name], "ecp5", tmp_path), LIMIT)
    assert proof.result == "proved", proof
    assert proof.registers > 0


def test_a_changed_weight_is_found(tmp_path: Path) -> None:
    """The ROM is part of what is proven: the netlist of other weights is another circuit."""
    case = CASES["xnor_mvtu-plain"]
    pair = pair_of(case, "ecp5", tmp_path)
    assert prove(pair, LIMIT).result == "proved"
    weights = tmp_path / str(case.instance.params["WeightFile"])
    first, *rest = weights.read_text().splitlines()
    weights.write_text("\n".join([f"{int(first, 16) ^ 1:x}", *rest]) + "\n")
    proof = prove(pair, LIMIT)
    assert proof.result == "different"
    assert proof.cycle is not None


def test_a_changed_cell_is_found(tmp_path: Path) -> None:
    """Turning a register's reset into a set changes what comes out after a reset."""
    pair = pair_of(CASES["fifo-fifo1x3"], "ecp5", tmp_path)
    changed, count = re.subn(r'REGSET\("RESET"\)', 'REGSET("SET")', pair.netlist)
    assert count
    assert prove(replace(pair, netlist=changed), LIMIT).result == "different"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "gowin", "xc7"])
@pytest.mark.parametrize("name", list(CASES))
def test_all_kernels(name: str, family: str, tmp_path: Path) -> None:
    proof = prove(pair_of(CASES[name], family, tmp_path), 300.0)
    assert proof.result == "proved", proof
