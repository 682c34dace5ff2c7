"""Matrix-vector-threshold units with random contents; the expected values are plain integer dot products."""

from dataclasses import dataclass

import numpy as np
from kernel_cases import Case, mem, pack
from numpy.typing import NDArray
from spec_model import SkidSteps, mvtu_latency

from flipflow.sim.kernel_bench import Instance

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Unit:
    """Shape and arithmetic of a unit under test. extra: accumulator bits beyond the fewest that do. read: cycles of
    reading weights and word. rows, threshold_rows: words a row of
    the weights' memory, and of the thresholds'.
    """

    name: str
    mw: int
    mh: int
    simd: int
    pe: int
    act_bits: int = 1
    act_signed: bool = False
    act_bipolar: bool = True
    weight_bits: int = 1
    mask: bool = False
    thresholds: int = 1
    out_bits: int = 1
    out_bias: int = 0
    extra: int = 0
    read: int = 1
    rows: int = 0
    threshold_rows: int = 0
    mixed: bool = False
    vectors: int = 5

    @property
    def sf(self) -> int:
        return self.mw // self.simd

    @property
    def nf(self) -> int:
        return self.mh // self.pe

    @property
    def latency(self) -> int:
        """Cycles from a vector's last step to its last result."""
        return mvtu_latency(self.simd, self.act_bits, self.act_signed, self.act_bipolar, self.weight_bits, self.read)


def draw(rng: np.random.Generator, shape: tuple[int, ...], bits: int, signed: bool, bipolar: bool) -> Ints:
    if bipolar:
        return rng.choice(np.array([-1, 1]), shape)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    values = rng.integers(low, high, shape)
    values[rng.random(shape) < 0.2] = low  # extreme values often
    values[rng.random(shape) < 0.2] = high - 1
    return values


def to_bits(values: Ints, bipolar: bool) -> list[int]:
    """Bipolar values as bits (+1 is 1), others as they are."""
    return [int(value > 0) if bipolar else int(value) for value in values]


def fewest_bits(low: int, high: int) -> int:
    """Bits of the narrowest two's complement number that holds low..high."""
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


def case(unit: Unit, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    acts = draw(rng, (unit.vectors, unit.mw), unit.act_bits, unit.act_signed, unit.act_bipolar)
    acts[0] = acts[0].max()  # all +1, or all at the top
    weights = draw(rng, (unit.mh, unit.mw), unit.weight_bits, True, unit.weight_bits == 1)
    weights[0] = weights[0].max()
    real = np.ones((unit.vectors, unit.sf), dtype=bool)
    if unit.mask:
        real = rng.random(real.shape) < 0.6
        real[1] = False
    sums = np.where(np.repeat(real, unit.simd, axis=1), acts, 0) @ weights.T  # [vectors, mh]

    acc, low, high = domain(unit, sums)
    width = (high.bit_length() if not unit.mixed else fewest_bits(low, high)) + unit.extra
    lowest, highest = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if unit.mixed else (0, 2**width - 1)
    span = (max(lowest, low - 1), min(highest, high + 1) + 1)
    levels = np.sort(rng.integers(*span, (unit.mh, unit.thresholds)), axis=1)
    levels[rng.random(unit.mh) < 0.5] = np.sort(rng.choice(acc.ravel(), unit.thresholds))  # ties with real sums
    invert = rng.random(unit.mh) < 0.5
    if unit.thresholds:
        passed = (acc[:, :, None] >= levels[None]).sum(axis=2)
        out = unit.out_bias + np.where(invert, unit.thresholds - passed, passed)
    else:
        out = sums
    params, files = contents(unit, width, weights, levels, invert)
    in_width = unit.simd * unit.act_bits + unit.mask
    words = [
        pack(to_bits(acts[v, sf * unit.simd : (sf + 1) * unit.simd], unit.act_bipolar), unit.act_bits)
        | (int(real[v, sf]) << (in_width - 1) if unit.mask else 0)
        for v in range(unit.vectors)
        for sf in range(unit.sf)
    ]
    expected = [
        pack(out[v, nf * unit.pe : (nf + 1) * unit.pe].tolist(), unit.out_bits)
        for v in range(unit.vectors)
        for nf in range(unit.nf)
    ]
    module = "mixed_mvtu" if unit.mixed else "xnor_mvtu"
    instance = Instance(unit.name, module, params, in_width, unit.pe * unit.out_bits, files=files)
    steps = SkidSteps(unit.nf * unit.sf, unit.sf, unit.sf - 1, unit.sf, unit.latency)
    return Case(instance, words, expected, steps, registered=True)


def domain(unit: Unit, sums: Ints) -> tuple[Ints, int, int]:
    """What the thresholds see, and the range the accumulator must hold."""
    if unit.mixed:
        return sums, int(sums.min()), int(sums.max())
    if unit.mask:
        return sums + unit.mw, 0, 2 * unit.mw
    return (sums + unit.mw) // 2, 0, unit.mw


def contents(
    unit: Unit, width: int, weights: Ints, levels: Ints, invert: NDArray[np.bool_]
) -> tuple[dict[str, int | str], dict[str, str]]:
    """Parameters and memory files."""
    bipolar = unit.weight_bits == 1
    params: dict[str, int | str] = {"MW": unit.mw, "MH": unit.mh, "SIMD": unit.simd, "PE": unit.pe}
    params |= {"HasMask": int(unit.mask), "NumThresholds": unit.thresholds, "AccWidth": width}
    params |= {"OutBits": unit.out_bits, "OutBias": unit.out_bias, "WeightFile": f"{unit.name}_w.mem"}
    params |= {"ReadStages": unit.read, "WeightRow": unit.rows, "ThresholdRow": unit.threshold_rows}
    if unit.mixed:
        params |= {"ActBits": unit.act_bits, "ActSigned": int(unit.act_signed), "ActBipolar": int(unit.act_bipolar)}
        params |= {"WeightBits": unit.weight_bits}
    rows: list[int] = []
    for nf in range(unit.nf):
        block = weights[nf * unit.pe : (nf + 1) * unit.pe]
        for sf in range(unit.sf):
            part = block[:, sf * unit.simd : (sf + 1) * unit.simd].ravel()
            rows.append(pack(to_bits(part, bipolar), unit.weight_bits))
    files = cut(f"{unit.name}_w.mem", mem(rows), unit.rows)
    if unit.thresholds:
        params["ThresholdFile"] = f"{unit.name}_t.mem"
        files |= cut(f"{unit.name}_t.mem", threshold_mem(levels, invert, width, unit.pe), unit.threshold_rows)
    return params, files


def cut(file: str, text: str, row_words: int) -> dict[str, str]:
    """Files of a memory in rows of so many words, of the whole where that is 0."""
    if not row_words:
        return {file: text}
    lines = text.splitlines(keepends=True)
    starts = range(0, len(lines), row_words)
    return {f"row{row:02d}_{file}": "".join(lines[start : start + row_words]) for row, start in enumerate(starts)}


def threshold_mem(levels: Ints, invert: NDArray[np.bool_], width: int, pe: int) -> str:
    """Memory file of thresholds [channels, N]: a word for every PE channels, {invert, T_{N-1}, ..., T_0} each."""
    groups = [
        pack(row.tolist(), width) | int(flag) << (row.size * width) for row, flag in zip(levels, invert, strict=True)
    ]
    bits = 1 + levels.shape[1] * width
    return mem([pack(groups[i : i + pe], bits) for i in range(0, len(groups), pe)])
