"""An integer net as a program: every fused group and every operator left over becomes operators on tensors."""

import numpy as np

from flipflow.cpu import requant
from flipflow.cpu.fusion import Fusion, Group
from flipflow.cpu.program import NO_POOL, NONE, Form, Line, Number, Op, OpKind, Program, Tensor, Window
from flipflow.cpu.values import Form as Kept
from flipflow.cpu.values import Values, as_form, flips, operand_form, refuse
from flipflow.export.integer.net import (
    NET_INPUT,
    Add,
    Conv,
    IntegerNet,
    Linear,
    MaxPool,
    Operator,
    SumPool,
    Threshold,
)

_PAD_KINDS = {"none": 0, "zero": 1, "minus_one": 2, "plus_one": 3}
_SEPARATE = "runs as an operator of its own"


def lower(net: IntegerNet) -> Program:
    """The program of a net. Raises FlipflowError E551 where the engine's number types cannot hold it."""
    return _Lowering(net).run()


class _Lowering:
    """A program being built. `places` maps a value and the form it is kept in to its tensor."""

    def __init__(self, net: IntegerNet) -> None:
        self.net = net
        self.values = Values(net)
        self.fusion = Fusion(self.values)
        self.numbers = self.fusion.numbers()
        self.program = Program()
        self.places: dict[tuple[int, Kept], int] = {}

    def run(self) -> Program:
        self._input()
        for index, operator in enumerate(self.net.operators):
            group = self.fusion.groups.get(index)
            if group is not None:
                self._layer(group)
            if index not in self.fusion.absorbed and self.values.forms[index]:
                self._plain(index, operator)
        self._logits()
        return self.program

    # --- tensors ---

    def _tensor(self, tensor: Tensor) -> int:
        self.program.tensors.append(tensor)
        return len(self.program.tensors) - 1

    def _place(self, index: int, form: Kept) -> int:
        """A new tensor for a value in a form; where it holds a layer's acc, with the range of that."""
        shape = self.values.shape[index]
        layer = self.fusion.raw.get(index)
        if form is Kept.BITS:
            tensor = Tensor(Number.BITS, *shape, 0, 1)
        elif layer is not None:
            tensor = Tensor(Number.I32, *shape, int(layer.reach.low.min()), int(layer.reach.high.max()))
        elif form is Kept.INTS:
            tensor = Tensor(self.numbers[index], *shape, *self.values.range[index])
        else:
            tensor = Tensor(Number.U8, *shape, 0, 1)
        self.places[index, form] = self._tensor(tensor)
        return self.places[index, form]

    def _emit(self, op: Op) -> None:
        self.program.ops.append(op)

    # --- ends of the network ---

    def _input(self) -> None:
        self.program.input = self._place(NET_INPUT, Kept.INTS)
        if self.program.tensors[0].number is Number.I32:
            raise refuse(None, "its integers need more than 16 bits.", "Quantize the input to at most 16 signed bits.")
        sign = np.zeros((self.values.shape[NET_INPUT][2], 1), np.int64)
        for form in sorted(self.values.forms[NET_INPUT] - {Kept.INTS}, key=lambda form: form.value):
            invert = np.full(len(sign), flips(form))
            self._activation("input", (NET_INPUT, Kept.INTS), (NET_INPUT, form), sign, invert)

    def _logits(self) -> None:
        """The last value as 32-bit integers; a sum over windows of one pixel converts them where need be."""
        last = self.places[self.values.last, Kept.INTS]
        tensor = self.program.tensors[last]
        if tensor.number is not Number.I32:
            wide = self._tensor(
                Tensor(Number.I32, *self.values.shape[self.values.last], tensor.minimum, tensor.maximum)
            )
            self._emit(Op(OpKind.SUM_POOL, "logits", (last, NONE), (wide, NONE)))
            last = wide
        self.program.output = last

    # --- layers with what runs with them ---

    def _layer(self, group: Group) -> None:
        layer, op = group.layer, group.layer.op
        source = self.places[layer.source, operand_form(op)]
        if self.program.tensors[source].number is Number.I32:
            raise refuse(op, "its input needs more than 16 bits.", "Put a quantizer before it.")
        residual = NONE if group.other is None else self.places[group.other, Kept.INTS]
        outputs = self._outputs(group)
        line = group.line if group.form is Form.FIXED else None
        sign = group.threshold if group.form is Form.BITS else group.sign
        threshold, invert = (None, None) if sign is None else self._sign(group, sign)
        self._emit(
            Op(
                OpKind.BINARY_CONV if layer.binary else OpKind.INTEGER_CONV,
                op.name,
                (source, residual),
                outputs,
                window=self.values.window(op, layer.source),
                pad_kind=_pad_kind(op, layer.binary),
                form=group.form,
                pool=NO_POOL if group.pool is None else self._pool_window(group.pool),
                weights=layer.weights,
                threshold=threshold,
                invert=invert,
                line=line,
                r_range=self.values.range[group.result] if group.other is not None else (0, 0),
            )
        )
        if group.form is Form.SUMS and group.line is not None:
            result = self._place(group.result, Kept.INTS)
            self._emit(Op(OpKind.FIXED_INTS, op.name, (outputs[0], NONE), (result, NONE), line=group.line))

    def _outputs(self, group: Group) -> tuple[int, int]:
        if group.form is Form.BITS:
            return self._place(group.result, Kept.BITS), NONE
        if group.form is Form.SUMS and group.line is not None:
            reach, shape = group.layer.reach, self.values.shape[group.result]
            return self._tensor(Tensor(Number.I32, *shape, int(reach.low.min()), int(reach.high.max()))), NONE
        stored = self._place(group.result, group.kept) if group.keep else NONE
        bits = NONE if group.sign is None else self._place(group.sign, Kept.BITS)
        return stored, bits

    def _sign(self, group: Group, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Threshold of a sign, on acc in form bits and on the fixed-point result otherwise; within one of what occurs."""
        op = self.net.operators[index]
        assert isinstance(op, Threshold)
        if group.form is Form.BITS:
            reach = group.layer.reach
            return np.clip(group.layer.levels(op.levels[:, 0]), reach.low, reach.high + 1), op.invert
        return self._within(op.levels[:, 0], group.result), op.invert

    def _within(self, levels: np.ndarray, index: int) -> np.ndarray:
        """Levels no further out than one beyond the values that occur, so that they fit narrow numbers."""
        low, high = self.values.range[index]
        clipped: np.ndarray = np.clip(levels.astype(np.int64), low, high + 1)
        return clipped

    def _pool_window(self, index: int) -> Window:
        op = self.net.operators[index]
        assert isinstance(op, MaxPool)
        return Window(op.kernel, op.stride, op.pads)

    # --- operators of their own ---

    def _plain(self, index: int, operator: Operator) -> None:
        if isinstance(operator, Conv | Linear):
            return
        self.program.unfused.append(f"{type(operator).__name__} {operator.name!r} {_SEPARATE}")
        (source, *rest) = self.net.wires[index]
        if isinstance(operator, Threshold):
            self._threshold(index, operator, source)
        elif isinstance(operator, MaxPool):
            self._max_pool(index, operator, source)
        elif isinstance(operator, Add):
            inputs = self.places[source, Kept.INTS], self.places[rest[0], Kept.INTS]
            result = self._place(index, Kept.INTS)
            self._emit(Op(OpKind.ADD, operator.name, inputs, (result, NONE), r_range=self.values.range[index]))
        else:
            self._sum_pool(index, operator, source)

    def _threshold(self, index: int, op: Threshold, source: int) -> None:
        raw = self.fusion.raw.get(source)
        levels = op.levels.astype(np.int64) if raw is None else raw.levels(op.levels)
        for form in sorted(self.values.forms[index], key=lambda form: form.value):
            if (index, form) in self.places:
                continue
            wanted = levels if form is Kept.BITS else as_form(op.output, levels, form)[0]
            invert = ~op.invert if flips(form) else op.invert
            self._activation(op.name, (source, Kept.INTS), (index, form), wanted, invert)

    def _activation(
        self, name: str, source: tuple[int, Kept], target: tuple[int, Kept], levels: np.ndarray, invert: np.ndarray
    ) -> None:
        """Thresholds on a stored tensor: to bits, along a line to integers, or level by level to integers."""
        inputs = self.places[source], NONE
        held = self.program.tensors[inputs[0]]
        result = self._place(*target)
        tensor = self.program.tensors[result]
        clipped = np.clip(levels, held.minimum, held.maximum + 1)
        if target[1] is Kept.BITS:
            kind, extra = OpKind.THRESHOLD_BITS, {"threshold": clipped[:, 0], "invert": invert}
        else:
            line = _line(clipped, invert, held, tensor)
            if line is not None:
                self._emit(Op(OpKind.FIXED_INTS, name, inputs, (result, NONE), line=line))
                return
            kind, extra = OpKind.THRESHOLD_INTS, {"levels": clipped, "invert": invert}
        self._emit(Op(kind, name, inputs, (result, NONE), **extra))

    def _max_pool(self, index: int, op: MaxPool, source: int) -> None:
        for form in sorted(self.values.forms[index], key=lambda form: form.value):
            inputs = self.places[source, form], NONE
            kind = OpKind.BIT_POOL if form is Kept.BITS else OpKind.INT_POOL
            invert = ~op.minimum if flips(form) else op.minimum
            result = self._place(index, form)
            self._emit(Op(kind, op.name, inputs, (result, NONE), window=self._pool_window(index), invert=invert))

    def _sum_pool(self, index: int, op: SumPool, source: int) -> None:
        inputs = self.places[source, Kept.INTS], NONE
        result = self._place(index, Kept.INTS)
        self._emit(Op(OpKind.SUM_POOL, op.name, inputs, (result, NONE), window=Window(op.kernel, op.stride)))


def _line(levels: np.ndarray, invert: np.ndarray, held: Tensor, result: Tensor) -> Line | None:
    """The line of a k-bit activation of stored integers, where it has one."""
    if levels.shape[1] == 1 or Number.I32 in (held.number, result.number):
        return None
    low, high = (np.full(len(levels), bound, np.int64) for bound in (held.minimum, held.maximum))
    bound = np.full(len(levels), max(abs(held.minimum), abs(held.maximum)), np.int64)
    return requant.fit(levels, invert, result.minimum, requant.Reach(low, high, 1, bound))


def _pad_kind(op: Conv | Linear, binary: bool) -> int:
    if isinstance(op, Linear) or not binary or not any(op.pads):
        return 0
    return _PAD_KINDS[op.pad_kind]
