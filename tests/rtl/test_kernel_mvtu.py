"""Matrix-vector-threshold units: data against dot products, cycles against the definition of the step machine."""

import dataclasses

import numpy as np
import pytest
from kernel_cases import FREE, RUNS, Case, check, simulate
from mvtu_cases import Unit, case
from spec_model import mvtu_latency

from flipflow.hw.kernels.mvtu import popcount_stages
from flipflow.sim.kernel_trace import Trace

XNOR = [
    Unit("plain", 12, 6, 4, 3),
    Unit("whole", 5, 3, 5, 3),  # SF = NF = 1
    Unit("tiny", 1, 1, 1, 1),
    Unit("one_word", 7, 4, 7, 1),  # SF = 1; the largest sum fills the accumulator
    Unit("one_fold", 18, 5, 3, 5),  # NF = 1
    Unit("bitwise", 9, 3, 1, 1),
    Unit("raw", 16, 10, 8, 2, thresholds=0, out_bits=6),
    Unit("raw_odd", 15, 3, 5, 3, thresholds=0, out_bits=5),
    Unit("raw_mask", 12, 4, 3, 2, mask=True, thresholds=0, out_bits=5),
    Unit("mask", 18, 5, 3, 1, mask=True),
    Unit("mask_word", 8, 2, 8, 1, mask=True, extra=2),
    Unit("two_bits", 20, 6, 5, 2, thresholds=3, out_bits=2, out_bias=-2, extra=1),
    Unit("narrow", 9, 7, 3, 7, mask=True, thresholds=2, out_bits=2, out_bias=-1, extra=1),
    Unit("wide", 140, 8, 70, 4),
    Unit("full_tree", 64, 2, 32, 1),  # 31 in the tree, and one beside it
    Unit("odd_tree", 36, 2, 36, 2, mask=True),
    Unit("deep", 128, 1, 64, 1, thresholds=0, out_bits=9),
    Unit("late", 12, 6, 4, 3, read=2),
    Unit("late_whole", 5, 3, 5, 3, read=2),  # constants: only the word is later
    Unit("late_one_word", 7, 4, 7, 1, read=2),
    Unit("late_one_fold", 18, 5, 3, 5, read=2),
    Unit("two_rows", 16, 6, 4, 2, read=2, rows=8),  # 12 words
    Unit("threshold_rows", 6, 10, 3, 2, thresholds=2, out_bits=2, threshold_rows=2),  # 5 words
    Unit("odd_rows", 9, 9, 3, 3, thresholds=0, out_bits=5, read=2, rows=2),  # 9 words: the last row is a constant
    Unit("late_raw_mask", 12, 4, 3, 2, mask=True, thresholds=0, out_bits=5, read=2),
    Unit("late_mask", 18, 5, 3, 1, mask=True, thresholds=2, out_bits=2, read=2),
]
INT = Unit("", 1, 1, 1, 1, act_bipolar=False, mixed=True)
MIXED = [
    dataclasses.replace(INT, name="pixels", mw=27, mh=6, simd=3, pe=2, act_bits=8),
    dataclasses.replace(INT, name="nibbles", mw=10, mh=4, simd=5, pe=4, act_bits=4, act_signed=True, extra=3),
    dataclasses.replace(INT, name="bit_pairs", mw=9, mh=3, simd=9, pe=1, act_bits=2, thresholds=3, out_bits=2),
    dataclasses.replace(INT, name="logits", mw=12, mh=5, simd=4, pe=5, act_bits=8, thresholds=0, out_bits=13),
    dataclasses.replace(INT, name="products", mw=6, mh=4, simd=3, pe=2, act_bits=4, weight_bits=3, extra=1),
    dataclasses.replace(
        INT, name="signed_products", mw=6, mh=4, simd=2, pe=2, act_bits=5, act_signed=True, weight_bits=4
    ),
    dataclasses.replace(
        INT, name="unit_bits", mw=8, mh=3, simd=4, pe=1, weight_bits=4, thresholds=7, out_bits=3, out_bias=-4
    ),
    dataclasses.replace(INT, name="minus_bits", mw=4, mh=2, simd=2, pe=2, act_signed=True, weight_bits=3),
    Unit("weights4", 12, 6, 4, 3, weight_bits=4, mixed=True, thresholds=0, out_bits=8),
    Unit("weights4_mask", 12, 5, 3, 1, weight_bits=4, mixed=True, mask=True),
    Unit("bipolar_mask", 10, 4, 5, 2, mixed=True, mask=True, thresholds=0, out_bits=6),
    Unit("bipolar", 7, 2, 1, 2, mixed=True, extra=1),
    Unit("mixed_tiny", 1, 1, 1, 1, mixed=True),
    dataclasses.replace(INT, name="tree", mw=34, mh=2, simd=17, pe=2, act_bits=3),
    Unit("bipolar_tree", 32, 2, 16, 1, mixed=True, mask=True, thresholds=0, out_bits=7),
    dataclasses.replace(INT, name="late_pixels", mw=27, mh=6, simd=3, pe=2, act_bits=8, read=2),
    dataclasses.replace(INT, name="late_products", mw=6, mh=4, simd=3, pe=2, act_bits=4, weight_bits=3, read=2),
    Unit("rows_of_weights", 24, 22, 1, 1, weight_bits=2, mixed=True, read=2, rows=32),  # 528 words: 17 rows
    Unit("late_weights_mask", 12, 5, 3, 1, weight_bits=4, mixed=True, mask=True, read=2),
    Unit("late_bipolar_mask", 10, 4, 5, 2, mixed=True, mask=True, thresholds=0, out_bits=6, read=2),
]
CASES = [case(unit, seed) for seed, unit in enumerate(XNOR + MIXED)]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trace]]:
    return simulate(CASES, tmp_path_factory.mktemp("mvtu"))


@pytest.mark.parametrize("item", CASES, ids=lambda item: item.name)
def test_mvtu(item: Case, traces: dict[str, list[Trace]]) -> None:
    check(item, traces[item.name])


@pytest.mark.parametrize(("unit", "item"), list(zip(XNOR + MIXED, CASES, strict=True)), ids=lambda item: item.name)
def test_no_bubbles(unit: Unit, item: Case, traces: dict[str, list[Trace]]) -> None:
    """Freely flowing, a vector takes NF*SF cycles, its words enter one a cycle, results come `latency` cycles later."""
    trace = traces[item.name][RUNS.index(FREE)]
    fold = unit.nf * unit.sf
    starts = [vector * fold for vector in range(unit.vectors)]
    assert trace.accepted == [start + sf for start in starts for sf in range(unit.sf)]
    assert trace.cycles == [
        start + nf * unit.sf + unit.sf - 1 + unit.latency for start in starts for nf in range(unit.nf)
    ]


@pytest.mark.parametrize("simd", [*range(1, 140), 255, 256])
def test_stages_of_the_count(simd: int) -> None:
    assert 4 + popcount_stages(simd) == mvtu_latency(simd, 1, False, True, 1)


def random_unit(rng: np.random.Generator, index: int) -> Unit:
    simd, pe = (int(value) for value in rng.integers(1, 12, 2))
    sf, nf = (int(value) for value in rng.integers(1, 7, 2))
    unit = Unit(f"random{index}", sf * simd, nf * pe, simd, pe, mixed=bool(rng.integers(2)))
    bits = int(rng.integers(1, 4))
    count = int(rng.integers(2 ** (bits - 1), 2**bits))
    unit = dataclasses.replace(unit, thresholds=count, out_bits=bits, extra=int(rng.integers(3)), read=index % 2 + 1)
    if rng.integers(2):
        unit = dataclasses.replace(unit, out_bias=-(2 ** (bits - 1)) if bits > 1 else 0)
    if unit.mixed and rng.integers(2):
        act_bits, weight_bits = (int(value) for value in rng.integers(1, 6, 2))
        signed = bool(rng.integers(2))
        unit = dataclasses.replace(
            unit, act_bipolar=False, act_bits=act_bits, act_signed=signed, weight_bits=weight_bits
        )
    elif unit.mixed:
        unit = dataclasses.replace(unit, weight_bits=int(rng.integers(1, 6)))
    return dataclasses.replace(unit, mask=unit.act_bipolar and bool(rng.integers(2)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_mvtus(seed: int, tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(1000 + seed)
    cases = [case(random_unit(rng, index), 100 * seed + index) for index in range(40)]
    found = simulate(cases, tmp_path_factory.mktemp("random"))
    for item in cases:
        check(item, found[item.name])
