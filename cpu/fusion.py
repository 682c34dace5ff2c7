"""Which operators of an integer net run as one: a layer with the activation, residual addition, pool and sign behind it.

    layer (+ bit threshold)                                         form bits
    layer + k-bit threshold (+ residual addition) (+ bit threshold) form fixed; the integer result is kept where others take it
    integer layer + k-bit threshold + max-pool (+ bit threshold)    form fixed, pooled
    anything else                                                   raw sums, and operators of their own

A k-bit threshold joins where a fixed-point line equals it at every sum that can occur (requant.py). A residual addition joins the
later one of two layers that could take it, so that its other operand is there in time.
"""

from dataclasses import dataclass

import numpy as np

from flipflow.cpu import requant
from flipflow.cpu.program import Form, Line, Number, number_for
from flipflow.cpu.values import Form as Kept
from flipflow.cpu.values import Values, as_form, is_binary, operand_form, refuse
from flipflow.export.integer.net import Add, Conv, Linear, MaxPool, SumPool, Threshold


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or fully connected layer as the kernel computes it: the dot product is acc + offset[m].

    weights: int16 [M, KH, KW, C]; reach: of acc; fan_in: K.
    """

    index: int
    source: int
    op: Conv | Linear
    binary: bool
    weights: np.ndarray
    offset: np.ndarray
    reach: requant.Reach
    fan_in: int

    def levels(self, levels: np.ndarray) -> np.ndarray:
        """Thresholds of the layer's result as thresholds of acc, int64."""
        wide = levels.astype(np.int64)
        dots = 2 * wide - self.fan_in if self.op.domain == "popcount" else wide
        moved: np.ndarray = dots - (self.offset[:, None] if levels.ndim == 2 else self.offset)
        return moved

    @property
    def plain(self) -> bool:
        """Whether acc itself is the result."""
        return self.op.domain == "sum" and not np.any(self.offset)


@dataclass
class Group:
    """A layer and what runs with it.

    at: the operator at whose place the group runs; result: the value it gives (of the layer, threshold, addition or pool).
    threshold: the activation; kept: its form. line: of form FIXED; of form SUMS, where the result is not acc itself. add, other:
    the addition and its other operand. pool: the max-pool. sign: the bit threshold on the result. keep: whether the integers are
    stored.
    """

    layer: Layer
    form: Form
    at: int
    result: int
    threshold: int | None = None
    kept: Kept = Kept.INTS
    line: Line | None = None
    add: int | None = None
    other: int | None = None
    pool: int | None = None
    sign: int | None = None
    keep: bool = True


class Fusion:
    """Groups of a net by the operator at whose place they run; absorbed: operators that need nothing of their own."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.groups: dict[int, Group] = {}
        self.absorbed: set[int] = set()
        self.raw: dict[int, Layer] = {}  # what holds a layer's acc: its own value, and max-pools of it
        operators = values.net.operators
        for index in range(len(operators) - 1, -1, -1):
            operator = operators[index]
            if isinstance(operator, Conv | Linear) and values.forms[index]:
                group = self._group(describe(values, index, operator))
                self.groups[group.at] = group

    def _group(self, layer: Layer) -> Group:
        values, index = self.values, layer.index
        self.absorbed.add(index)
        threshold = self._only(index, Threshold)
        if threshold is None:
            return self._sums(layer)
        forms = values.forms[threshold]
        if forms == {Kept.BITS}:
            self.absorbed.add(threshold)
            return Group(layer, Form.BITS, threshold, threshold, threshold=threshold)
        if len(forms) != 1:
            return self._sums(layer)
        kept = next(iter(forms))
        line = self._line(layer, threshold, kept)
        if line is None:
            return self._sums(layer)
        self.absorbed.add(threshold)
        group = Group(layer, Form.FIXED, threshold, threshold, threshold=threshold, kept=kept, line=line)
        if kept is Kept.INTS and not values.bipolar[threshold]:
            self._extend(group)
        return group

    def _sums(self, layer: Layer) -> Group:
        """Raw sums. Where they are not the result itself, only thresholds can take them; else a line makes them the result.

        A line within the layer gives 16 bits at most; wider results get theirs behind the raw sums.
        """
        if layer.plain or self._thresholds_only(layer.index):
            self._mark_raw(layer.index, layer)
            return Group(layer, Form.SUMS, layer.index, layer.index)
        low, high = self.values.range[layer.index]
        form = Form.SUMS if number_for(low, high) is Number.I32 else Form.FIXED
        ones = np.ones(len(layer.weights), np.int64)
        popcount = layer.op.domain == "popcount"
        bias = layer.offset + (layer.fan_in if popcount else 0)
        line = Line(bias, ones, ones if popcount else 0 * ones, low, high)
        return Group(layer, form, layer.index, layer.index, line=line)

    def _thresholds_only(self, index: int) -> bool:
        """Whether a value goes to thresholds alone, max-pools in between left aside."""
        values = self.values
        return index != values.last and all(
            isinstance(values.operator(taker), Threshold)
            or (isinstance(values.operator(taker), MaxPool) and self._thresholds_only(taker))
            for taker in values.consumers[index]
        )

    def _mark_raw(self, index: int, layer: Layer) -> None:
        self.raw[index] = layer
        for taker in self.values.consumers[index]:
            if isinstance(self.values.operator(taker), MaxPool):
                self._mark_raw(taker, layer)

    def _line(self, layer: Layer, threshold: int, kept: Kept) -> Line | None:
        op = self.values.operator(threshold)
        assert isinstance(op, Threshold)
        levels, minimum = as_form(op.output, op.levels, kept)
        if number_for(minimum, minimum + levels.shape[1]) is Number.I32:
            return None
        invert = ~op.invert if kept is Kept.DOWN else op.invert
        return requant.fit(layer.levels(levels), invert, minimum, layer.reach)

    def _extend(self, group: Group) -> None:
        """Let the addition or the pool, and then a sign, join."""
        values = self.values
        add = self._only(group.result, Add)
        pool = self._only(group.result, MaxPool)
        if add is not None and add not in self.absorbed:
            left, right = values.net.wires[add]
            other = right if left == group.result else left
            if other != group.result and self._small(other) and self._small(add):
                group.add, group.other, group.at, group.result = add, other, add, add
                self.absorbed.add(add)
        elif pool is not None and not group.layer.binary and self._can_pool(group, pool):
            group.pool, group.at, group.result = pool, pool, pool
            self.absorbed.add(pool)
        self._take_sign(group)

    def _take_sign(self, group: Group) -> None:
        values = self.values
        consumers = values.consumers[group.result]
        signs = [
            index
            for index in consumers
            if isinstance(values.operator(index), Threshold) and Kept.BITS in values.forms[index]
        ]
        if not signs:
            return
        group.sign = signs[0]
        alone = values.forms[signs[0]] == {Kept.BITS}
        if alone:
            self.absorbed.add(signs[0])
        group.keep = consumers != [signs[0]] or not alone or group.result == values.last

    def _can_pool(self, group: Group, pool: int) -> bool:
        op = self.values.operator(pool)
        assert isinstance(op, MaxPool)
        window = self.values.window(group.layer.op, group.layer.source)
        return not np.any(op.minimum) and max(window.pads[0], window.pads[2]) < window.kernel[0]

    def _small(self, index: int) -> bool:
        """Whether a value is stored in 16 bits or fewer."""
        operator = self.values.operator(index)
        if isinstance(operator, MaxPool | SumPool):
            return number_for(*self.values.range[index]) is not Number.I32 and self._small(
                self.values.net.wires[index][0]
            )
        return not isinstance(operator, Conv | Linear) and number_for(*self.values.range[index]) is not Number.I32

    def _only(self, index: int, kind: type) -> int | None:
        """The one operator that takes a value, where it is of this kind and the value is not the network's result."""
        consumers = self.values.consumers[index]
        if len(consumers) != 1 or index == self.values.last or not isinstance(self.values.operator(consumers[0]), kind):
            return None
        return consumers[0]

    # --- storage ---

    def numbers(self) -> dict[int, Number]:
        """Storage of each value's integers: residuals are stored like the sums they enter, pools like what they pool."""
        values = self.values
        leader = {index: index for index in values.range}

        def find(index: int) -> int:
            while leader[index] != index:
                index = leader[index]
            return index

        for group in self.groups.values():
            if group.other is not None:
                leader[find(group.other)] = find(group.result)
        for index, operator in enumerate(values.net.operators):
            if isinstance(operator, MaxPool) and index not in self.absorbed:
                leader[find(values.net.wires[index][0])] = find(index)
        members: dict[int, list[int]] = {}
        for index in leader:
            members.setdefault(find(index), []).append(index)
        wide = set(self.raw)
        for index, operator in enumerate(values.net.operators):
            if isinstance(operator, MaxPool | SumPool) and values.net.wires[index][0] in wide:
                wide.add(index)
        return {index: self._number(members[find(index)], wide) for index in leader}

    def _number(self, members: list[int], wide: set[int]) -> Number:
        if any(index in wide for index in members):
            return Number.I32
        ranges = [self.values.range[index] for index in members]
        number = number_for(min(low for low, _ in ranges), max(high for _, high in ranges))
        pooled = any(isinstance(self.values.operator(index), SumPool) for index in members)
        return Number.I16 if pooled and number is not Number.I32 else number


def describe(values: Values, index: int, op: Conv | Linear) -> Layer:
    """A layer as the kernel computes it. Raises FlipflowError E551 where no kernel can."""
    (source,) = values.net.wires[index]
    weights, form = values.weights(op, source), operand_form(op)
    offset = np.zeros(len(weights), np.int64)
    if form in (Kept.UP, Kept.DOWN):
        # With b = (a + 1) / 2, w a = 2 w b - w; with b = (1 - a) / 2, w a = w - 2 w b.
        sign = 1 if form is Kept.UP else -1
        offset = -sign * weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64)
        weights = 2 * sign * weights.astype(np.int64)
        if number_for(int(weights.min()), int(weights.max())) is Number.I32:
            raise refuse(op, "its weights need more than 16 bits.", "Use fewer bits.")
    binary = is_binary(op)
    low, high = values.reach(op, source)
    padded = isinstance(op, Conv) and any(op.pads)
    if padded and binary and op.pad_kind == "none":  # type: ignore[union-attr]
        raise refuse(op, "it has padding of no kind.", "Report this as a bug.")
    channels = weights.shape[3]
    if binary:
        fixed_parity = not padded or op.pad_kind != "zero" or channels % 2 == 0  # type: ignore[union-attr]
        step = 2 if fixed_parity else 1
        bound = np.full(len(weights), 2 * weights[0, :, :, 0].size * -(-channels // 64) * 64, np.int64)
    else:
        step = 1
        largest = 1 if form in (Kept.UP, Kept.DOWN) else max(abs(bound) for bound in values.range[source])
        bound = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1) * largest
    reach = requant.Reach(low - offset, high - offset, step, bound)
    return Layer(index, source, op, binary, weights.astype(np.int16, copy=False), offset, reach, op.weights[0].size)
