"""Plan files: header, tables and blobs as src/plan_format.h lays them down."""

import hashlib
import re
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from flipflow.cpu import arena
from flipflow.cpu.isa import core
from flipflow.cpu.program import NONE, Layout, Line, Number, Op, OpKind, Program, Tensor
from flipflow.cpu.requant import trailing_zeros, width
from flipflow.export.integer.net import ActType, IntegerNet

MAGIC = b"FLIPPLAN"
VERSION = 2
WEIGHTS_ALIGNMENT, ALIGNMENT = 64, 8
HEADER = np.dtype(
    [
        ("magic", "S8"), ("version", "<u4"), ("header_bytes", "<u4"), ("file_bytes", "<u8"),
        ("tensors", "<u4"), ("ops", "<u4"), ("blobs", "<u4"), ("input", "<i4"), ("output", "<i4"), ("classes", "<i4"),
        ("arena_bytes", "<u8"), ("logit_scale", "<f8"), ("network", "u1", 32),
        ("body_checksum", "<u4"), ("header_checksum", "<u4"),
    ]
)  # fmt: skip
TENSOR = np.dtype(
    [
        ("number", "<u4"), ("height", "<i4"), ("width", "<i4"), ("channels", "<i4"), ("minimum", "<i4"), ("maximum", "<i4"),
        ("offset", "<u8"),
    ]
)  # fmt: skip
OP = np.dtype(
    [
        ("kind", "<u4"), ("name", "<i4"), ("in", "<i4", 2), ("out", "<i4", 2), ("kernel", "<i4", 2), ("stride", "<i4", 2),
        ("pads", "<i4", 4), ("pad_kind", "<u4"), ("form", "<u4"), ("weight_number", "<u4"), ("layout", "<u4"),
        ("pool_kernel", "<i4", 2), ("pool_stride", "<i4", 2), ("pool_pads", "<i4", 4), ("weights", "<i4"),
        ("threshold", "<i4"), ("invert", "<i4"), ("slope", "<i4"), ("bias", "<i4"), ("shift", "<i4"), ("levels", "<i4"),
        ("q_range", "<i4", 2), ("r_range", "<i4", 2),
    ]
)  # fmt: skip
BLOB = np.dtype(
    [
        ("offset", "<u4"), ("bytes", "<u4"), ("element", "<u4"), ("width", "u1"), ("shift", "u1"), ("is_signed", "u1"),
        ("reserved", "u1"),
    ]
)  # fmt: skip
_BYTES, _I8, _U8, _I16, _I32, _U64, _PACKED = range(7)
_ELEMENTS = ((_I8, np.int8), (_U8, np.uint8), (_I16, np.int16), (_I32, np.int32))
_BORDER_ONES = 3


@dataclass(frozen=True)
class _Blob:
    """Data behind the tables: an entry of the blob table, without its place."""

    element: int
    data: bytes
    width: int = 0
    shift: int = 0
    is_signed: bool = False
    alignment: int = ALIGNMENT


class _Blobs:
    """All blobs by index. Equal ones are stored once."""

    def __init__(self) -> None:
        self.entries: list[_Blob] = []
        self._known: dict[_Blob, int] = {}

    def add(self, blob: _Blob) -> int:
        """Index of a blob."""
        if blob not in self._known:
            self._known[blob] = len(self.entries)
            self.entries.append(blob)
        return self._known[blob]

    def text(self, name: str) -> int:
        """A name; what is not printable ASCII becomes a question mark."""
        return self.add(_Blob(_BYTES, re.sub("[^ -~]", "?", name).encode()))

    def numbers(self, values: np.ndarray | None) -> int:
        """A number for each channel, or one for all where they are equal, in the fewest bits."""
        if values is None:
            return NONE
        low, high = int(values.min()), int(values.max())
        if low < np.iinfo(np.int32).min or high > np.iinfo(np.int32).max:
            raise OverflowError(f"constants {low} to {high} do not fit 32 bits")
        element, kind = next(
            entry for entry in _ELEMENTS if np.iinfo(entry[1]).min <= low and high <= np.iinfo(entry[1]).max
        )
        if low < high and width(values) < np.iinfo(kind).bits:
            return self.add(_packed(values.astype(np.int64)))
        chosen = values[:1] if low == high else values
        return self.add(_Blob(element, np.ascontiguousarray(chosen, np.dtype(kind).newbyteorder("<")).tobytes()))

    def invert(self, flags: np.ndarray | None) -> int:
        """One 64-bit word for each 64 channels; none where nothing is inverted."""
        if flags is None or not np.any(flags):
            return NONE
        return self.add(_Blob(_U64, packed_words(flags).tobytes()))


def _packed(values: np.ndarray) -> _Blob:
    """Numbers in as many bits as the widest of them needs, those left out that are 0 in all."""
    bits, ending = width(values), trailing_zeros(values)
    flags = (values[:, None] >> (ending + np.arange(bits))) & 1
    data = np.packbits(flags.astype(bool).reshape(-1), bitorder="little").tobytes()
    return _Blob(_PACKED, data, bits, ending, bool(values.min() < 0))


def serialize(program: Program, net: IntegerNet, isa: str) -> bytes:
    """The plan file's bytes."""
    offsets, arena_bytes = arena.place(program)
    rows = [
        (tensor.number, tensor.height, tensor.width, tensor.channels, tensor.minimum, tensor.maximum, offset)
        for tensor, offset in zip(program.tensors, offsets, strict=True)
    ]
    tensors = np.array(rows, TENSOR)
    blobs = _Blobs()
    ops = np.zeros(len(program.ops), OP)
    for entry, op in zip(ops, program.ops, strict=True):
        _fill(entry, op, program, isa, blobs)
    head = np.zeros((), HEADER)
    output = program.tensors[program.output]
    values = {
        "magic": MAGIC, "version": VERSION, "header_bytes": HEADER.itemsize, "tensors": len(tensors), "ops": len(ops),
        "blobs": len(blobs.entries), "input": program.input, "output": program.output,
        "classes": output.height * output.width * output.channels, "arena_bytes": arena_bytes,
        "logit_scale": net.logit_scale,
    }  # fmt: skip
    for key, value in values.items():
        head[key] = value
    head["network"] = np.frombuffer(fingerprint(net), np.uint8)
    return _assemble(head, tensors, ops, blobs)


def _assemble(head: np.ndarray, tensors: np.ndarray, ops: np.ndarray, blobs: _Blobs) -> bytes:
    table = np.zeros(len(blobs.entries), BLOB)
    end = HEADER.itemsize + tensors.nbytes + ops.nbytes + table.nbytes
    pieces: list[bytes] = []
    # By alignment, so that few bytes are lost between them.
    for index, blob in sorted(enumerate(blobs.entries), key=lambda entry: entry[1].alignment):
        start = -(-end // blob.alignment) * blob.alignment
        table[index] = (start, len(blob.data), blob.element, blob.width, blob.shift, blob.is_signed, 0)
        pieces += [bytes(start - end), blob.data]
        end = start + len(blob.data)
    body = tensors.tobytes() + ops.tobytes() + table.tobytes() + b"".join(pieces)
    head["file_bytes"] = end
    checksum = zlib.crc32(head.tobytes())  # with both checksums as 0
    head["body_checksum"], head["header_checksum"] = zlib.crc32(body), checksum
    return head.tobytes() + body


def _fill(entry: np.void, op: Op, program: Program, isa: str, blobs: _Blobs) -> None:
    """One operator's fields."""
    entry["kind"], entry["name"] = op.kind, blobs.text(op.name)
    entry["in"], entry["out"] = op.inputs, op.outputs
    entry["kernel"], entry["stride"], entry["pads"] = op.window.kernel, op.window.stride, op.window.pads
    entry["pool_kernel"], entry["pool_stride"], entry["pool_pads"] = op.pool.kernel, op.pool.stride, op.pool.pads
    entry["pad_kind"], entry["form"] = op.pad_kind, op.form
    entry["weights"] = entry["slope"] = entry["bias"] = entry["shift"] = entry["levels"] = NONE
    entry["threshold"], entry["invert"] = blobs.numbers(op.threshold), blobs.invert(op.invert)
    entry["r_range"] = op.r_range
    if op.weights is not None:
        _fill_weights(entry, op, op.weights, program, isa, blobs)
    if op.line is not None:
        _fill_line(entry, op.line, blobs)
    if op.levels is not None:
        entry["levels"] = blobs.add(_Blob(_I32, np.ascontiguousarray(op.levels, "<i4").tobytes()))


def _fill_line(entry: np.void, line: Line, blobs: _Blobs) -> None:
    entry["slope"], entry["bias"] = blobs.numbers(line.slope), blobs.numbers(line.bias)
    entry["shift"], entry["q_range"] = blobs.numbers(line.shift), (line.low, line.high)


def _fill_weights(entry: np.void, op: Op, weights: np.ndarray, program: Program, isa: str, blobs: _Blobs) -> None:
    """Weights in the layout that the kernels of `isa` read."""
    number = _weight_number(op, weights)
    shape = shape_tuple(op, weights, program.tensors[op.inputs[0]], number)
    rows = weight_rows(weights, number)
    layout = Layout.ROWS if isa == "scalar" else Layout(core().layout_for(isa, shape))
    data = rows if layout is Layout.ROWS else core().pack(int(layout), shape, np.frombuffer(rows, np.uint8))
    entry["weight_number"], entry["layout"] = number, layout
    entry["weights"] = blobs.add(_Blob(_BYTES, data, alignment=WEIGHTS_ALIGNMENT))


def _weight_number(op: Op, weights: np.ndarray) -> Number:
    if op.kind is OpKind.BINARY_CONV:
        return Number.BITS
    return Number.I8 if weights.min() >= -128 and weights.max() <= 127 else Number.I16


def shape_tuple(op: Op, weights: np.ndarray, source: Tensor, number: Number) -> tuple[int, ...]:
    """The convolution's Shape, field by field as in src/kernels/kernels.h."""
    out = op.window.positions(source.height, source.width)
    border = int(op.pad_kind == _BORDER_ONES)
    return (
        source.height, source.width, source.channels, *op.window.kernel, *op.window.stride, *op.window.pads[:2],
        *out, len(weights), border, int(source.number), int(number),
    )  # fmt: skip


def weight_rows(weights: np.ndarray, number: Number) -> bytes:
    """Layout rows: packed signs, or integers, [M][KH][KW][C]."""
    if number is Number.BITS:
        return packed_words(weights > 0).tobytes()
    return np.ascontiguousarray(weights, np.int8 if number is Number.I8 else "<i2").tobytes()


def packed_words(flags: np.ndarray) -> np.ndarray:
    """bool [..., C] to 64-bit words [..., ceil(C / 64)], channel 0 in bit 0; unused bits are 0."""
    channels = flags.shape[-1]
    packed = np.packbits(flags, axis=-1, bitorder="little")
    missing = -(-channels // 64) * 8 - packed.shape[-1]
    padded = np.concatenate([packed, np.zeros((*packed.shape[:-1], missing), np.uint8)], axis=-1)
    return np.ascontiguousarray(padded).view("<u8")


def fingerprint(net: IntegerNet) -> bytes:
    """sha256 of everything that an integer net says, whatever files it came from."""
    total = hashlib.sha256(repr((asdict(net.input), net.input_shape, net.logit_scale, net.classes, net.wires)).encode())
    for operator in net.operators:
        total.update(type(operator).__name__.encode())
        for field, value in sorted(vars(operator).items()):
            if isinstance(value, np.ndarray):
                total.update(f"{field}{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
            else:
                text = asdict(value) if isinstance(value, ActType) else value
                total.update(f"{field}={text!r}".encode())
    return total.digest()
