"""Kernels of residual networks: fork, sum of two streams, line, sums over taps, channels of zeros: data and cycles."""

import numpy as np
import pytest
from kernel_cases import FREE, RUNS, Case, check, pack, simulate
from mvtu_cases import draw
from spec_model import Fork, Join, Pad, Steps

from flipflow.sim.kernel_bench import Instance
from flipflow.sim.kernel_trace import Trace


def limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def fork(width: int, outputs: int) -> Case:
    rng = np.random.default_rng(width + outputs)
    words = [int.from_bytes(rng.bytes(-(-width // 8)), "little") % 2**width for _ in range(80)]
    params = {"Width": width, "Outputs": outputs}
    instance = Instance(f"fork{width}x{outputs}", "fork_stream", params, width, width, outs=outputs)
    return Case(instance, words, words, Fork(outputs), several=True)


def add(elems: int, a: tuple[int, bool], b: tuple[int, bool], out_bits: int, low: int, high: int) -> Case:
    name = f"add{elems}_{a[0]}{'us'[a[1]]}_{b[0]}{'us'[b[1]]}_to{out_bits}_{low}".replace("-", "m")
    rng = np.random.default_rng(list(name.encode()))
    values = [draw(rng, (90, elems), bits, signed, False) for bits, signed in (a, b)]
    for value, (bits, signed) in zip(values, (a, b), strict=True):  # both ends together
        value[0], value[1] = limits(bits, signed)
    sums = np.clip(values[0] + values[1], low, high)
    params = {"Elems": elems, "ABits": a[0], "BBits": b[0], "ASigned": int(a[1]), "BSigned": int(b[1])}
    params |= {"OutBits": out_bits, "Minimum": low, "Maximum": high}
    widths = elems * a[0], elems * b[0]
    instance = Instance(name, "residual_add", params, sum(widths), elems * out_bits, streams=widths)
    words = [[pack(row.tolist(), bits) for row in value] for value, (bits, _) in zip(values, (a, b), strict=True)]
    expected = [pack(row.tolist(), out_bits) for row in sums]
    return Case(instance, words[0], expected, Join(1), more=words[1:], several=True)


def line(
    pe: int, folds: int, x: tuple[int, bool], widths: tuple[int, int], shift: int, out: tuple[int, int, int],
    *, even: bool = False, unit: bool = False, style: int = 0,
) -> Case:  # fmt: skip
    """x: bits and sign of an element; widths: bits of factor and offset; out: bits, minimum, maximum of a result."""
    (bits, signed), (out_bits, low, high) = x, out
    name = f"line{pe}x{folds}_{bits}{'us'[signed]}_{widths[0]}_{shift}{'e' * even}{'1' * unit}"
    rng = np.random.default_rng(list(name.encode()))
    factor, offset = (rng.integers(limits(width, True)[0], limits(width, True)[1] + 1, folds * pe) for width in widths)
    values = draw(rng, (40, folds * pe), bits, signed, False)
    values[0], values[1] = limits(bits, signed)
    if even:  # many ties
        factor = factor // 2 ** (widths[0] - 2) * (1 << max(0, shift - 2))
        offset = offset >> max(0, shift - 1) << max(0, shift - 1)
    factor = np.ones_like(factor) if unit else factor
    sums = factor * values + offset
    quotient = [[int(total) // 2**shift for total in row] for row in sums]
    if even:
        quotient = [[q - (q % 2) * (int(t) % 2**shift == 0) for q, t in zip(*rows, strict=True)]
                    for rows in zip(quotient, sums, strict=True)]  # fmt: skip
    results = np.clip(np.array(quotient), low, high)
    most = max(abs(int(factor[c]) * end + int(offset[c])) for c in range(folds * pe) for end in limits(bits, signed))
    acc = max(most.bit_length() + 1, widths[1], shift + 1 + even)
    fields = [
        pack([int(factor[c])], widths[0]) | pack([int(offset[c])], widths[1]) << widths[0] for c in range(folds * pe)
    ]
    lines = [sum(fields[nf * pe + p] << (p * sum(widths)) for p in range(pe)) for nf in range(folds)]
    params: dict[str, int | str] = {
        "PE": pe, "NF": folds, "InBits": bits, "Signed": int(signed), "FactorBits": widths[0], "OffsetBits": widths[1],
        "AccWidth": acc, "Shift": shift, "Even": int(even),
        "UnitFactor": int(unit), "OutBits": out_bits, "Minimum": low, "Maximum": high,
        "LineFile": f"{name}.mem", "LineStyle": style,
    }  # fmt: skip
    cut = range(0, folds * pe, pe)
    words = [pack(row[i : i + pe].tolist(), bits) for row in values for i in cut]
    expected = [pack(row[i : i + pe].tolist(), out_bits) for row in results for i in cut]
    latency = 5 + (not unit and (bits + (not signed) > 18 or widths[0] > 18))
    files = {f"{name}.mem": "".join(f"{word:x}\n" for word in lines)}
    instance = Instance(name, "requantize", params, pe * bits, pe * out_bits, files=files)
    return Case(instance, words, expected, Steps(1, 1, 0, 1, latency=latency))


def sums(elems: int, bits: int, signed: bool, taps: int, folds: int, sum_bits: int) -> Case:
    name = f"sum{elems}x{bits}{'us'[signed]}_{taps}_{folds}"
    rng = np.random.default_rng(list(name.encode()))
    values = draw(rng, (6, taps, folds, elems), bits, signed, False)
    values[0], values[1] = limits(bits, signed)
    words = [pack(word.tolist(), bits) for word in values.reshape(-1, elems)]
    expected = [pack(word.tolist(), sum_bits) for word in values.sum(axis=1).reshape(-1, elems)]
    params = {"Elems": elems, "ElemBits": bits, "Signed": int(signed), "Taps": taps, "WordsPerPixel": folds}
    instance = Instance(name, "sum_pool", {**params, "SumBits": sum_bits}, elems * bits, elems * sum_bits)
    return Case(instance, words, expected, Steps(taps * folds, taps * folds, (taps - 1) * folds, 1, latency=1))


def zeros(width: int, before: int, through: int, after: int) -> Case:
    rng = np.random.default_rng(width)
    pixels = rng.integers(1, 1 << width, (20, through))
    expected = [word for pixel in pixels.tolist() for word in (*[0] * before, *pixel, *[0] * after)]
    params = {"Width": width, "Before": before, "Pass": through, "After": after}
    instance = Instance(f"zeros{width}_{before}_{through}_{after}", "channel_pad", params, width, width)
    return Case(instance, pixels.ravel().tolist(), expected, Pad(before, through, after), surplus=[0] * before)


CASES = [
    fork(8, 1),
    fork(1, 2),
    fork(5, 4),
    add(1, (8, True), (8, True), 8, -128, 127),
    add(3, (8, True), (9, True), 8, -128, 127),
    add(2, (4, False), (6, True), 7, -64, 63),
    add(1, (4, True), (4, True), 5, -16, 15),
    add(2, (3, False), (3, False), 3, 0, 7),
    add(1, (8, True), (5, False), 8, -100, 90),
    add(1, (6, True), (6, True), 4, 3, 14),
    line(1, 1, (8, True), (9, 12), 6, (8, -128, 127)),
    line(2, 3, (8, True), (12, 14), 8, (9, -256, 255), style=1),
    line(3, 2, (10, False), (8, 20), 10, (8, 0, 255), style=2),
    line(1, 5, (4, True), (3, 8), 0, (6, -20, 17)),
    line(1, 2, (18, True), (23, 38), 28, (8, -128, 127)),
    line(1, 1, (30, True), (30, 20), 29, (30, -(2**29), 2**29 - 1)),
    line(2, 1, (18, False), (18, 20), 17, (12, -2048, 2047)),
    line(2, 2, (10, True), (5, 12), 4, (8, -128, 127), even=True),
    line(1, 3, (10, True), (3, 4), 1, (9, -256, 255), even=True),
    line(1, 2, (8, False), (4, 9), 3, (5, -12, 11), even=True),
    line(3, 1, (10, True), (2, 3), 2, (8, -128, 127), even=True, unit=True),
    sums(1, 8, True, 4, 1, 10),
    sums(3, 4, False, 9, 2, 8),
    sums(2, 5, True, 6, 5, 8),
    sums(1, 4, True, 3, 16, 6),
    sums(2, 4, True, 3, 17, 6),
    sums(1, 3, False, 1, 3, 3),
    sums(1, 1, False, 64, 4, 7),
    zeros(4, 1, 2, 3),
    zeros(8, 0, 1, 1),
    zeros(3, 2, 3, 0),
    zeros(6, 0, 2, 0),
]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trace]]:
    return simulate(CASES, tmp_path_factory.mktemp("residual"))


@pytest.mark.parametrize("item", CASES, ids=lambda item: item.name)
def test_residual_kernel(item: Case, traces: dict[str, list[Trace]]) -> None:
    check(item, traces[item.name])


def test_one_word_a_cycle(traces: dict[str, list[Trace]]) -> None:
    """In free flow fork, sum and line take a word every cycle and give it 1, 1 and 5 cycles later."""
    free = RUNS.index(FREE)
    for name, latency in (("fork5x4", 1), ("add1_8s_8s_to8_m128", 1), ("line2x3_8s_12_8", 5)):
        trace = traces[name][free]
        for source in trace.sources:
            assert source.accepted == list(range(len(source.accepted)))
            assert len(source.accepted) >= 80
        for sink in trace.sinks:
            assert sink.cycles == [cycle + latency for cycle in trace.sources[0].accepted]
