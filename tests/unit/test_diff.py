"""The first difference between two lists of taps, by hand."""

import numpy as np

from flipflow.sim.diff import first_difference

NAMES = ["input of conv_0", "input of linear_0", "logits"]


def taps() -> list[np.ndarray]:
    """A map [2, 3, 4, 5], a vector [2, 7] and logits [2, 3]."""
    return [np.arange(120).reshape(2, 3, 4, 5), np.arange(14).reshape(2, 7), np.arange(6).reshape(2, 3)]


def test_equal() -> None:
    assert first_difference(taps(), taps(), NAMES) is None


def test_first_place_in_a_map() -> None:
    """Image before row before column before channel: image 0, row 2, column 1, channel 4 is first of three.

    Its value is 0*60 + 2*20 + 1*5 + 4 = 49.
    """
    other = taps()
    other[0][1, 0, 0, 0] = -1
    other[0][0, 2, 1, 4] = -2
    other[0][0, 2, 3, 0] = -3
    assert first_difference(taps(), other, NAMES) == {
        "layer": "input of conv_0",
        "image": 0,
        "row": 2,
        "column": 1,
        "channel": 4,
        "values": [49, -2],
        "differing": 3,
        "elements": 120,
    }


def test_first_layer_comes_first() -> None:
    """The logits differ in image 0, the vector in image 1: the vector is earlier in the network."""
    other = taps()
    other[2][0, 0] = 9
    other[1][1, 6] = 9
    found = first_difference(other, taps(), NAMES)
    assert found is not None
    assert (found["layer"], found["image"], found["row"], found["column"]) == ("input of linear_0", 1, None, None)
    assert (found["channel"], found["values"], found["differing"], found["elements"]) == (6, [9, 13], 1, 14)


def test_flattened_and_map_are_the_same_tap() -> None:
    """One level flattens before it is tapped: NHWC against [N, K], compared in that order.

    Element 43 of image 1 is 60 + 43.
    """
    flat = taps()
    flat[0] = flat[0].reshape(2, 60)
    assert first_difference(taps(), flat, NAMES) is None
    flat[0][1, 43] = -1
    found = first_difference(taps(), flat, NAMES)
    assert found is not None
    assert (found["image"], found["row"], found["channel"], found["values"]) == (1, None, 43, [103, -1])


def test_values_of_other_types_are_plain_integers() -> None:
    one, other = taps(), taps()
    other[2] = other[2].astype(np.int16)
    other[2][0, 1] = 7
    found = first_difference(one, other, NAMES)
    assert found is not None
    assert all(type(found[key]) is int for key in ("image", "channel", "differing", "elements"))
    assert [type(value) for value in found["values"]] == [int, int]
