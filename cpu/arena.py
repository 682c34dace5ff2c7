"""Places of a program's tensors in one arena: offsets that are multiples of 64, shared by what never lives at once.

A tensor lives from the operator that writes it to the last one that reads it. Tensors are placed largest first, each at the
lowest place where it overlaps nothing that lives at the same time. A residual that dies in the operator that adds to it lends its
place to the result.
"""

from dataclasses import dataclass

from flipflow.cpu.program import NONE, Number, Op, OpKind, Program

_ALIGNMENT = 64


@dataclass
class _Storage:
    """Tensors that share one place, and when the first is written and the last one read."""

    tensors: list[int]
    first: int
    last: int
    bytes: int
    offset: int = 0


def place(program: Program) -> tuple[list[int], int]:
    """Offset of each tensor, and the bytes of the arena."""
    storages = _storages(program)
    placed: list[_Storage] = []
    for storage in sorted(storages, key=lambda s: (-s.bytes, s.first)):
        neighbours = sorted(
            (other for other in placed if other.first <= storage.last and storage.first <= other.last),
            key=lambda other: other.offset,
        )
        for other in neighbours:
            if storage.offset + storage.bytes <= other.offset:
                break
            storage.offset = max(storage.offset, other.offset + other.bytes)
        placed.append(storage)
    offsets = [0] * len(program.tensors)
    for storage in placed:
        for tensor in storage.tensors:
            offsets[tensor] = storage.offset
    return offsets, max(storage.offset + storage.bytes for storage in placed)


def lifetimes(program: Program) -> list[tuple[int, int]]:
    """(written, last read) of each tensor as operator indices; the input is written at -1, the logits are read at the end."""
    first = [len(program.ops)] * len(program.tensors)
    last = [-1] * len(program.tensors)
    first[program.input] = -1
    for index, op in enumerate(program.ops):
        for tensor in op.outputs:
            if tensor != NONE:
                first[tensor] = last[tensor] = index
        for tensor in op.inputs:
            if tensor != NONE:
                last[tensor] = index
    last[program.output] = len(program.ops)
    return list(zip(first, last, strict=True))


def _storages(program: Program) -> list[_Storage]:
    lives = lifetimes(program)
    owner: dict[int, _Storage] = {}
    storages: list[_Storage] = []
    for index, (first, last) in sorted(enumerate(lives), key=lambda item: item[1]):
        lender = _lender(program, index, lives)
        if lender is not None:
            storage = owner[lender]
            storage.tensors.append(index)
            storage.last = max(storage.last, last)
        else:
            size = -(-program.tensors[index].bytes // _ALIGNMENT) * _ALIGNMENT
            storage = _Storage([index], first, last, size)
            storages.append(storage)
        owner[index] = storage
    return storages


def _lender(program: Program, tensor: int, lives: list[tuple[int, int]]) -> int | None:
    """The tensor whose place the result `tensor` takes over, if there is one."""
    written = lives[tensor][0]
    if not 0 <= written < len(program.ops):
        return None
    op = program.ops[written]
    if op.outputs[0] != tensor:
        return None
    for source in _operands(op):
        mine, theirs = program.tensors[tensor], program.tensors[source]
        alike = mine.number == theirs.number != Number.BITS and mine.bytes == theirs.bytes
        if alike and lives[source][1] == written and lives[source][0] < written:
            return source
    return None


def _operands(op: Op) -> tuple[int, ...]:
    """Inputs that the operator reads only where it writes the result."""
    if op.kind == OpKind.ADD:
        return op.inputs
    conv = op.kind in (OpKind.BINARY_CONV, OpKind.INTEGER_CONV)
    if conv and op.inputs[1] not in (NONE, op.inputs[0]):
        return (op.inputs[1],)
    return ()
