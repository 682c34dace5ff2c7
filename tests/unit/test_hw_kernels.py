"""Ops of the kernels: their meaning, memory words, widths and cycles, against values worked out by hand or by plain
loops.
"""

import subprocess
import sys

import numpy as np
import pytest
from hw_graphs import Array
from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from flipflow.hw.kernels import DOMAIN
from flipflow.hw.kernels.base import Bits, KernelOp
from flipflow.hw.kernels.rom import bits_of, hex_lines, signed_width, unsigned_width
from flipflow.hw.kernels.width_converter import gearbox_rhythm


def make(op_type: str, name: str = "op", inputs: int = 1, **attributes: object) -> KernelOp:
    names = ["x", *(f"p{index}" for index in range(inputs - 1))]
    attributes["backend"] = "fpgadataflow"
    return getCustomOp(helper.make_node(op_type, names, ["y"], name, domain=DOMAIN, **attributes))


def execute(op: KernelOp, x: Array, *params: Array) -> Array:
    context = dict(zip(op.onnx_node.input, [x, *params], strict=True))
    op.execute_node(context, None)
    return context["y"]


def test_import_is_cheap() -> None:
    code = "import sys, flipflow.hw.kernels, flipflow.hw.folding, flipflow.hw.convert, flipflow.hw.build; "
    code += "sys.exit(any(name in sys.modules for name in ('finn', 'qonnx', 'torch', 'onnx')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_memory_words() -> None:
    assert hex_lines(bits_of(np.array([[1, -1, 2]]), 3)) == ["0b9"]  # 010 111 001
    assert hex_lines(bits_of(np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1]]), 1)) == ["0d", "10"]
    assert [signed_width(-4, 3), signed_width(-1, 0), signed_width(0, 4), signed_width(-129, 100)] == [3, 1, 4, 9]
    assert [unsigned_width(0), unsigned_width(1), unsigned_width(144), unsigned_width(256)] == [1, 1, 8, 9]


def mvtu(op_type: str, weights: Array, levels: int, dtypes: tuple[str, str, str], **more: object) -> KernelOp:
    sizes = {"MW": weights.shape[0], "MH": weights.shape[1], "Leading": [1], "AccWidth": 6, "Thresholds": levels}
    kinds = dict(zip(("inputDataType", "weightDataType", "outputDataType"), dtypes, strict=True))
    return make(op_type, "fc0", 4 if levels else 2, **sizes, **kinds, **more)


def test_xnor_by_hand() -> None:
    weights = np.array([[1, -1], [1, 1], [-1, 1], [1, 1]])
    x = np.array([[1, 1, -1, -1], [-1, 1, 1, 1]])
    # matching bits: 3 and 1, then 2 and 4; dot products 2p - 4
    op = mvtu("XnorMvtu", weights, 1, ("BIPOLAR", "BIPOLAR", "BIPOLAR"))
    out = execute(op, x, weights, np.array([[3], [2]]), np.array([0, 1]))
    assert out.tolist() == [[1, 1], [-1, -1]]
    raw = mvtu("XnorMvtu", weights, 0, ("BIPOLAR", "BIPOLAR", "INT4"))
    assert execute(raw, x, weights).tolist() == [[2, -2], [0, 4]]


def test_masked_xnor_by_hand() -> None:
    weights = np.array([[1], [1], [-1], [1]])
    x = np.array([[0, 0, -1, 1], [0, 0, 1, -1]])  # the first two taps are masked: s = 2 and -2, acc2 = s + 4
    op = mvtu("XnorMvtu", weights, 2, ("BIPOLAR", "BIPOLAR", "UINT2"), HasMask=1)
    assert execute(op, x, weights, np.array([[2, 6]]), np.array([0])).tolist() == [[2], [1]]
    assert execute(op, x, weights, np.array([[3, 7]]), np.array([1])).tolist() == [[1], [2]]


def test_mixed_by_hand() -> None:
    weights = np.array([[1, -3], [-2, 0], [3, 1]])
    x = np.array([[10, 200, 0], [255, 0, 7]])
    raw = mvtu("MixedMvtu", weights, 0, ("UINT8", "INT3", "INT12"))
    assert execute(raw, x, weights).tolist() == [[-390, -30], [276, -758]]
    op = mvtu("MixedMvtu", weights, 2, ("UINT8", "INT3", "INT2"), OutBias=-1)
    assert execute(op, x, weights, np.array([[-390, 276], [-31, -29]]), np.zeros(2)).tolist() == [[0, 0], [1, -1]]


def test_mvtu_memories_by_hand() -> None:
    weights = np.array([[1, -1], [1, 1], [-1, 1], [1, 1]])
    op = mvtu("XnorMvtu", weights, 1, ("BIPOLAR", "BIPOLAR", "BIPOLAR"), PE=2, SIMD=2)
    module = op.rtl_module({"weights": weights, "thresholds": np.array([[3], [2]]), "invert": np.array([0, 1])})
    # word sf: {channel 1, channel 0}, each {input 2 sf + 1, input 2 sf}; thresholds {1, 000010, 0, 000011}
    assert module.memory == {"fc0_weights.mem": ["b", "e"], "fc0_thresholds.mem": ["2103"]}
    assert (module.name, module.parameters["PE"], module.parameters["HasMask"]) == ("xnor_mvtu", 2, Bits(0, 1))
    assert op.schedule() == {
        "name": "fc0", "model": "mvtu", "steps": 2, "consume": 2, "emit_from": 1, "emit_period": 2, "latency": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mw", "mh", "act", "weight", "stages", "latency"),
    [
        # SIMD 16 in all: a popcount takes 2 cycles; take, accumulate and compare are 3.
        (16, 128, "BIPOLAR", "BIPOLAR", 1, 6),  # 16 words of 128 bits take 128 LUTs: four blocks would save 32 each
        (512, 64, "BIPOLAR", "BIPOLAR", 2, 7),
        # Products of two integers: a register for the operands, one for the products, two in the tree.
        (512, 64, "UINT4", "INT4", 1, 8),
    ],
)
def test_block_ram_is_read_in_two_stages(mw: int, mh: int, act: str, weight: str, stages: int, latency: int) -> None:
    kind = "XnorMvtu" if weight == "BIPOLAR" else "MixedMvtu"
    op = mvtu(kind, np.ones((mw, mh)), 0, (act, weight, "INT24"), PE=8, SIMD=16)
    module = op.rtl_module({"weights": np.ones((mw, mh))})
    assert (module.parameters["ReadStages"], op.schedule()["latency"]) == (stages, latency)


def test_rows_of_weights_together_are_the_whole() -> None:
    rng = np.random.default_rng(5)
    weights = rng.choice([-1, 1], (512, 72))
    params = {"weights": weights}
    op = mvtu("XnorMvtu", weights, 0, ("BIPOLAR", "BIPOLAR", "INT11"), PE=1, SIMD=8)
    module = op.rtl_module(params)
    # 4608 words of 8 bits: two blocks of 4096 x 4 bits, and one of 512 x 36 for the rest.
    assert module.parameters["WeightRow"] == 4096
    sizes = [(name, len(lines)) for name, lines in module.memory.items()]
    assert sizes == [("row00_fc0_weights.mem", 4096), ("row01_fc0_weights.mem", 512)]
    assert [line for lines in module.memory.values() for line in lines] == op.weight_lines(weights)


def test_finn_sees_the_streams() -> None:
    weights = np.ones((12, 6))
    op = mvtu("MixedMvtu", weights, 3, ("INT4", "INT3", "UINT2"), PE=3, SIMD=4)
    assert (op.get_instream_width(), op.get_outstream_width(), op.get_exp_cycles()) == (16, 6, 6)
    assert (op.get_folded_input_shape(), op.get_folded_output_shape()) == ([1, 3, 4], [1, 2, 3])
    assert (op.get_normal_input_shape(), op.get_normal_output_shape()) == ([1, 12], [1, 6])
    assert (op.get_input_datatype().name, op.get_output_datatype().name) == ("INT4", "UINT2")


def window(**more: object) -> KernelOp:
    values = {"Channels": 2, "IfmDim": [3, 4], "Kernel": [2, 3], "Stride": [2, 1], "PadTopLeft": [1, 1]}
    values["OfmDim"] = [2, 4]
    return make("Window", **{**values, "dataType": "INT4", "Rows": 4, **more})


@pytest.mark.parametrize("has_mask", [0, 1])
def test_window_against_loops(has_mask: int) -> None:
    x = np.random.default_rng(1).integers(-8, 8, (2, 3, 4, 2))
    op = window(HasMask=has_mask, PadValue=5)
    want = np.full((2, 2, 4, 2, 3, 2), -9 if has_mask else 5)  # masked taps hold one less than INT4's least
    for oy, ox, ky, kx in np.ndindex(2, 4, 2, 3):
        iy, ix = 2 * oy - 1 + ky, ox - 1 + kx
        if 0 <= iy < 3 and 0 <= ix < 4:
            want[:, oy, ox, ky, kx] = x[:, iy, ix]
    assert np.array_equal(execute(op, x), want.reshape(2, 2, 4, 12))
    assert (op.get_outstream_width(), op.get_exp_cycles()) == (4 + has_mask, 96)


def test_window_parameters() -> None:
    module = window(SIMD=2, PadValue=-3).rtl_module({})
    assert module.parameters["PadValue"] == Bits(0xDD, 8)
    assert module.parameters["WordsPerPixel"] == 1
    bipolar = window(SIMD=2, dataType="BIPOLAR", PadValue=1, HasMask=0).rtl_module({})
    assert bipolar.parameters["PadValue"] == Bits(3, 2)


def test_pool_by_hand() -> None:
    op = make("Pool", inputs=2, Channels=2, SIMD=1, Taps=3, OfmDim=[1, 1], dataType="INT4", HasMask=1)
    x = np.array([3, -2, -9, -9, 1, 5]).reshape(1, 1, 1, 6)  # taps (3, -2), masked, (1, 5)
    assert execute(op, x, np.array([0, 1])).ravel().tolist() == [3, -2]
    assert execute(op, x, np.array([1, 0])).ravel().tolist() == [1, 5]
    assert op.rtl_module({"minimum": np.array([0, 1])}).parameters["MinMask"] == Bits(2, 2)
    assert op.schedule()["emit_from"] == 4


def test_threshold_by_hand() -> None:
    kinds = {"inputDataType": "UINT8", "outputDataType": "INT2", "AccWidth": 9, "Thresholds": 3, "OutBias": -2}
    op = make("Threshold", "t", 3, Channels=2, Leading=[1], **kinds)
    levels, invert = np.array([[10, 20, 256], [0, 5, 5]]), np.array([0, 1])
    assert execute(op, np.array([[10, 5], [255, 4]]), levels, invert).tolist() == [[-1, -2], [0, 0]]
    memory = op.rtl_module({"thresholds": levels, "invert": invert}).memory["t_thresholds.mem"]
    assert [int(line, 16) for line in memory] == [10 | 20 << 9 | 256 << 18, 5 << 9 | 5 << 18 | 1 << 27]


def test_gearbox_rhythm_by_hand() -> None:
    assert [gearbox_rhythm(1, 4), gearbox_rhythm(4, 1)] == [(4, 4), (4, 4)]
    # 3 to 2 with 5 elements of room: levels 2, 3, 1, 4, 2, ...: two words in 4 cycles
    assert gearbox_rhythm(3, 2) == (4, 6)


def test_bipolar_thresholds_compare_bits() -> None:
    """-1 and +1 pass a threshold just where the bits 0 and 1 pass its image in the ROM."""
    kinds = {"inputDataType": "BIPOLAR", "outputDataType": "BIPOLAR", "AccWidth": 4, "Thresholds": 1}
    op = make("Threshold", "t", 3, Channels=6, Leading=[1], **kinds)
    levels, invert = np.array([[-5], [-1], [0], [1], [2], [7]]), np.array([0, 0, 0, 0, 0, 1])
    module = op.rtl_module({"thresholds": levels, "invert": invert})
    words = [int(line, 16) for line in module.memory["t_thresholds.mem"]]
    assert module.parameters["AccWidth"] == 2
    assert [word % 4 for word in words] == [0, 0, 1, 1, 2, 2]
    for bit in (0, 1):
        meant = execute(op, np.full((1, 6), 2 * bit - 1), levels, invert).ravel()
        assert [(bit >= word % 4) != (word >> 2) for word in words] == (meant > 0).tolist()
