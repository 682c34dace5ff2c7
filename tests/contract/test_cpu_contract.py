"""Contract vectors through every instruction set of this machine, against the NumPy reference: equal to the last bit."""

import itertools

import numpy as np
import pytest

from flipflow.cpu import Engine, available_isas, compile_plan
from flipflow.cpu.lower import lower
from flipflow.cpu.writer import serialize
from flipflow.export.integer.net import NET_INPUT, ActType, Add, Conv, IntegerNet, Linear, MaxPool, Operator, Threshold
from flipflow.sim import reference
from tests.random_nets import SIGN, random_net

ISAS = available_isas()
FORMS = ("sums", "bits", "fixed", "residual", "residual bits")
CHANNELS = (1, 2, 3, 15, 17, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 191, 192, 193, 255, 256, 257)
PADDINGS = ("none", "zero", "minus_one", "plus_one")
BYTE = ActType(8, True, False, -128, 127)
PIXEL = ActType(8, False, False, 0, 255)
DEFAULT_NETS, SLOW_NETS, CHUNK = 250, 10_000, 25


def signs(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return (draw.integers(0, 2, shape) * 2 - 1).astype(np.int16)


def staircase(draw: np.random.Generator, channels: int, spread: float, act: ActType) -> Threshold:
    """About half of the values within reach; some channels fall, some never move."""
    gain = spread * draw.uniform(0.5, 2.0, (channels, 1)) / act.levels
    start = draw.normal(0.0, 0.4 * spread, (channels, 1)) - gain * act.levels / 2
    levels = np.ceil(start + gain * np.arange(act.levels)).astype(np.int32)
    levels[draw.random(channels) < 0.1] = 2**31 - 1
    return Threshold("act", levels, draw.random(channels) < 0.3, act)


def one_layer(draw: np.random.Generator, conv: Conv, size: tuple[int, int], form: str) -> IntegerNet:
    """A network in which `conv` runs in the given form; the result, or what signs of it add up to, are the logits."""
    shape = (*size, conv.weights.shape[3])
    spread = 2.0 * np.sqrt(conv.weights[0].size) * np.abs(conv.weights).mean() * np.hypot(conv.input.maximum, 1.0)
    operators: list[Operator] = [conv]
    wires: list[tuple[int, ...]] = [(NET_INPUT,)]
    channels = len(conv.weights)
    if form == "bits":
        operators.append(staircase(draw, channels, spread, SIGN))
        wires.append((0,))
    elif form != "sums":
        operators.append(staircase(draw, channels, spread, BYTE))
        wires.append((0,))
    if form.startswith("residual"):
        # The other operand: a 1x1 layer of the same input, on the same pixels.
        other = Conv(
            "other",
            signs(draw, channels, 1, 1, shape[2]),
            conv.stride,
            (0, 0, 0, 0),
            "none",
            conv.input,
            1,
            True,
            "sum",
        )
        place = len(operators)
        operators += [
            other,
            staircase(draw, channels, np.sqrt(shape[2]) * max(2, conv.input.maximum), BYTE),
            Add("add", BYTE),
        ]
        wires += [(NET_INPUT,), (place,), (1, place + 1)]
    if form == "residual bits":
        operators.append(staircase(draw, channels, 60.0, SIGN))
        wires.append((len(operators) - 2,))
    if form.endswith("bits"):
        probe = Conv("probe", signs(draw, 40, 1, 1, channels), (1, 1), (0, 0, 0, 0), "none", SIGN, 1, True, "sum")
        operators.append(probe)
        wires.append((len(operators) - 2,))
    return IntegerNet(conv.input, shape, tuple(operators), 1.0, 1, tuple(wires))


def check(net: IntegerNet, images: np.ndarray, note: str = "") -> None:
    """Every instruction set. What does not depend on one, lowering above all, is done once."""
    wanted = reference.run(net, images)
    program = lower(net)
    for isa in ISAS:
        found = Engine(serialize(program, net, isa), isa)(images)
        np.testing.assert_array_equal(found, wanted, f"{note} on {isa}")


def values(draw: np.random.Generator, act: ActType, *shape: int) -> np.ndarray:
    return signs(draw, *shape) if act.bipolar else draw.integers(act.minimum, act.maximum + 1, shape)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("act", [SIGN, PIXEL, BYTE], ids=["bits", "u8", "i8"])
def test_channels(act: ActType, form: str) -> None:
    """Input and output channels 1 to 257, 3x3, zero padding."""
    draw = np.random.default_rng(3)
    for channels, filters in zip(CHANNELS, (*CHANNELS[7:], *CHANNELS[:7]), strict=True):
        kernel = signs(draw, filters, 3, 3, channels)
        conv = Conv("conv", kernel, (1, 1), (1, 1, 1, 1), "zero", act, 1, True, "sum")
        check(one_layer(draw, conv, (3, 4), form), values(draw, act, 1, 3, 4, channels), f"{channels} to {filters}")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("weight_bits", [1, 8])
def test_windows(weight_bits: int, padding: str) -> None:
    """Kernels 1 to 7, strides 1 to 3, odd maps, pads on each side of their own."""
    draw = np.random.default_rng(4)
    for kernel, stride in itertools.product(range(1, 8), range(1, 4)):
        pads = tuple(int(p) for p in draw.integers(0, kernel, 4)) if padding != "none" and kernel > 1 else (0, 0, 0, 0)
        depth, size = int(draw.integers(1, 70)), (int(draw.integers(7, 12)), int(draw.integers(7, 12)))
        shape = (int(draw.integers(1, 70)), kernel, int(draw.integers(1, kernel + 1)), depth)
        weights = signs(draw, *shape) if weight_bits == 1 else draw.integers(-128, 128, shape).astype(np.int16)
        kind = padding if any(pads) else "none"
        strides = (stride, int(draw.integers(1, 4)))
        conv = Conv("conv", weights, strides, pads, kind, SIGN, weight_bits, weight_bits == 1, "sum")  # type: ignore[arg-type]
        form = str(draw.choice(["bits", "fixed"]) if kind.endswith("one") else draw.choice(["sums", "bits", "fixed"]))
        check(one_layer(draw, conv, size, form), signs(draw, 2, *size, depth), f"kernel {kernel}, stride {stride}")


@pytest.mark.parametrize("domain", ["sum", "popcount"])
def test_extreme_sums(domain: str) -> None:
    """All products +1 or all -1, thresholds at both ends of the reach and just beyond."""
    fan_in = 7 * 7 * 65
    levels = np.array([[-fan_in], [-fan_in + 1], [fan_in], [fan_in + 1]], np.int32)
    if domain == "popcount":
        levels = np.array([[0], [1], [fan_in], [fan_in + 1]], np.int32)
    for weight, pixel in itertools.product((-1, 1), (-1, 1)):
        weights = np.full((4, 7, 7, 65), weight, np.int16)
        conv = Conv("conv", weights, (1, 1), (0, 0, 0, 0), "none", SIGN, 1, True, domain)  # type: ignore[arg-type]
        act = Threshold("act", levels, np.zeros(4, bool), SIGN)
        probe = Linear("probe", np.array([[8, 4, 2, 1]], np.int16), SIGN, 5, False, "sum")
        binary_probe = Linear("probe", np.eye(4, dtype=np.int16) * 2 - 1, SIGN, 1, True, "sum")
        for last in (probe, binary_probe):
            net = IntegerNet(SIGN, (7, 7, 65), (conv, act, last), 1.0, len(last.weights))
            check(net, np.full((1, 7, 7, 65), pixel, np.int16), f"{weight} x {pixel}")


@pytest.mark.parametrize("filters", [16, 64, 70])
def test_fused_stem(filters: int) -> None:
    """An 8-bit layer, its activation and the max-pool behind it in one, with a sign of the result."""
    draw = np.random.default_rng(filters)
    weights = draw.integers(-127, 128, (filters, 7, 7, 3)).astype(np.int16)
    conv = Conv("stem", weights, (2, 2), (3, 3, 3, 3), "zero", PIXEL, 8, False, "sum")
    offsets = draw.integers(-20_000, 20_000, (filters, 1))
    levels = (np.arange(-127, 128) * 1024 + offsets).astype(np.int32)
    pool = MaxPool("pool", (3, 3), (2, 2), (1, 1, 1, 1), np.zeros(filters, bool))
    for sign in (False, True):
        operators: tuple[Operator, ...] = (conv, Threshold("act", levels, draw.random(filters) < 0.3, BYTE), pool)
        if sign:
            probe = Conv("probe", signs(draw, 9, 3, 3, filters), (1, 1), (1, 1, 1, 1), "zero", SIGN, 1, True, "sum")
            operators += (staircase(draw, filters, 80.0, SIGN), probe)
        net = IntegerNet(PIXEL, (23, 29, 3), operators, 1.0, 1)
        assert lower(net).ops[0].pool.kernel == (3, 3)
        check(net, draw.integers(0, 256, (2, 23, 29, 3)))


def check_random(seeds: range) -> None:
    for seed in seeds:
        check(*random_net(seed), f"seed {seed}")


@pytest.mark.parametrize("first", range(0, DEFAULT_NETS, CHUNK))
def test_random_nets(first: int) -> None:
    check_random(range(first, first + CHUNK))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(DEFAULT_NETS, SLOW_NETS, 10 * CHUNK))
def test_many_random_nets(first: int) -> None:
    check_random(range(first, min(first + 10 * CHUNK, SLOW_NETS)))


@pytest.mark.parametrize("first", range(20_000, 20_060, 20))
def test_results_do_not_depend_on_threads_nor_on_the_set_a_plan_was_written_for(first: int) -> None:
    for seed in range(first, first + 20):
        net, images = random_net(seed)
        wanted, program = reference.run(net, images), lower(net)
        plans = {isa: serialize(program, net, isa) for isa in ISAS}
        for written, run in itertools.product(ISAS, ISAS):
            plan = plans[written]
            for threads in (1, 2) if written == run else (1,):
                found = Engine(plan, run, threads)(images)
                np.testing.assert_array_equal(found, wanted, f"seed {seed}, {written} on {run}, {threads} threads")


@pytest.mark.parametrize("foreign", ["avx2", "avx512bw", "avx512", "neon", "neon_dot"])
def test_plans_written_for_other_machines_run_here(foreign: str) -> None:
    net, images = random_net(3)
    np.testing.assert_array_equal(Engine(compile_plan(net, foreign), "scalar")(images), reference.run(net, images))


@pytest.mark.parametrize("isa", ISAS)
def test_threads_share_large_layers(isa: str) -> None:
    """Maps of rows enough, and layers of channels enough, that the work is split both ways."""
    draw = np.random.default_rng(7)
    for size, channels, filters in (((40, 40), 64, 64), ((7, 7), 256, 320)):
        conv = Conv("conv", signs(draw, filters, 3, 3, channels), (1, 1), (1, 1, 1, 1), "zero", SIGN, 1, True, "sum")
        net = one_layer(draw, conv, size, "residual bits")
        images = signs(draw, 2, *size, channels)
        wanted = reference.run(net, images)
        for threads in (1, 2, 3):
            np.testing.assert_array_equal(Engine(net, isa, threads)(images), wanted)
