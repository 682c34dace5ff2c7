"""The operators of the streamlined graph on values worked out by hand."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

from flipflow.export.finn.ops import DOMAIN, MaxMinPool, Threshold, Window, count_passed


def window(**values: Any) -> Window:
    return Window(helper.make_node("Window", ["x"], ["y"], domain=DOMAIN, **values))


def pool(**values: Any) -> MaxMinPool:
    return MaxMinPool(helper.make_node("MaxMinPool", ["x"], ["y"], domain=DOMAIN, **values))


@pytest.mark.parametrize(
    ("kind", "binary", "border"),
    [
        ("zero", False, 0),
        ("minus_one", False, -1),
        ("plus_one", False, 1),
        ("minus_one", True, 0),
        ("plus_one", True, 1),
    ],
)
def test_window_border_and_order(kind: str, binary: bool, border: float) -> None:
    """2x3 map of 2 channels, 2x2 kernel, one row of border on top, stride 1x2: rows are (ky, kx, c)."""
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2) + 10
    y = window(kernel=[2, 2], stride=[1, 2], pads=[1, 0, 0, 1], pad_kind=kind).compute(x, binary)
    b = border
    assert y.shape == (1, 2, 2, 8)
    assert y[0, 0, 0].tolist() == [b, b, b, b, 10, 11, 12, 13]
    assert y[0, 0, 1].tolist() == [b, b, b, b, 14, 15, b, b]
    assert y[0, 1, 0].tolist() == [10, 11, 12, 13, 16, 17, 18, 19]
    assert y[0, 1, 1].tolist() == [14, 15, b, b, 20, 21, b, b]


def test_pool_takes_the_minimum_where_told_and_ignores_the_border() -> None:
    x = np.array([[1, -5], [2, -6], [3, -7]], np.float32).reshape(1, 1, 3, 2)
    y = pool(kernel=[2, 2], stride=[2, 2], pads=[1, 1, 1, 1], ofm_dim=[1, 2], min_channels=[1]).compute(x)
    # columns: (border, 0) and (1, 2)
    assert y.reshape(2, 2).tolist() == [[1, -5], [3, -7]]


def test_pool_windows_may_reach_beyond_the_map() -> None:
    """ONNX' ceil_mode: 3 columns, kernel 2, stride 2 give 2 windows, the second of one column."""
    x = np.array([3, 1, -2], np.float32).reshape(1, 1, 3, 1)
    assert pool(kernel=[1, 2], stride=[1, 2], pads=[0, 0, 0, 0], ofm_dim=[1, 2]).compute(x).ravel().tolist() == [3, -2]


def test_threshold_inverts_falling_channels() -> None:
    node = helper.make_node(
        "Threshold", ["x", "t", "i"], ["y"], domain=DOMAIN, out_dtype="INT2", out_scale=1.0, out_bias=-2.0
    )
    x = np.array([[0, 0], [1, 1], [2, 2], [5, 5]], np.float32)
    level = np.array([[1, 2, 5], [1, 2, 5]], np.float32)
    y = Threshold(node).compute(x, level, np.array([0.0, 1.0], np.float32))
    assert y.tolist() == [[-2, 1], [-1, 0], [0, -1], [1, -2]]


@pytest.mark.parametrize("levels", [1, 3, 15])
def test_count_passed_is_the_number_of_thresholds_reached(levels: int) -> None:
    rng = np.random.default_rng(levels)
    level = np.sort(rng.integers(-5, 6, (3, levels)), axis=1).astype(np.float32)
    x = rng.integers(-7, 8, (4, 5, 3)).astype(np.float32)
    expected = [[[sum(x[i, j, c] >= t for t in level[c]) for c in range(3)] for j in range(5)] for i in range(4)]
    assert np.array_equal(count_passed(x, level), expected)
