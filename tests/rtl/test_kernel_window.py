"""Sliding-window generator: windows by explicit loops, cycles by the row bookkeeping of its definition."""

from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import pytest
from kernel_cases import FREE, RUNS, Case, check, simulate
from spec_model import Window

from flipflow.sim.kernel_bench import Instance
from flipflow.sim.kernel_trace import Trace


@dataclass(frozen=True)
class Shape:
    """Geometry of a window generator; all pairs are (height, width). pad: top, left."""

    name: str
    ifm: tuple[int, int]
    kernel: tuple[int, int]
    ofm: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    folds: int = 1
    bits: int = 3
    mask: bool = False
    rows: int = 0
    frames: int = 3


def case(shape: Shape) -> Case:
    rng = np.random.default_rng(list(shape.name.encode()))
    pad_value = int(rng.integers(2**shape.bits))
    height, width = shape.ifm
    images = rng.integers(0, 2**shape.bits, (shape.frames, height, width, shape.folds))
    rows = shape.rows or max(shape.kernel[0] + shape.stride[0], 2 * shape.kernel[0])
    expected = []
    for image in images:
        for oy in range(shape.ofm[0]):
            for ox in range(shape.ofm[1]):
                for ky in range(shape.kernel[0]):
                    for kx in range(shape.kernel[1]):
                        y = oy * shape.stride[0] - shape.pad[0] + ky
                        x = ox * shape.stride[1] - shape.pad[1] + kx
                        inside = 0 <= y < height and 0 <= x < width
                        for cf in range(shape.folds):
                            word = int(image[y, x, cf]) if inside else pad_value
                            expected.append(word | int(shape.mask and inside) << shape.bits)
    # The padding at the start of a fourth frame needs no input.
    model = Window(shape.folds, shape.ifm, shape.kernel, shape.stride, shape.pad, shape.ofm, rows)
    surplus = [pad_value for _ in takewhile(lambda tap: model.is_pad(*tap[2:4]), model.taps())]
    params = {"Width": shape.bits, "WordsPerPixel": shape.folds, "IfmHeight": height, "IfmWidth": width}
    params |= {"KernelH": shape.kernel[0], "KernelW": shape.kernel[1], "StrideH": shape.stride[0]}
    params |= {"StrideW": shape.stride[1], "PadTop": shape.pad[0], "PadLeft": shape.pad[1]}
    params |= {"OfmHeight": shape.ofm[0], "OfmWidth": shape.ofm[1], "Rows": rows}
    params |= {"HasMask": int(shape.mask), "PadValue": pad_value}
    instance = Instance(shape.name, "window", params, shape.bits, shape.bits + shape.mask)
    return Case(instance, images.ravel().tolist(), expected, model, registered=True, surplus=surplus)


SHAPES = [
    Shape("valid3", (5, 6), (3, 3), (3, 4), folds=2),
    Shape("same3", (4, 5), (3, 3), (4, 5), pad=(1, 1), mask=True),
    Shape("same5", (3, 4), (5, 5), (3, 4), pad=(2, 2), folds=2, mask=True),
    Shape("pool2", (6, 4), (2, 2), (3, 2), stride=(2, 2)),
    Shape("pool2_odd", (5, 5), (2, 2), (2, 2), stride=(2, 2), folds=3),  # last row and column never needed
    Shape("pool3_ceil", (5, 5), (3, 3), (3, 3), stride=(2, 2), pad=(1, 1), mask=True),
    Shape("point", (3, 3), (1, 1), (3, 3)),
    Shape("single", (1, 1), (1, 1), (1, 1), bits=1),
    Shape("skip", (7, 7), (1, 1), (3, 3), stride=(3, 3), folds=2),  # strides larger than the kernel
    Shape("skip_rows", (9, 3), (2, 3), (2, 1), stride=(4, 1)),  # one output column; bottom rows dropped
    Shape("flat", (4, 9), (1, 3), (4, 4), stride=(1, 2), bits=8),
    Shape("tall", (8, 2), (4, 2), (3, 2), stride=(2, 1), pad=(0, 1)),
    Shape("uneven", (6, 5), (3, 2), (4, 3), stride=(2, 2), pad=(2, 1), mask=True),  # all sides padded differently
    Shape("all_pad_row", (2, 3), (2, 2), (5, 3), pad=(1, 0), mask=True),  # windows wholly below the image
    Shape("whole", (4, 4), (4, 4), (1, 1), folds=2),
    Shape("line", (1, 8), (1, 3), (1, 8), pad=(0, 1)),
    Shape("column", (8, 1), (3, 1), (8, 1), pad=(1, 0), bits=1),
    Shape("few_rows", (6, 4), (3, 3), (4, 2), rows=3),  # a ring of the fewest rows: slower, still right
    Shape("many_rows", (4, 3), (2, 2), (3, 2), rows=9),
]
CASES = [case(shape) for shape in SHAPES]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trace]]:
    return simulate(CASES, tmp_path_factory.mktemp("window"))


@pytest.mark.parametrize("item", CASES, ids=lambda item: item.name)
def test_window(item: Case, traces: dict[str, list[Trace]]) -> None:
    check(item, traces[item.name])


def test_latency_and_interval(traces: dict[str, list[Trace]]) -> None:
    """A 3x3 valid window, 2 folds, 5x6 image, in free flow: hand-counted first beat and interval.

    Word 29 of the image (row 2, column 2, fold 1, counted from 0) is the window's 18th and last. It is taken in cycle
    29, its step is in cycle 30 and its beat in cycle 32. A frame is 216 beats out and 60 words in: from the second
    frame on the reader never waits.
    """
    trace = traces["valid3"][RUNS.index(FREE)]
    assert trace.cycles[17] == 32
    assert trace.cycles[0] == 3  # word 0 is taken in cycle 0, read in 1, out in 3
    frame = 4 * 3 * 9 * 2
    assert trace.cycles[2 * frame + 5] - trace.cycles[frame + 5] == frame


def random_shape(rng: np.random.Generator, index: int) -> Shape:
    kernel, stride, ifm = (tuple(int(v) for v in rng.integers(1, high, 2)) for high in (5, 5, 9))
    pad = tuple(int(rng.integers(0, k)) for k in kernel)
    extra = rng.integers(0, 3, 2)  # padding below and to the right
    sizes = zip(ifm, pad, extra, kernel, stride, strict=True)
    ofm = tuple(max(1, (i + p + int(e) - k) // s + 1) for i, p, e, k, s in sizes)
    mask, folds = bool(rng.integers(2)), int(rng.integers(1, 4))
    return Shape(f"random{index}", ifm, kernel, ofm, stride, pad, folds, mask=mask)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_windows(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(2000 + seed)
    cases = [case(random_shape(rng, 100 * seed + index)) for index in range(40)]
    found = simulate(cases, tmp_path_factory.mktemp("random"))
    for item in cases:
        check(item, found[item.name])
