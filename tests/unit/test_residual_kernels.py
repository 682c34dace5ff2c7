"""Ops of the residual kernels: their meaning, memory words, streams and cycles, against values worked out by hand."""

import numpy as np
import pytest
from hw_graphs import Array
from test_hw_kernels import execute, make

from flipflow.hw.kernels.area_residual import multiplier_blocks
from flipflow.hw.kernels.base import Bits, KernelOp
from flipflow.hw.kernels.sum_pool import sum_dtype_of
from flipflow.hw.requantize import Line


def requantize(line: Line, low: int, high: int, out: str, **more: object) -> KernelOp:
    sizes = {"Channels": len(line.factor), "Leading": [1], "inputDataType": "INT8", "outputDataType": out}
    return make("Requantize", "r", 3, **{**sizes, "Minimum": low, "Maximum": high, **line.attributes("INT8"), **more})


def test_requantize_by_hand() -> None:
    line = Line(np.array([3, -5]), np.array([1, 8]), 2)
    op = requantize(line, -4, 9, "INT5")
    # (3 * 10 + 1) / 4 = 7.75, (-5 * 3 + 8) / 4 = -1.75; (3 * -128 + 1) / 4 is below -4, (-5 * -9 + 8) / 4 = 13.25 above 9
    assert execute(op, np.array([[10, 3], [-128, -9]]), line.factor, line.offset).tolist() == [[7, -2], [-4, 9]]


def test_requantize_to_even_by_hand() -> None:
    line = Line(np.array([1]), np.array([2]), 2, even=True)
    x = np.array([-10, -6, -2, 0, 1, 2, 3, 5, 6, 7, 10])[:, None]
    # a quarter each: -2.5 -1.5 -.5 0 .25 .5 .75 1.25 1.5 1.75 2.5
    assert execute(requantize(line, -8, 7, "INT4"), x, line.factor, line.offset).ravel().tolist() == [
        *(-2, -2, 0, 0, 0, 0, 1, 1, 2, 2, 2)
    ]


def test_requantize_memory_by_hand() -> None:
    line = Line(np.array([3, -5, 0, 1]), np.array([1, 8, -2, 0]), 2)
    op = requantize(line, -4, 9, "INT5", PE=2)
    module = op.rtl_module({"factor": line.factor, "offset": line.offset})
    # words of {offset 1, factor 1, offset 0, factor 0}, 5 and 4 bits: 01000 1011 00001 0011, 00000 0001 11110 0000
    assert module.memory == {"r_lines.mem": ["11613", "003e0"]}
    assert [module.parameters[key] for key in ("NF", "FactorBits", "OffsetBits", "Shift")] == [2, 4, 5, 2]
    # -5 * -128 + 8 = 648 is the largest sum: 11 bits
    assert (module.parameters["AccWidth"], module.parameters["Signed"]) == (11, Bits(1, 1))
    assert op.schedule() == {
        "name": "r", "model": "steps", "steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 5,
    }  # fmt: skip
    assert (op.get_instream_width(), op.get_outstream_width(), op.get_exp_cycles()) == (16, 10, 2)
    assert op.dsp_estimation() == 2


def test_one_line_for_all_channels() -> None:
    """The ROM has one word, and a factor of 1 takes no multiplier."""
    line = Line(np.ones(8, int), np.full(8, 2), 2, even=True)
    op = requantize(line, -128, 127, "INT8", PE=2)
    module = op.rtl_module({"factor": line.factor, "offset": line.offset})
    assert module.memory == {"r_lines.mem": ["129"]}  # twice {offset 010, factor 01}
    assert (module.parameters["NF"], module.parameters["UnitFactor"]) == (1, Bits(1, 1))
    assert op.dsp_estimation() == 0


def test_residual_add_by_hand() -> None:
    attributes = {"Channels": 4, "PE": 2, "Leading": [1, 2], "Minimum": -100, "Maximum": 127}
    op = make("ResidualAdd", "a", 2, inputDataType="INT8", inputDataType1="INT9", outputDataType="INT8", **attributes)
    x = np.array([[[100, -100, 5, 127], [0, -128, 1, 2]]])
    y = np.array([[[28, -1, -6, 255], [0, 3, 4, -5]]])
    assert execute(op, x, y).tolist() == [[[127, -100, -1, 127], [0, -100, 5, -3]]]
    assert op.schedule() == {"name": "a", "model": "join", "latency": 1}
    assert [stream.width for stream in op.in_streams()] == [16, 18]
    assert (op.get_outstream_width(), op.get_exp_cycles()) == (16, 4)


def test_fork_gives_every_output() -> None:
    op = make("Fork", "f", Shape=[1, 3], Elems=1, Outputs=3, dataType="INT4")
    del op.onnx_node.output[:]
    op.onnx_node.output.extend(["p", "q", "r"])
    context: dict[str, Array] = {"x": np.array([[1, -8, 7]])}
    op.execute_node(context, None)
    assert all(context[name].tolist() == [[1, -8, 7]] for name in "pqr")
    assert op.schedule() == {"name": "f", "model": "fork", "outputs": 3}
    assert op.rtl_module({}).parameters == {"Width": 4, "Outputs": 3}


def test_sum_pool_by_hand() -> None:
    types = {"dataType": "INT4", "outputDataType": "INT6"}
    op = make("SumPool", "s", Channels=2, SIMD=1, Taps=3, OfmDim=[1, 2], **types)
    x = np.array([[[[1, -8, 2, -8, 3, -8], [7, 0, 7, 1, 7, -1]]]])  # windows of three taps of two channels
    assert execute(op, x).tolist() == [[[[6, -24], [21, 0]]]]
    assert op.schedule() == {
        "name": "s", "model": "steps", "steps": 6, "consume": 6, "emit_from": 4, "emit_period": 1, "latency": 1,
    }  # fmt: skip


def test_global_sum_takes_a_map() -> None:
    """The pixels of a map, in stream order, are the taps."""
    op = make("SumPool", "s", Channels=2, SIMD=2, Taps=6, OfmDim=[1, 1], dataType="UINT4", outputDataType="UINT7")
    x = np.random.default_rng(0).integers(0, 16, (3, 2, 3, 2))
    assert np.array_equal(execute(op, x).reshape(3, 2), x.sum(axis=(1, 2)))


@pytest.mark.parametrize(
    ("dtype", "taps", "wanted"),
    [("INT8", 64, "INT14"), ("INT8", 4, "INT10"), ("UINT4", 9, "UINT8"), ("INT8", 49, "INT14"), ("BIPOLAR", 4, "INT4")],
)
def test_sum_datatypes(dtype: str, taps: int, wanted: str) -> None:
    assert sum_dtype_of(dtype, taps) == wanted


def test_channel_pad_by_hand() -> None:
    op = make("ChannelPad", "p", Channels=2, Before=2, After=4, Elems=2, Leading=[1, 2], dataType="INT4")
    x = np.array([[[1, -2], [3, 4]]])
    assert execute(op, x).tolist() == [[[0, 0, 1, -2, 0, 0, 0, 0], [0, 0, 3, 4, 0, 0, 0, 0]]]
    assert op.schedule() == {"name": "p", "model": "pad", "before": 1, "pass": 1, "after": 2, "latency": 1}
    assert (op.in_stream().beats, op.out_stream().beats, op.get_exp_cycles()) == (2, 8, 8)


def test_multiplier_blocks_by_hand() -> None:
    """A side of up to 18 bits is one block's; wider ones are cut into parts of 17."""
    found = [multiplier_blocks(*sides) for sides in ((9, 16), (18, 18), (19, 23), (19, 18), (35, 36))]
    assert found == [1, 1, 4, 2, 6]


@pytest.mark.parametrize(("dtype", "factor", "unit", "latency"), [
    ("INT18", 1 << 16, 0, 5), ("UINT18", 5, 0, 6), ("INT8", 1 << 17, 0, 6), ("INT24", 1, 1, 5),
])  # fmt: skip
def test_wide_products_take_a_stage_more(dtype: str, factor: int, unit: int, latency: int) -> None:
    line = Line(np.array([factor]), np.array([0]), 1)
    op = requantize(line, -128, 127, "INT8", inputDataType=dtype)
    assert (op.integer("UnitFactor"), op.schedule()["latency"]) == (unit, latency)
