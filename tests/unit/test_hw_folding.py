"""Folding: legal values, targets, and refusals with a remedy."""

from math import prod

import pytest
from hw_graphs import Net

from flipflow.errors import FlipflowError
from flipflow.hw.convert import convert
from flipflow.hw.folding import FoldRequest, divisors, fold, nearest
from flipflow.hw.graph import kernels_of
from flipflow.hw.stitch import stitch


def cnn() -> object:
    """12x10x3, conv0 (3x3, padded) 12x10x8, pool0 6x5x8, conv1 (3x3) 4x3x12, fc0 10; fan-ins 27, 72 and 144."""
    net = (
        Net([12, 10, 3], "UINT8").conv(8, (3, 3), "INT4", pads=(1, 1, 1, 1), border="zero").levels("BIPOLAR", bits=True)
    )
    net.pool(2, 2).conv(12, (3, 3)).levels("BIPOLAR", bits=True)
    return convert(net.linear(10).model())


def refusal(request: FoldRequest) -> FlipflowError:
    with pytest.raises(FlipflowError) as caught:
        fold(cnn(), request)
    return caught.value


def test_divisors_and_nearest() -> None:
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert nearest([1, 2, 3, 4, 6, 12], 5) == [4, 6]
    assert nearest([1, 2, 3], 7) == [3]
    assert nearest([1, 2, 3], 0) == [1]


def test_no_request_folds_to_a_thousand_lanes() -> None:
    # One product at a time: conv0 120 pixels x 8 x 27, pool0 12*10*8, conv1 4*3 x 12 x 72, fc0 10 x 144; together 38,688
    # cycles, over 1024 lanes 38. conv0 cannot be faster than its window, 120 pixels x 9 taps at SIMD 3.
    folds = fold(cnn(), FoldRequest())
    assert max(item.cycles for item in folds) == 120 * 9


def test_all_at_one_by_request() -> None:
    ones = {
        "conv0": {"pe": 1, "simd": 1},
        "pool0": {"simd": 1},
        "conv1": {"pe": 1, "simd": 1},
        "fc0": {"pe": 1, "simd": 1},
    }
    folds = fold(cnn(), FoldRequest(layers=ones))
    assert [item.cycles for item in folds] == [120 * 8 * 27, 12 * 10 * 8, 12 * 12 * 72, 10 * 144]


@pytest.mark.parametrize("cycles", [1080, 1500, 5000, 100_000])
def test_cycles_are_kept(cycles: int) -> None:
    model = cnn()
    folds = fold(model, FoldRequest(cycles=cycles))
    assert max(item.cycles for item in folds) <= cycles
    assert max(op.get_exp_cycles() for op in kernels_of(model)) == max(item.cycles for item in folds)


def test_target_rate_takes_the_cheapest_folding() -> None:
    def cost(entries: dict[str, dict[str, int | str]]) -> int:
        model = cnn()
        folds = fold(model, FoldRequest(fps=20_000, clock_mhz=50, layers=entries))
        assert all(item.cycles <= 2500 for item in folds)
        return sum(op.lut_estimation("") + 48 * op.bram_estimation("") for op in kernels_of(stitch(model)))

    # With conv1 folded otherwise, fast enough (12 x 12 x 72 / (PE SIMD) <= 2500), the accelerator costs as much or more.
    least = cost({})
    for pe, simd in ((1, 8), (2, 4), (3, 2), (12, 8)):
        assert cost({"conv1": {"pe": pe, "simd": simd}}) >= least


def test_explicit_values_are_taken_and_the_rest_keeps_up() -> None:
    folds = {item.name: item for item in fold(cnn(), FoldRequest(layers={"conv0": {"pe": 4, "simd": 3}}))}
    assert (folds["conv0"].pe, folds["conv0"].simd, folds["conv0"].cycles) == (4, 3, 2160)
    assert all(item.cycles <= 2160 for item in folds.values())


def test_window_and_argmax_follow_their_layer() -> None:
    model = cnn()
    fold(model, FoldRequest(layers={"conv1": {"pe": 3, "simd": 4}, "fc0": {"pe": 5, "simd": 16}, "pool0": {"simd": 2}}))
    ops = {op.name: op for op in kernels_of(model)}
    assert ops["conv1_window"].integer("SIMD") == 4
    assert ops["pool0_window"].integer("SIMD") == 2
    assert ops["argmax"].integer("PE") == 5
    assert all(prod(op.in_stream().shape) % op.in_stream().elems == 0 for op in ops.values())


@pytest.mark.parametrize(
    ("layer", "key", "value", "near"),
    [
        ("conv0", "simd", 9, "3"),  # a window's words must divide the 3 channels, 27 inputs or not
        ("conv1", "pe", 5, "4 or 6"),
        ("conv1", "simd", 3, "2 or 4"),
        ("fc0", "simd", 100, "72 or 144"),
        ("fc0", "pe", 0, "1"),
    ],
)
def test_illegal_values_name_the_nearest(layer: str, key: str, value: int, near: str) -> None:
    error = refusal(FoldRequest(layers={layer: {key: value}}))
    assert (error.code, error.where) == ("E304", f"fold.layers.{layer}.{key}")
    assert error.fix == f"The nearest legal values are {near}."


def test_kinds_of_memory() -> None:
    model = cnn()
    entries = {"conv1": {"weight_memory": "block", "threshold_memory": "lut"}, "fc0": {"weight_memory": "lut"}}
    fold(model, FoldRequest(cycles=5000, layers=entries))
    ops = {op.name: op for op in kernels_of(model)}
    assert ops["conv1"].rom_styles() == {"WeightStyle": 1, "ThresholdStyle": 2}
    assert ops["fc0"].rom_styles() == {"WeightStyle": 2}
    assert ops["fc0"].bram_estimation("") == 0
    error = refusal(FoldRequest(layers={"conv1": {"weight_memory": "uram"}}))
    assert (error.code, error.fix) == ("E304", "Give auto or block or lut.")
    assert (
        refusal(FoldRequest(layers={"fc0": {"threshold_memory": "lut"}})).code == "E303"
    )  # raw sums have no thresholds


def test_unknown_entries() -> None:
    error = refusal(FoldRequest(layers={"conv7": {"pe": 1}}))
    assert error.code == "E303"
    assert "conv0, pool0, conv1, fc0" in error.fix
    assert refusal(FoldRequest(layers={"pool0": {"pe": 1}})).code == "E303"
    assert refusal(FoldRequest(fps=0)).code == "E303"
    assert refusal(FoldRequest(fps=1, clock_mhz=-1)).code == "E303"


def test_unreachable_rate_names_layer_and_best_rate() -> None:
    # conv0 reads 9 taps of 120 pixels: 1080 cycles whatever its PE and SIMD, 100,000 frames a second at 108 MHz
    fold(cnn(), FoldRequest(fps=100_000, clock_mhz=108))
    error = refusal(FoldRequest(fps=100_001, clock_mhz=108))
    assert (error.code, error.where) == ("E305", "layer conv0")
    assert "best rate at this clock is 100000 frames" in error.fix


def test_explicit_value_that_is_too_slow_binds() -> None:
    error = refusal(FoldRequest(fps=10_000, clock_mhz=100, layers={"conv1": {"pe": 1, "simd": 1}}))
    assert (error.code, error.where) == ("E305", "layer conv1")
    assert "9645.06" in error.fix  # 100 MHz / 10,368 cycles
