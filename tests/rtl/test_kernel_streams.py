"""FIFO, width converter, pooling, thresholds and arg-max: data and cycles, with and without stalls."""

import numpy as np
import pytest
from kernel_cases import FREE, RUNS, Case, check, mem, pack, simulate
from mvtu_cases import draw, threshold_mem
from spec_model import Fifo, Gearbox, Steps

from flipflow.sim.kernel_bench import Instance
from flipflow.sim.kernel_trace import Trace


def fifo(width: int, depth: int) -> Case:
    rng = np.random.default_rng(width * 1000 + depth)
    words = [int.from_bytes(rng.bytes(-(-width // 8)), "little") % 2**width for _ in range(60 + 2 * depth)]
    params = {"Width": width, "Depth": depth}
    instance = Instance(f"fifo{width}x{depth}", "fifo", params, width, width, status=("full_o", "empty_o"))
    return Case(instance, words, words, Fifo(depth), registered=True)


def converter(bits: int, in_elems: int, out_elems: int) -> Case:
    rng = np.random.default_rng(in_elems * 100 + out_elems)
    elems = rng.integers(0, 2**bits, 4 * in_elems * out_elems).tolist()
    words = [pack(elems[i : i + in_elems], bits) for i in range(0, len(elems), in_elems)]
    expected = [pack(elems[i : i + out_elems], bits) for i in range(0, len(elems), out_elems)]
    params = {"ElemWidth": bits, "InElems": in_elems, "OutElems": out_elems}
    name = f"convert{bits}b_{in_elems}to{out_elems}"
    instance = Instance(name, "width_converter", params, bits * in_elems, bits * out_elems)
    return Case(instance, words, expected, Gearbox(in_elems, out_elems), registered=True)


def pool(
    elems: int, bits: int, signed: bool, taps: int, folds: int, *, mask: bool = False, use_min: bool = False
) -> Case:
    windows = 6
    name = f"pool{elems}x{bits}{'s' if signed else 'u'}_{taps}_{folds}{'m' * mask}{'n' * use_min}"
    rng = np.random.default_rng(list(name.encode()))
    values = draw(rng, (windows, taps, folds, elems), bits, signed, False)
    real = rng.random((windows, taps, folds)) < 0.6 if mask else np.ones((windows, taps, folds), dtype=bool)
    if mask:
        real[0] = False  # nothing but padding
    smallest = rng.random((folds, elems)) < 0.5 if use_min else np.zeros((folds, elems), dtype=bool)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    words, expected = [], []
    for w in range(windows):
        for tap in range(taps):
            for cf in range(folds):
                words.append(pack(values[w, tap, cf].tolist(), bits) | int(mask and real[w, tap, cf]) << (elems * bits))
        for cf in range(folds):
            out = []
            for e in range(elems):
                seen = [int(values[w, tap, cf, e]) for tap in range(taps) if real[w, tap, cf]]
                out.append(min([*seen, high]) if smallest[cf, e] else max([*seen, low]))
            expected.append(pack(out, bits))
    params = {"Elems": elems, "ElemBits": bits, "Signed": int(signed), "Taps": taps, "WordsPerPixel": folds}
    params |= {"HasMask": int(mask), "MinMask": pack(smallest.ravel().astype(int).tolist(), 1)}
    instance = Instance(name, "pool", params, elems * bits + mask, elems * bits)
    return Case(instance, words, expected, Steps(taps * folds, taps * folds, (taps - 1) * folds, 1, latency=1))


def threshold(
    pe: int, folds: int, bits: int, signed: bool, *, count: int, out_bits: int, bias: int = 0, extra: int = 0
) -> Case:
    name = f"threshold{pe}x{folds}_{bits}{'s' if signed else 'u'}_{count}"
    rng = np.random.default_rng(list(name.encode()))
    values = draw(rng, (12, folds * pe), bits, signed, False)
    width = bits + extra
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1)) if signed else (0, 2**width)
    levels = np.sort(rng.integers(low, high, (folds * pe, count)), axis=1)
    invert = rng.random(folds * pe) < 0.5
    passed = np.array([[sum(int(v) >= t for t in levels[c]) for c, v in enumerate(pixel)] for pixel in values])
    out = bias + np.where(invert, count - passed, passed)
    cut = range(0, folds * pe, pe)
    words = [pack(pixel[i : i + pe].tolist(), bits) for pixel in values for i in cut]
    expected = [pack(pixel[i : i + pe].tolist(), out_bits) for pixel in out for i in cut]
    params: dict[str, int | str] = {"PE": pe, "NF": folds, "InBits": bits, "Signed": int(signed), "N": count}
    params |= {"OutBits": out_bits, "OutBias": bias, "AccWidth": width, "ThresholdFile": f"{name}.mem"}
    files = {f"{name}.mem": threshold_mem(levels, invert, width, pe)}
    instance = Instance(name, "threshold", params, pe * bits, pe * out_bits, files=files)
    return Case(instance, words, expected, Steps(1, 1, 0, 1, latency=2))


def argmax(pe: int, folds: int, bits: int) -> Case:
    rng = np.random.default_rng(pe * 100 + folds)
    frames = rng.integers(-2, 2, (12, folds * pe))  # few values: many ties
    frames[::2] = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), frames[::2].shape)
    class_bits = max(1, (pe * folds - 1).bit_length())
    words, expected = [], []
    for frame in frames:
        for nf in range(folds):
            logits = pack(frame[nf * pe : (nf + 1) * pe].tolist(), bits)
            best = frame[: (nf + 1) * pe].tolist()
            label = best.index(max(best))
            words.append(logits)
            expected.append(logits | (label | int(nf == folds - 1) << class_bits) << (pe * bits))
    params = {"PE": pe, "NF": folds, "Width": bits}
    instance = Instance(f"argmax{pe}x{folds}", "argmax", params, pe * bits, pe * bits + class_bits, ("out_last_o",))
    # One stage for the frame, one for each level of the tree over PE logits.
    latency = 1 + {1: 0, 2: 1, 3: 2, 5: 3, 10: 4, 17: 5}[pe]
    return Case(instance, words, expected, Steps(1, 1, 0, 1, latency=latency))


FIFOS = 7
CASES = [
    *(fifo(width, depth) for width, depth in ((8, 2), (1, 3), (33, 16), (6, 27), (5, 33), (4, 64), (5, 70))),
    *(converter(1, *ratio) for ratio in ((3, 5), (1, 7), (4, 4), (8, 64), (5, 13), (2, 1), (1, 2), (12, 3), (8, 1))),
    *(converter(*ratio) for ratio in ((2, 12, 8), (4, 6, 1), (3, 1, 1))),
    pool(3, 1, False, 4, 1),
    pool(1, 1, False, 1, 1),
    pool(4, 1, False, 9, 3, mask=True, use_min=True),
    pool(2, 4, True, 4, 2, mask=True, use_min=True),
    pool(3, 3, False, 6, 5, mask=True),
    pool(2, 5, True, 2, 1, use_min=True),
    threshold(1, 1, 1, False, count=1, out_bits=1),
    threshold(3, 4, 6, True, count=7, out_bits=3, bias=-4, extra=1),
    threshold(2, 1, 8, False, count=3, out_bits=2),
    threshold(1, 5, 4, True, count=2, out_bits=2, bias=-1),
    argmax(1, 1, 4),
    argmax(10, 1, 9),
    argmax(1, 10, 9),
    argmax(3, 3, 6),
    argmax(5, 2, 3),
    argmax(17, 1, 4),
    argmax(2, 4, 5),
]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trace]]:
    return simulate(CASES, tmp_path_factory.mktemp("streams"))


@pytest.mark.parametrize("item", CASES, ids=lambda item: item.name)
def test_stream_kernel(item: Case, traces: dict[str, list[Trace]]) -> None:
    check(item, traces[item.name])


def test_one_word_a_cycle(traces: dict[str, list[Trace]]) -> None:
    """In free flow FIFO, thresholds and arg-max take a word every cycle and give it 1, 2 and 3 cycles later."""
    free = RUNS.index(FREE)
    for item, latency in (
        (fifo(8, 2), 1),
        (fifo(5, 70), 1),
        (threshold(3, 4, 6, True, count=7, out_bits=3), 2),
        (argmax(3, 3, 6), 3),
    ):
        trace = traces[item.name][free]
        assert trace.accepted == list(range(len(item.words)))
        assert trace.cycles == [cycle + latency for cycle in trace.accepted]


@pytest.mark.parametrize("item", CASES[:FIFOS], ids=lambda item: item.name)
def test_fifo_status(item: Case, traces: dict[str, list[Trace]]) -> None:
    """full_o and empty_o (bits 0 and 1) say in every cycle whether Depth words and no word are held."""
    depth = item.instance.params["Depth"]
    for trace in traces[item.name]:
        held = 0
        for cycle, status in enumerate(trace.status):
            assert status == (held == depth) + 2 * (held == 0)
            held += (cycle in trace.accepted) - (cycle in trace.cycles)


@pytest.mark.slow
def test_many_converters(tmp_path_factory: pytest.TempPathFactory) -> None:
    cases = [converter(1, i, o) for i in range(1, 10) for o in range(1, 10)]
    found = simulate(cases, tmp_path_factory.mktemp("converters"))
    for item in cases:
        check(item, found[item.name])


def test_mem_format() -> None:
    assert mem([10, 255]) == "a\nff\n"
