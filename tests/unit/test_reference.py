"""The NumPy reference against explicit loops over pixels, taps and channels, which share nothing with it."""

import itertools

import numpy as np
import pytest

from flipflow.export.integer.net import ActType, Conv, IntegerNet, Linear, MaxPool, Operator, Threshold
from flipflow.sim import reference

SIGN = ActType(1, True, True, -1, 1)
CHANNELS = (1, 7, 8, 9, 31, 33, 63, 64, 65, 130)
BORDERS = {"none": 0, "zero": 0, "minus_one": -1, "plus_one": 1}


def kind(bits: int, signed: bool) -> ActType:
    low = -(2 ** (bits - 1)) if signed else 0
    return ActType(bits, signed, False, low, low + 2**bits - 1)


INTEGERS = ((kind(8, False), 1), (kind(4, True), 1), (kind(2, False), 3), (kind(8, True), 8))


def values(draw: np.random.Generator, act: ActType, *shape: int) -> np.ndarray:
    if act.bipolar:
        return draw.choice(np.array([-1, 1], np.int32), shape)
    return draw.integers(act.minimum, act.maximum + 1, shape).astype(np.int32)


def apply(op: Operator, images: np.ndarray) -> np.ndarray:
    """The output of one operator."""
    net = IntegerNet(SIGN, images.shape[1:], (op,), 1.0, 1)
    ((_, output),) = reference.layers(net, images)
    return output


def loop_conv(images: np.ndarray, op: Conv) -> np.ndarray:
    """Sums of products, tap by tap; a tap outside the map sees the border's value."""
    top, left, bottom, right = op.pads
    count, height, width, channels = images.shape
    filters, kernel_h, kernel_w, _ = op.weights.shape
    rows = (height + top + bottom - kernel_h) // op.stride[0] + 1
    columns = (width + left + right - kernel_w) // op.stride[1] + 1
    result = np.zeros((count, rows, columns, filters), np.int64)
    for n, row, column, f in np.ndindex(*result.shape):
        total = 0
        for ky, kx in itertools.product(range(kernel_h), range(kernel_w)):
            y, x = row * op.stride[0] + ky - top, column * op.stride[1] + kx - left
            for c in range(channels):
                inside = 0 <= y < height and 0 <= x < width
                total += int(op.weights[f, ky, kx, c]) * (int(images[n, y, x, c]) if inside else BORDERS[op.pad_kind])
        result[n, row, column, f] = total
    return result


def conv(  # noqa: PLR0917 - a convolution has so many
    draw: np.random.Generator,
    channels: int,
    act: ActType = SIGN,
    bits: int = 1,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    pad_kind: str = "none",
    domain: str = "sum",
) -> Conv:
    weights = values(draw, SIGN if bits == 1 else kind(bits, True), 2, *kernel, channels).astype(np.int16)
    return Conv("conv", weights, stride, pads, pad_kind, act, bits, bits == 1, domain)  # type: ignore[arg-type]


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("pad_kind", BORDERS)
def test_binary_convolutions(pad_kind: str, channels: int, draw: np.random.Generator) -> None:
    pads = (0, 0, 0, 0) if pad_kind == "none" else (1, 0, 2, 1)
    op = conv(draw, channels, kernel=(3, 2), pads=pads, pad_kind=pad_kind)
    images = values(draw, SIGN, 1, 4, 3, channels)
    sums = loop_conv(images, op)
    np.testing.assert_array_equal(apply(op, images), sums)
    if pad_kind != "zero":
        # p = (s + K) / 2 matching bits of K.
        counted = Conv(**{**vars(op), "domain": "popcount"})
        np.testing.assert_array_equal(apply(counted, images), (sums + 6 * channels) // 2)


@pytest.mark.parametrize("stride", [(1, 2), (2, 1), (3, 3), (5, 4)])
@pytest.mark.parametrize("pad_kind", BORDERS)
def test_strides_and_maps_that_are_not_square(
    pad_kind: str, stride: tuple[int, int], draw: np.random.Generator
) -> None:
    pads = (0, 0, 0, 0) if pad_kind == "none" else (2, 1, 0, 3)
    op = conv(draw, 5, kernel=(2, 4), stride=stride, pads=pads, pad_kind=pad_kind)
    images = values(draw, SIGN, 2, 6, 9, 5)
    np.testing.assert_array_equal(apply(op, images), loop_conv(images, op))


@pytest.mark.parametrize(
    ("act", "bits", "pad_kind"),
    [
        *((act, bits, border) for act, bits in INTEGERS for border in ("none", "zero")),
        *((SIGN, 4, border) for border in BORDERS),
    ],
)
def test_convolutions_of_k_bits(pad_kind: str, act: ActType, bits: int, draw: np.random.Generator) -> None:
    """Integer inputs pad with 0; a bipolar input of a layer with 4-bit weights with any border."""
    pads = (0, 0, 0, 0) if pad_kind == "none" else (1, 1, 1, 1)
    op = conv(draw, 3, act, bits, stride=(2, 1), pads=pads, pad_kind=pad_kind)
    images = values(draw, act, 2, 5, 4, 3)
    np.testing.assert_array_equal(apply(op, images), loop_conv(images, op))


def test_sums_beyond_float32() -> None:
    """1025 x 127 x 255 + 1 is over 2^24 and odd: a float32 sum would lose the 1."""
    weights = np.full((1, 1026), 127, np.int16)
    weights[0, -1] = 1
    images = np.full((1, 1026), 255, np.int32)
    images[0, -1] = 1
    op = Linear("linear", weights, kind(8, False), 8, False, "sum")
    assert apply(op, images).tolist() == [[1025 * 127 * 255 + 1]]


@pytest.mark.parametrize("fan_in", CHANNELS)
def test_linear_layers(fan_in: int, draw: np.random.Generator) -> None:
    images, weights = values(draw, SIGN, 3, fan_in), values(draw, SIGN, 4, fan_in)
    sums = [[sum(int(a) * int(w) for a, w in zip(image, row, strict=True)) for row in weights] for image in images]
    binary = Linear("linear", weights.astype(np.int16), SIGN, 1, True, "sum")
    assert apply(binary, images).tolist() == sums
    counted = Linear("linear", weights.astype(np.int16), SIGN, 1, True, "popcount")
    assert apply(counted, images).tolist() == [[(s + fan_in) // 2 for s in row] for row in sums]


def test_packed_bits_start_at_channel_0() -> None:
    """Channels 0, 3 and 8 of 9: 1 + 8 + 256. Channel 64 of 65 is bit 0 of the second word."""
    bits = np.zeros((1, 9), bool)
    bits[0, [0, 3, 8]] = True
    assert reference.pack(bits).tolist() == [[265]]
    assert reference.pack(bits[:, :8]).tolist() == [[9]]
    bits = np.zeros((1, 65), bool)
    bits[0, [1, 63, 64]] = True
    assert reference.pack(bits).tolist() == [[2 + 2**63, 1]]


def test_thresholds_with_and_without_inversion() -> None:
    """Levels 1, 3, 3 and 2-bit outputs: sums 0..3 pass 0 1 1 3; inverted 3 - that. The signed type starts at -2."""
    levels = np.array([[1, 3, 3], [1, 3, 3]], np.int32)
    sums = np.array([[0, 0], [1, 1], [2, 2], [3, 3]], np.int32)
    op = Threshold("threshold", levels, np.array([False, True]), kind(2, False))
    assert apply(op, sums).tolist() == [[0, 3], [1, 2], [1, 2], [3, 0]]
    signed = Threshold("threshold", levels, np.array([False, True]), kind(2, True))
    assert apply(signed, sums).tolist() == [[-2, 1], [-1, 0], [-1, 0], [1, -2]]
    sign = Threshold("threshold", levels[:, :1], np.array([False, True]), SIGN)
    assert apply(sign, sums).tolist() == [[-1, 1], [1, -1], [1, -1], [1, -1]]


@pytest.mark.parametrize("bits", [7, 8, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_widest_thresholds(bits: int, signed: bool) -> None:
    """Level i at sum i, so the sum itself comes out, up to the type's ends; and its complement where inverted."""
    output = kind(bits, signed)
    levels = np.tile(np.arange(1, output.levels + 1, dtype=np.int32), (2, 1))
    sums = np.array([[-5, -5], [0, 0], [1, 1], [2**bits - 1, 2**bits - 1], [2**bits + 7, 2**bits + 7]], np.int32)
    op = Threshold("threshold", levels, np.array([False, True]), output)
    clipped = np.clip(sums[:, 0], 0, 2**bits - 1)
    expected = np.stack([output.minimum + clipped, output.minimum + 2**bits - 1 - clipped], axis=1)
    assert apply(op, sums).tolist() == expected.tolist()


@pytest.mark.parametrize(("kernel", "stride", "pads"), [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (1, 2), (1, 0, 1, 1))])
@pytest.mark.parametrize("act", [SIGN, kind(3, True), kind(8, False)])
def test_pools(
    act: ActType,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: tuple[int, int, int, int],
    draw: np.random.Generator,
) -> None:
    """Maxima, and minima in channels 1 and 2; the border takes no part."""
    minimum = np.array([False, True, True, False])
    images = values(draw, act, 2, 5, 6, 4).astype(np.int16)
    rows = (5 + pads[0] + pads[2] - kernel[0]) // stride[0] + 1
    columns = (6 + pads[1] + pads[3] - kernel[1]) // stride[1] + 1
    expected = np.zeros((2, rows, columns, 4), np.int64)
    for n, row, column, c in np.ndindex(*expected.shape):
        ys = range(row * stride[0] - pads[0], row * stride[0] - pads[0] + kernel[0])
        xs = range(column * stride[1] - pads[1], column * stride[1] - pads[1] + kernel[1])
        seen = [int(images[n, y, x, c]) for y in ys for x in xs if 0 <= y < 5 and 0 <= x < 6]
        expected[n, row, column, c] = min(seen) if minimum[c] else max(seen)
    np.testing.assert_array_equal(apply(MaxPool("pool", kernel, stride, pads, minimum), images), expected)


def test_a_map_is_flattened_pixel_by_pixel_channels_first_within() -> None:
    """NHWC order: the weight that picks pixel (1, 0), channel 1 of 2 x 2 x 2 is number 1*4 + 0*2 + 1 = 5."""
    images = np.arange(8, dtype=np.int32).reshape(1, 2, 2, 2)
    weights = np.zeros((1, 8), np.int16)
    weights[0, 5] = 2
    op = Linear("linear", weights, kind(4, False), 3, False, "sum")
    assert apply(op, images).tolist() == [[2 * images[0, 1, 0, 1]]]


def test_ties_go_to_the_lowest_index() -> None:
    logits = np.array([[1, 3, 3, 0], [-2, -2, -2, -2], [0, 1, 2, 2]])
    assert reference.classify(logits).tolist() == [1, 0, 2]


def test_batches_and_no_images(draw: np.random.Generator) -> None:
    op = Linear("linear", values(draw, SIGN, 3, 9).astype(np.int16), SIGN, 1, True, "sum")
    net = IntegerNet(SIGN, (9,), (op,), 1.0, 3)
    images = values(draw, SIGN, 7, 9)
    one_by_one = np.concatenate([reference.run(net, image[None]) for image in images])
    np.testing.assert_array_equal(reference.run(net, images, batch=3), one_by_one)
    assert reference.run(net, images[:0]).shape == (0, 3)
