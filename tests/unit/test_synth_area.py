"""Counting cells, families, single kernels' attributes and area.json: against counts made by hand. No tool runs here."""

from pathlib import Path

import pytest
from hw_graphs import Net

from flipflow.errors import FlipflowError
from flipflow.hw.convert import convert
from flipflow.hw.graph import kernels_of
from flipflow.hw.process import Usage
from flipflow.hw.synth.area import Area, count, total
from flipflow.hw.synth.families import FAMILIES, family
from flipflow.hw.synth.random_kernel import attributes_of, kernel_names, random_kernel
from flipflow.hw.synth.report import area_document, error_percent, module_name
from flipflow.hw.synth.yosys import Netlist


@pytest.mark.parametrize(
    ("name", "cells", "want"),
    [
        # 3 LUTs, two carry cells of 2 each, a LUT RAM of 4 and its write address's 2: 13 positions
        ("ecp5", {"LUT4": 3, "CCU2C": 2, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 5, "$scopeinfo": 2}, Area(13, 5, 0, 0, 2)),
        ("ecp5", {"DP16KD": 4, "MULT18X18D": 2, "EHXPLLL": 1}, Area(bram=4, dsp=2)),
        ("gowin", {"LUT2": 1, "LUT4": 1, "ALU": 4, "RAM16SDP4": 2, "DFFRE": 7, "GND": 1}, Area(18, 7, 0, 0, 4)),
        ("gowin", {"SDPX9B": 1, "pROMX9": 2, "MULT36X36": 1, "IBUF": 9}, Area(bram=3, dsp=4)),
        ("xc7", {"LUT6": 10, "INV": 1, "CARRY4": 3, "MUXF7": 4, "RAM32M": 2, "FDRE": 6}, Area(19, 6, 0, 0, 3)),
        ("xcup", {"RAMB36E2": 2, "RAMB18E2": 1, "DSP48E2": 1, "SRLC32E": 2, "CARRY8": 1}, Area(2, 0, 5, 1, 1)),
    ],
)
def test_cells_by_hand(name: str, cells: dict[str, int], want: Area) -> None:
    assert count(cells, family(name).cells, "here") == want


def test_unmapped_cells_are_refused() -> None:
    with pytest.raises(FlipflowError, match=r"E362.*\$_NOT_"):
        count({"LUT4": 1, "$_NOT_": 3}, FAMILIES["ecp5"].cells, "module m")


def test_areas_add_up() -> None:
    assert total([Area(1, 2, 3, 4, 5), Area(10, 20, 30, 40, 50) * 2]) == Area(21, 42, 63, 84, 105)


@pytest.mark.parametrize(("wrong", "right"), [("ecp", "ecp5"), ("XC7", "xc7"), ("xcu", "xcup"), ("gowin2", "gowin")])
def test_family_names(wrong: str, right: str) -> None:
    with pytest.raises(FlipflowError, match=f"E361.*Did you mean {right}"):
        family(wrong)


def test_errors_of_estimates() -> None:
    assert [error_percent(110, 100), error_percent(90, 100), error_percent(0, 0)] == [10.0, -10.0, 0.0]
    assert error_percent(3, 0) is None


REFUSED = [
    ("mvuu", {}, "E364.*Did you mean mvu"),
    ("mvu", {"Depth": 4}, "E364.*no such attribute.*SIMD"),
    ("mvu", {"PE": 3}, "E304.*3 does not divide MH = 512.*2 or 4"),
    ("mvu", {"SIMD": 1024}, "E304.*1024 does not divide MW = 512.*512"),
    ("mvu", {"MW": 0}, "E364.*too small"),
    ("mvu", {"MW": "many"}, "E364.*not like 512"),
    ("window", {"IfmDim": [8]}, "E364.*not like"),
    ("window", {"IfmDim": [2, 2], "PadTopLeft": [0, 0]}, "E364.*does not fit"),
    ("window", {"PadTopLeft": [3, 0]}, "E364.*does not fit"),
    ("window", {"dataType": "BIPOLA"}, "E364.*BIPOLA.*no datatype"),
    ("threshold", {"Thresholds": 0}, "E364.*no threshold"),
    ("requantize", {"Even": 1, "Shift": 0}, "E364.*Even 1 with Shift 0"),
    ("requantize", {"FactorBits": 1}, "E364.*1 bits"),
    ("residual_add", {"outputDataType": "BIPOLAR"}, "E364.*BIPOLAR is not for sums"),
    ("channel_pad", {"After": 6, "Elems": 4}, "E304.*4 does not divide After = 6"),
    ("mixed_mvtu", {"weightDataType": "BIPOLAR", "inputDataType": "BIPOLAR"}, "E364.*not for this unit.*xnor_mvtu"),
    ("pool", {"SIMD": 5}, "E304.*4 or 8"),
]


@pytest.mark.parametrize(("name", "given", "message"), REFUSED)
def test_impossible_kernels(name: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(FlipflowError, match=message):
        random_kernel(name, given, 0)


@pytest.mark.parametrize("name", kernel_names())
def test_every_kernel_has_a_module(name: str) -> None:
    """Its parameters are complete, its contents follow from the seed alone, and attributes_of lists what may be given."""
    op, params = random_kernel(name, {}, 7)
    module = op.rtl_module(params)
    assert module.name == module_name(op) == ("xnor_mvtu" if name == "mvu" else name)
    again = random_kernel(name, attributes_of(name), 7)
    assert again[0].rtl_module(again[1]) == module
    if params and name != "pool":
        other = random_kernel(name, {}, 8)
        assert other[0].rtl_module(other[1]).memory != module.memory


def test_area_document() -> None:
    """Kernels by their instance, what lies around the accelerator apart, estimates beside what was measured."""
    ops = kernels_of(convert(Net([8], "BIPOLAR").linear(4).model()))
    assert [op.name for op in ops] == ["fc0", "argmax"]
    areas = {
        "": Area(lut=100, ff=7, bram=2),
        "u_accelerator.u_fc0": Area(40, 20, 1, 0, 6),
        "u_accelerator.u_argmax": Area(10, 5),
    }
    netlist = Netlist(Path("n.json"), Path("n.v"), Path("log"), areas, Usage(2.0, 1.5, 80.0))
    about = area_document(netlist, ops, "ecp5", board="b", inside="u_accelerator", routed={"lut": 160})
    assert about["total"] == {"lut": 150, "ff": 32, "bram": 3, "dsp": 0}
    assert about["accelerator"] == {"lut": 50, "ff": 25, "bram": 1, "dsp": 0}
    fc0, argmax = about["kernels"]
    assert {key: fc0[key] for key in ("name", "kind", "pe", "simd", "lut", "bram")} == {
        "name": "fc0", "kind": "xnor_mvtu", "pe": 1, "simd": 1, "lut": 40, "bram": 1,
    }  # fmt: skip
    luts = [int(op.lut_estimation("ecp5")) for op in ops]
    assert [fc0["estimated_lut"], argmax["estimated_lut"]] == luts
    assert argmax["lut_error_percent"] == error_percent(luts[1], 10)
    assert about["estimated"]["lut"] == sum(luts)
    assert (about["board"], about["family"], about["routed"]) == ("b", "ecp5", {"lut": 160})
    assert about["synthesis"]["cpu_seconds"] == 1.5
