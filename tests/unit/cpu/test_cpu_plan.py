"""Plans: what is fused, where tensors lie, what the file says byte by byte, and files that are refused."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from flipflow.cpu import Engine, compile_plan, write_plan
from flipflow.cpu.arena import lifetimes, place
from flipflow.cpu.lower import lower
from flipflow.cpu.program import NONE, Form, OpKind
from flipflow.cpu.writer import _Blobs
from flipflow.errors import FlipflowError
from flipflow.export.integer.net import ActType, Add, Conv, IntegerNet, Linear, MaxPool, Threshold
from flipflow.sim import reference
from tests.random_nets import SIGN, random_net

BYTE = ActType(8, True, False, -128, 127)
TWO_BITS = ActType(2, False, False, 0, 3)


def sign_weights(*shape: int) -> np.ndarray:
    return (np.random.default_rng(1).integers(0, 2, shape) * 2 - 1).astype(np.int16)


def conv(name: str, channels: int, depth: int, kind: ActType = SIGN, pad: str = "zero") -> Conv:
    pads = (1, 1, 1, 1)
    return Conv(name, sign_weights(channels, 3, 3, depth), (1, 1), pads, pad, kind, 1, True, "sum")  # type: ignore[arg-type]


def sign(name: str, channels: int) -> Threshold:
    return Threshold(name, np.zeros((channels, 1), np.int32), np.zeros(channels, bool), SIGN)


def two_bits(name: str, channels: int) -> Threshold:
    return Threshold(name, np.tile(np.array([-4, 0, 4], np.int32), (channels, 1)), np.zeros(channels, bool), TWO_BITS)


def chain(*operators: object, wires: tuple[tuple[int, ...], ...] = ()) -> IntegerNet:
    return IntegerNet(SIGN, (4, 4, 5), operators, 0.25, 1, wires)  # type: ignore[arg-type]


def kinds(net: IntegerNet) -> list[str]:
    return [f"{op.kind.name} {op.form.name}" if "CONV" in op.kind.name else op.kind.name for op in lower(net).ops]


# --- fusion ---


def test_a_sign_joins_its_layer() -> None:
    net = chain(conv("a", 7, 5), sign("s", 7), conv("b", 3, 7))
    assert kinds(net) == ["THRESHOLD_BITS", "BINARY_CONV BITS", "BINARY_CONV SUMS"]
    assert not lower(net).unfused


def test_a_residual_joins_the_later_layer_and_a_sign_the_sum() -> None:
    """Two residual additions; the first sum is needed again, the last only as bits."""
    net = chain(
        conv("a", 5, 5), two_bits("t0", 5), sign("s0", 5), conv("b", 5, 5), two_bits("t1", 5), Add("add0", BYTE),
        sign("s1", 5), conv("c", 5, 5), two_bits("t2", 5), Add("add1", BYTE), sign("s2", 5), conv("d", 3, 5),
        wires=((-1,), (0,), (1,), (2,), (3,), (4, 1), (5,), (6,), (7,), (5, 8), (9,), (10,)),
    )  # fmt: skip
    program = lower(net)
    convs = [op for op in program.ops if op.kind is OpKind.BINARY_CONV]
    assert [op.form for op in convs] == [Form.FIXED, Form.FIXED, Form.FIXED, Form.SUMS]
    assert [op.inputs[1] != NONE for op in convs] == [False, True, True, False]
    assert [op.outputs[0] != NONE for op in convs] == [True, True, False, True]
    assert [op.outputs[1] != NONE for op in convs] == [True, True, True, False]
    assert not program.unfused
    offsets, _ = place(program)
    assert offsets[convs[1].outputs[0]] == offsets[convs[1].inputs[1]], "the residual is updated in place"


def test_a_second_sign_of_the_same_sum_is_an_operator_of_its_own() -> None:
    net = chain(
        conv("a", 5, 5), two_bits("t", 5), sign("s0", 5), conv("b", 4, 5), sign("s1", 5), conv("c", 4, 5),
        two_bits("t1", 4), two_bits("t2", 4), Add("add", BYTE),
        wires=((-1,), (0,), (1,), (2,), (1,), (4,), (3,), (5,), (6, 7)),
    )  # fmt: skip
    program = lower(net)
    assert [op.name for op in program.ops if op.kind is OpKind.THRESHOLD_BITS] == ["input", "s1"]
    images = np.random.default_rng(0).choice(np.array([-1, 1]), (2, 4, 4, 5))
    np.testing.assert_array_equal(Engine(net)(images), reference.run(net, images))


def test_what_no_line_fits_runs_level_by_level() -> None:
    bent = Threshold("t", np.tile(np.array([-9, -8, 20], np.int32), (4, 1)), np.zeros(4, bool), TWO_BITS)
    assert kinds(chain(conv("a", 4, 5), bent, conv("b", 2, 4, TWO_BITS))) == [
        "THRESHOLD_BITS", "BINARY_CONV SUMS", "THRESHOLD_INTS", "INTEGER_CONV SUMS",
    ]  # fmt: skip


def test_an_engine_says_where_thresholds_have_no_line() -> None:
    bent = Threshold("t", np.tile(np.array([-9, -8, 20], np.int32), (4, 1)), np.zeros(4, bool), TWO_BITS)
    net = chain(conv("a", 4, 5), bent, conv("b", 2, 4, TWO_BITS))
    (reason,) = Engine(net).describe().fallbacks
    assert reason.startswith("t: ") and "32 bits" in reason
    images = np.random.default_rng(0).choice(np.array([-1, 1]), (2, 4, 4, 5))
    np.testing.assert_array_equal(Engine(net)(images), reference.run(net, images))


@pytest.mark.parametrize("border", ["minus_one", "plus_one"])
def test_wide_sums_over_a_constant_border(border: str) -> None:
    """Beyond 16 bits, and taken by no threshold: the border's share is added behind the raw sums."""
    weights = np.random.default_rng(2).integers(-200, 2048, (5, 3, 3, 7)).astype(np.int16)
    wide = Conv("a", weights, (1, 1), (1, 1, 1, 1), border, SIGN, 12, False, "sum")  # type: ignore[arg-type]
    net = IntegerNet(SIGN, (4, 4, 7), (wide,), 1.0, 80)
    assert kinds(net)[-2:] == ["INTEGER_CONV SUMS", "FIXED_INTS"]
    images = np.random.default_rng(0).choice(np.array([-1, 1]), (4, 4, 4, 7))
    images[0] = 1
    wanted = reference.run(net, images)
    assert np.abs(wanted).max() > 2**15
    np.testing.assert_array_equal(Engine(net)(images), wanted)


def test_pools_join_where_no_channel_takes_the_minimum() -> None:
    pool = MaxPool("p", (2, 2), (2, 2), (0, 0, 0, 0), np.zeros(4, bool))
    net = IntegerNet(BYTE, (6, 6, 3), (conv("a", 4, 3, BYTE), two_bits("t", 4), pool), 1.0, 1)
    assert kinds(net) == ["INTEGER_CONV FIXED", "SUM_POOL"]
    mixed = MaxPool("p", (2, 2), (2, 2), (0, 0, 0, 0), np.arange(4) == 1)
    net = IntegerNet(BYTE, (6, 6, 3), (conv("a", 4, 3, BYTE), two_bits("t", 4), mixed), 1.0, 1)
    assert kinds(net) == ["INTEGER_CONV FIXED", "INT_POOL", "SUM_POOL"]


def test_wide_weights_on_signs_keep_the_border() -> None:
    """-1 around the map becomes 0 around a map of 0 and 1."""
    weights = np.arange(-18, 18).reshape(2, 3, 3, 2).astype(np.int16)
    for border in ("minus_one", "plus_one"):
        wide = Conv("a", weights, (1, 1), (1, 1, 1, 1), border, SIGN, 6, False, "sum")  # type: ignore[arg-type]
        net = IntegerNet(SIGN, (3, 3, 2), (wide, two_bits("t", 2)), 1.0, 1)
        images = np.random.default_rng(0).choice(np.array([-1, 1]), (4, 3, 3, 2))
        np.testing.assert_array_equal(Engine(net)(images), reference.run(net, images))


def test_too_many_bits_are_refused() -> None:
    act = ActType(17, True, False, -(2**16), 2**16 - 1)
    fc = Linear("fc", np.ones((2, 3), np.int16), act, 8, False, "sum")
    with pytest.raises(FlipflowError, match="E551"):
        lower(IntegerNet(act, (3,), (fc,), 1.0, 2))


# --- arena ---


@pytest.mark.parametrize("seed", range(40))
def test_nothing_that_lives_at_once_overlaps(seed: int) -> None:
    program = lower(random_net(seed)[0])
    offsets, total = place(program)
    lives = lifetimes(program)
    assert all(offset % 64 == 0 for offset in offsets)
    for a, first in enumerate(program.tensors):
        assert offsets[a] + first.bytes <= total
        for b, second in enumerate(program.tensors[:a]):
            apart = offsets[a] + first.bytes <= offsets[b] or offsets[b] + second.bytes <= offsets[a]
            handed_over = offsets[a] == offsets[b] and lives[b][1] == lives[a][0]
            together = lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]
            assert apart or not together or handed_over


# --- the file ---


def test_header_tables_and_blobs_lie_where_the_format_says() -> None:
    weights = np.array([[1, -1, 1], [-1, -1, -1]], np.int16)
    net = IntegerNet(SIGN, (3,), (Linear("fc", weights, SIGN, 1, True, "sum"),), 0.125, 2)
    plan = compile_plan(net, "scalar")
    assert plan[:8] == b"FLIPPLAN"
    version, header, size = struct.unpack_from("<IIQ", plan, 8)
    assert (version, header, size) == (2, 104, len(plan))
    tensors, ops, blobs, source, result, classes = struct.unpack_from("<IIIiii", plan, 24)
    assert (tensors, ops, source, result, classes) == (3, 2, 0, 2, 2)
    arena, scale = struct.unpack_from("<Qd", plan, 48)
    assert (arena % 64, scale) == (0, 0.125)
    blank = plan[:96] + bytes(8)
    assert struct.unpack_from("<II", plan, 96) == (zlib.crc32(plan[104:]), zlib.crc32(blank))
    # number, height, width, channels, minimum, maximum: -1 and +1 in i8, bits, logits in i32
    assert struct.unpack_from("<Iiiiii", plan, 104) == (2, 1, 1, 3, -1, 1)
    assert struct.unpack_from("<Iiiiii", plan, 136) == (0, 1, 1, 3, 0, 1)
    assert struct.unpack_from("<Iiiiii", plan, 168)[:4] == (4, 1, 1, 2)
    op = struct.unpack_from("<37i", plan, 200 + 148)
    assert op[0] == 0 and op[2:6] == (1, -1, 2, -1) and op[6:10] == (1, 1, 1, 1) and op[10:18] == (0,) * 8
    table = [struct.unpack_from("<IIIBBBB", plan, 200 + 2 * 148 + 16 * i) for i in range(blobs)]
    assert all(row[0] % 8 == 0 and row[0] + row[1] <= len(plan) and row[3:] == (0, 0, 0, 0) for row in table)
    offset, length = table[op[26]][:2]
    assert struct.unpack_from("<QQ", plan, offset) == (0b101, 0) and (offset % 64, length) == (0, 16)


@pytest.mark.parametrize(
    ("values", "element", "width", "shift", "signed"),
    [
        ([5, 5, 5], 1, 0, 0, 0),  # one i8 for all
        ([200, 200], 2, 0, 0, 0),  # one u8
        ([-128, 127, 3], 1, 0, 0, 0),  # 8 bits as they are
        ([0, 1, 5], 6, 3, 0, 0),
        ([-3, 2, 0], 6, 3, 0, 1),
        ([-48, 64, 16], 6, 4, 4, 1),  # -3, 4, 1 times 16
        ([2**31 - 1, 0], 6, 31, 0, 0),
        ([-(2**31), 2**31 - 1], 4, 0, 0, 0),
        ([-(2**31), 2**30], 6, 2, 30, 1),
        ([0, 2**30], 6, 1, 30, 0),
    ],
)
def test_numbers_take_few_bits(values: list[int], element: int, width: int, shift: int, signed: int) -> None:
    """Blobs of numbers against the format's own words: a stream of bits, the lowest first."""
    blobs = _Blobs()
    blob = blobs.entries[blobs.numbers(np.array(values))]
    assert (blob.element, blob.width, blob.shift, blob.is_signed) == (element, width, shift, bool(signed))
    if element == 6:
        stream = int.from_bytes(blob.data, "little")
        for index, value in enumerate(values):
            number = stream >> (index * width) & (1 << width) - 1
            number -= (number >> (width - 1)) << width if signed else 0
            assert number << shift == value
        assert len(blob.data) == -(-len(values) * width // 8)


@pytest.mark.parametrize("name", [b"caf\xc3\xa9", b"\xff\xfe", b"a\nb", b"a\0b", b"\x7f"])
def test_names_are_plain_text(name: bytes) -> None:
    """A forged name is refused, whatever its bytes; one that a network brings is made plain."""
    plan = bytearray(compile_plan(chain(conv("a" * len(name), 3, 5), sign("s", 3), conv("b", 2, 3)), "scalar"))
    assert plan.count(b"a" * len(name)) >= 1
    plan[:] = plan.replace(b"a" * len(name), name, 1)
    struct.pack_into("<II", plan, 96, 0, 0)
    struct.pack_into("<II", plan, 96, zlib.crc32(plan[104:]), zlib.crc32(plan[:104]))
    with pytest.raises(FlipflowError, match=r"E554(.|\n)*printable ASCII"):
        Engine(bytes(plan))
    foreign = conv(name.decode("latin-1"), 3, 5)
    assert Engine(chain(foreign)).describe().operators[1].name.isascii()


def test_equal_blobs_are_stored_once_and_equal_numbers_as_one() -> None:
    same = [conv(f"c{i}", 5, 5) for i in range(2)]
    plan = compile_plan(chain(same[0], sign("s", 5), same[1], sign("t", 5), conv("d", 2, 5)), "scalar")
    tensors, ops, blobs = struct.unpack_from("<III", plan, 24)
    del tensors
    assert ops == 4
    assert blobs == 4 + 1 + 1 + 1  # names; the weights of c0 and c1; those of d; the threshold 0 of all


def test_write_plan_leaves_nothing_half_written(tmp_path: Path) -> None:
    net, images = random_net(1)
    write_plan(net, tmp_path / "net.ffp")
    assert [path.name for path in tmp_path.iterdir()] == ["net.ffp"]
    np.testing.assert_array_equal(Engine(tmp_path / "net.ffp")(images), reference.run(net, images))
    with pytest.raises(FlipflowError, match="E555"):
        write_plan(net, tmp_path / "missing" / "net.ffp")


def small_plan() -> bytes:
    return compile_plan(chain(conv("a", 3, 5), sign("s", 3), conv("b", 2, 3)), "scalar")


def test_every_damaged_byte_is_refused() -> None:
    plan = small_plan()
    for place_ in range(len(plan)):
        damaged = bytearray(plan)
        damaged[place_] ^= 1 << (place_ % 8)
        with pytest.raises(FlipflowError, match="E554"):
            Engine(bytes(damaged))


def test_every_cut_is_refused() -> None:
    plan = small_plan()
    for length in range(len(plan)):
        with pytest.raises(FlipflowError, match="E554"):
            Engine(plan[:length])
    with pytest.raises(FlipflowError, match="E554"):
        Engine(plan + b"\0")


FORGE = """
import sys, zlib, struct
import numpy as np
from flipflow.cpu import Engine
from flipflow.errors import FlipflowError
plan, draw, ran = sys.stdin.buffer.read(), np.random.default_rng(0), 0
values = (0, 1, 2, 3, 7, 64, 255, 65536, 2**31 - 1, 2**31, 2**32 - 1)
for _ in range(3000):
    forged = bytearray(plan)
    for _ in range(int(draw.integers(1, 3))):
        place = int(draw.integers(2, len(plan) // 4)) * 4
        struct.pack_into("<I", forged, place, int(draw.choice(values)))
    struct.pack_into("<II", forged, 96, 0, 0)
    struct.pack_into("<II", forged, 96, zlib.crc32(forged[104:]), zlib.crc32(forged[:104]))
    try:
        engine = Engine(bytes(forged))
        low, high = engine._range
        engine(np.full((1, *engine.input_shape), high))
        ran += 1
    except FlipflowError as error:
        assert error.code == "E554", error
print(ran)
"""


def test_forged_plans_are_refused_or_run_but_never_crash() -> None:
    """Any field may be wrong under right checksums."""
    done = subprocess.run([sys.executable, "-c", FORGE], input=small_plan(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert 0 < int(done.stdout) < 3000


# --- the engine ---


def refused(code: str, *args: object, **options: object) -> None:
    with pytest.raises(FlipflowError) as caught:
        Engine(*args, **options)  # type: ignore[arg-type]
    assert caught.value.code == code and caught.value.fix


def test_impossible_engines(tmp_path: Path) -> None:
    plan = small_plan()
    refused("E550", plan, isa="sse")
    refused("E550", plan, isa="neon")
    for threads in (0, -1, 1000, True, 1.5):
        refused("E553", plan, threads=threads)
    refused("E555", tmp_path / "missing.ffp")
    refused("E555", tmp_path)
    (tmp_path / "empty.ffp").write_bytes(b"")
    refused("E554", tmp_path / "empty.ffp")


def test_images_that_do_not_fit() -> None:
    engine = Engine(small_plan())
    good = np.ones((2, 4, 4, 5), np.int64)
    for bad in (good.astype(np.float32), good[0], good[..., :4], good * 2, good.tolist(), good - 3):
        with pytest.raises(FlipflowError, match="E552"):
            engine(bad)  # type: ignore[arg-type]
    assert engine(good[:0]).shape == (0, 32)
    np.testing.assert_array_equal(engine(good.astype(np.int8)), engine(good[:, ::-1].astype(np.int16)[:, ::-1]))


def test_what_an_engine_says_of_itself() -> None:
    engine = Engine(small_plan(), "scalar")
    about = engine.describe()
    assert (about.isa, about.threads, about.classes, about.fallbacks) == ("scalar", 1, 32, ())
    assert [op.name for op in about.operators] == ["input", "a", "b"]
    assert about.operators[1].macs == 4 * 4 * 3 * 9 * 5
    assert about.bytes["plan"] == len(small_plan())
    assert [entry["name"] for entry in engine.profile(np.ones((1, 4, 4, 5), np.int8))] == ["input", "a", "b"]


def test_the_package_does_not_need_torch() -> None:
    code = "import sys, flipflow.cpu; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
