"""What is known of each result of an integer net before it is lowered: its map, its range, who takes it, and in which forms.

A bipolar value can be kept in several forms. Binary layers and bit pools want bits. Layers with wide weights want integers: -1
and +1, or, where the border is a constant, 0 and 1 with the border as 0 (UP: 1 stands for +1; DOWN: 1 stands for -1), since the
kernels' border is the integer 0. Everything else has one form, INTS.
"""

from enum import Enum

import numpy as np

from flipflow.cpu.program import Tensor, Window, number_for
from flipflow.errors import FlipflowError
from flipflow.export.integer.net import (
    NET_INPUT,
    ActType,
    Add,
    Conv,
    IntegerNet,
    Linear,
    MaxPool,
    Operator,
    SumPool,
    Threshold,
)

_INT32 = 2**31 - 1


class Form(Enum):
    """How a value is kept: see the module."""

    BITS = "bits"
    INTS = "ints"
    UP = "up"
    DOWN = "down"


def refuse(operator: Operator | None, what: str, fix: str) -> FlipflowError:
    """E551 for an operator, or for the network's input."""
    where = "the network's input" if operator is None else f"{type(operator).__name__} {operator.name!r}"
    return FlipflowError("E551", what, where, fix)


def is_binary(op: Conv | Linear) -> bool:
    """Whether both operands are signs."""
    return op.input.bipolar and op.weight_bipolar


class Values:
    """Facts about the results of `net`, indexed like its operators, with NET_INPUT for its input.

    shape: (H, W, C). range: smallest and largest value. consumers: operators that take the value. forms: what they need of it;
    none where nothing that matters to the logits does.
    """

    def __init__(self, net: IntegerNet) -> None:
        self.net = net
        self.last = len(net.operators) - 1
        self.shape: dict[int, tuple[int, int, int]] = {NET_INPUT: _map(net.input_shape)}
        self.range: dict[int, tuple[int, int]] = {NET_INPUT: (net.input.minimum, net.input.maximum)}
        self.bipolar: dict[int, bool] = {NET_INPUT: net.input.bipolar}
        self.consumers: dict[int, list[int]] = {index: [] for index in range(NET_INPUT, len(net.operators))}
        self.forms: dict[int, set[Form]] = {index: set() for index in range(NET_INPUT, len(net.operators))}
        for index, (operator, sources) in enumerate(zip(net.operators, net.wires, strict=True)):
            for source in sources:
                self.consumers[source].append(index)
            self._describe(index, operator, sources)
        self._demand()

    def operator(self, index: int) -> Operator | None:
        """The operator that gives a value; None for the network's input."""
        return None if index == NET_INPUT else self.net.operators[index]

    def tensor(self, index: int) -> Tensor:
        """A tensor that holds the integers of a value in the narrowest storage."""
        return Tensor(number_for(*self.range[index]), *self.shape[index], *self.range[index])

    def window(self, op: Conv | Linear | MaxPool | SumPool, source: int) -> Window:
        """Kernel, stride and pads; a fully connected layer's kernel is the whole map."""
        if isinstance(op, Linear):
            return Window(kernel=self.shape[source][:2])
        if isinstance(op, SumPool):
            return Window(op.kernel, op.stride)
        kernel = op.kernel if isinstance(op, MaxPool) else (op.weights.shape[1], op.weights.shape[2])
        return Window(kernel, op.stride, op.pads)

    def weights(self, op: Conv | Linear, source: int) -> np.ndarray:
        """int16 [M, KH, KW, C]."""
        return op.weights.reshape(len(op.weights), *self.shape[source]) if isinstance(op, Linear) else op.weights

    def _describe(self, index: int, operator: Operator, sources: tuple[int, ...]) -> None:
        source = sources[0]
        height, width, channels = self.shape[source]
        low, high = self.range[source]
        self.bipolar[index] = isinstance(operator, MaxPool) and self.bipolar[source]
        if isinstance(operator, Conv | Linear | MaxPool | SumPool):
            size = self.window(operator, source).positions(height, width)
            if min(size) < 1:
                raise refuse(
                    operator, f"its window is larger than its {height} x {width} map.", "Report this as a bug."
                )
            height, width = size
        if isinstance(operator, Conv | Linear):
            channels = len(operator.weights)
            low, high = self._extremes(operator, source)
        elif isinstance(operator, Threshold | Add):
            low, high = operator.output.minimum, operator.output.maximum
            self.bipolar[index] = isinstance(operator, Threshold) and operator.output.bipolar
        elif isinstance(operator, SumPool):
            taps = operator.kernel[0] * operator.kernel[1]
            low, high = min(low * taps, low), max(high * taps, high)
        if low < -_INT32 or high > _INT32:
            raise refuse(operator, f"its values can reach {low} to {high}, beyond 32 bits.", "Use fewer bits.")
        self.shape[index], self.range[index] = (height, width, channels), (low, high)

    def _extremes(self, op: Conv | Linear, source: int) -> tuple[int, int]:
        """Range of the result over all channels."""
        low, high = self.reach(op, source)
        smallest, largest = int(low.min()), int(high.max())
        fan_in = op.weights[0].size
        return ((smallest + fan_in) // 2, (largest + fan_in) // 2) if op.domain == "popcount" else (smallest, largest)

    def reach(self, op: Conv | Linear, source: int) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest dot product of each channel, int64 [M] both; taps outside the map may add 0."""
        rows = op.weights.reshape(len(op.weights), -1)
        total = rows.sum(axis=1, dtype=np.int64)
        size = (
            np.full(len(rows), rows.shape[1])
            if op.weight_bipolar
            else np.abs(rows.astype(np.int32)).sum(axis=1, dtype=np.int64)
        )
        positive, negative = (size + total) // 2, (total - size) // 2
        low, high = self.range[source]
        if isinstance(op, Conv) and any(op.pads):
            low, high = min(low, 0), max(high, 0)
        return positive * low + negative * high, positive * high + negative * low

    def _demand(self) -> None:
        """From the logits back: what each consumer wants of its source."""
        self.forms[self.last].add(Form.INTS)
        for index in range(self.last, NET_INPUT, -1):
            operator = self.net.operators[index]
            if self.forms[index]:
                for source in self.net.wires[index]:
                    self.forms[source] |= self._wanted(operator, index, source)

    def _wanted(self, operator: Operator, index: int, source: int) -> set[Form]:
        if isinstance(operator, Conv | Linear):
            return {operand_form(operator)}
        return self.forms[index] if isinstance(operator, MaxPool) and self.bipolar[source] else {Form.INTS}


def operand_form(op: Conv | Linear) -> Form:
    """The form in which a layer takes its input."""
    if is_binary(op):
        return Form.BITS
    border = op.pad_kind if isinstance(op, Conv) and any(op.pads) and op.input.bipolar else "none"
    return {"minus_one": Form.UP, "plus_one": Form.DOWN}.get(border, Form.INTS)


def as_form(act: ActType, levels: np.ndarray, form: Form) -> tuple[np.ndarray, int]:
    """Levels [C, L] and minimum of an activation whose integers are kept in `form`."""
    if not act.bipolar:
        return levels, act.minimum
    return (np.repeat(levels, 2, axis=1), -1) if form is Form.INTS else (levels, 0)


def flips(form: Form) -> bool:
    """Whether the form turns +1 into the smaller integer."""
    return form is Form.DOWN


def _map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) == 1:
        return 1, 1, shape[0]
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    raise refuse(None, f"it has the shape {shape}.", "Networks take maps [H, W, C] or vectors [K].")
