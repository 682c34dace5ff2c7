"""Cycle behaviour of the stream kernels, cycle by cycle from their definition, for any pattern of stalls.

Every function takes what source and sink did (bit t of `offered` and `ready`: in_valid_i and out_ready_i in cycle t)
and returns the cycles in which input words and output words must have been taken.
"""

from dataclasses import dataclass, field

Beats = tuple[list[int], list[int]]


@dataclass
class Pipe:
    """Pipeline registers that all move when the last one is empty or taken; the last one is the output register."""

    latency: int
    stages: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        self.stages = [False] * self.latency

    @property
    def full(self) -> bool:
        return self.stages[-1]

    def move(self, emit: bool) -> None:
        self.stages = [emit, *self.stages[:-1]]


@dataclass(frozen=True)
class Steps:
    """Kernel of `steps` steps a vector: step s takes a word if s < consume, emits from emit_from on, by period."""

    steps: int
    consume: int
    emit_from: int
    emit_period: int
    latency: int

    def __call__(self, offered: str, ready: str) -> Beats:
        pipe, step = Pipe(self.latency), 0
        taken: list[int] = []
        sent: list[int] = []
        for t, (valid, take) in enumerate(zip(offered, ready, strict=True)):
            enable = take == "1" or not pipe.full
            if pipe.full and take == "1":
                sent.append(t)
            if not enable:
                continue
            needs = step < self.consume
            if needs and valid == "1":
                taken.append(t)
            fires = not needs or valid == "1"
            emits = step >= self.emit_from and (step - self.emit_from) % self.emit_period == 0
            pipe.move(fires and emits)
            step = (step + fires) % self.steps
        return taken, sent


@dataclass(frozen=True)
class SkidSteps(Steps):
    """The same with a skid buffer: a refused result goes there; input and pipeline stand from the next cycle on."""

    def __call__(self, offered: str, ready: str) -> Beats:
        pipe, step, kept = Pipe(self.latency), 0, False
        taken: list[int] = []
        sent: list[int] = []
        for t, (valid, take) in enumerate(zip(offered, ready, strict=True)):
            if (kept or pipe.full) and take == "1":
                sent.append(t)
            if kept:
                kept = take == "0"
                continue
            kept = pipe.full and take == "0"
            needs = step < self.consume
            if needs and valid == "1":
                taken.append(t)
            fires = not needs or valid == "1"
            emits = step >= self.emit_from and (step - self.emit_from) % self.emit_period == 0
            pipe.move(fires and emits)
            step = (step + fires) % self.steps
        return taken, sent


def mvtu_latency(simd: int, act_bits: int, act_signed: bool, act_bipolar: bool, weight_bits: int, read: int = 1) -> int:
    """Cycles from a step to the result it completes: take, read, products and their sum, accumulate, compare.

    read: cycles of reading.
    """
    if act_bipolar and weight_bits == 1:
        # A level counts up to 3, 7, 15, ... matches, a power of two one more; registers after levels 1, 3, 5 and the last.
        levels = next(level for level in range(1, 8) if simd <= 2 ** (level + 1))
        return 3 + read + {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4}[levels]
    one_bit = act_bits == 1 and not act_signed  # bipolar, or 0 and 1
    depth = next(depth for depth in range(7) if simd <= 2**depth)  # of a binary tree with a register every two levels
    return 3 + read + (1 if one_bit or weight_bits == 1 else 2) + {0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}[depth]


@dataclass(frozen=True)
class Window:
    """Sliding-window generator; see the parameters of the kernel."""

    words_per_pixel: int
    ifm: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    ofm: tuple[int, int]
    rows: int

    @property
    def rows_used(self) -> int:
        return min(self.ifm[0], (self.ofm[0] - 1) * self.stride[0] - self.pad[0] + self.kernel[0])

    def base(self, oy: int) -> int:
        return min(max(oy * self.stride[0] - self.pad[0], 0), self.rows_used)

    def taps(self) -> list[tuple[int, int, int, int, int]]:
        """(oy, ox, iy, ix, cf) of every step of a frame, padded taps included."""
        return [
            (oy, ox, oy * self.stride[0] - self.pad[0] + ky, ox * self.stride[1] - self.pad[1] + kx, cf)
            for oy in range(self.ofm[0])
            for ox in range(self.ofm[1])
            for ky in range(self.kernel[0])
            for kx in range(self.kernel[1])
            for cf in range(self.words_per_pixel)
        ]

    def is_pad(self, iy: int, ix: int) -> bool:
        return not (0 <= iy < self.ifm[0] and 0 <= ix < self.ifm[1])

    def plan(self) -> list[tuple[int | None, int]]:
        """Each step of a frame: offset of its word from the base row (None: padding), and the words it releases."""
        row_words = self.ifm[1] * self.words_per_pixel
        taps = self.taps()
        steps: list[tuple[int | None, int]] = []
        for i, (oy, _, iy, ix, cf) in enumerate(taps):
            offset = (iy - self.base(oy)) * row_words + ix * self.words_per_pixel + cf
            released = 0
            if i + 1 == len(taps):
                released = self.rows_used - self.base(oy)
            elif taps[i + 1][0] != oy:
                released = self.base(oy + 1) - self.base(oy)
            steps.append((None if self.is_pad(iy, ix) else offset, released * row_words))
        return steps

    def __call__(self, offered: str, ready: str) -> Beats:
        plan, pipe = self.plan(), Pipe(2)
        row_words = self.ifm[1] * self.words_per_pixel
        frame_words, kept = self.ifm[0] * row_words, self.rows_used * row_words
        occ = step = word = 0
        taken: list[int] = []
        sent: list[int] = []
        for t, (valid, take) in enumerate(zip(offered, ready, strict=True)):
            enable = take == "1" or not pipe.full
            if pipe.full and take == "1":
                sent.append(t)
            drop, change = word >= kept, 0
            if valid == "1" and (drop or occ < self.rows * row_words):
                taken.append(t)
                word = (word + 1) % frame_words
                change += not drop
            if enable:
                offset, released = plan[step]
                fires = offset is None or offset < occ
                pipe.move(fires)
                if fires:
                    change -= released
                    step = (step + 1) % len(plan)
            occ += change
        return taken, sent


@dataclass(frozen=True)
class Gearbox:
    """Width converter with a buffer of in_elems + out_elems elements."""

    in_elems: int
    out_elems: int

    def __call__(self, offered: str, ready: str) -> Beats:
        level = 0
        taken: list[int] = []
        sent: list[int] = []
        for t, (valid, take) in enumerate(zip(offered, ready, strict=True)):
            push = valid == "1" and level + self.in_elems <= self.in_elems + self.out_elems
            pop = take == "1" and level >= self.out_elems
            if push:
                taken.append(t)
            if pop:
                sent.append(t)
            level += push * self.in_elems - pop * self.out_elems
        return taken, sent


@dataclass(frozen=True)
class Fifo:
    """First-in first-out buffer."""

    depth: int

    def __call__(self, offered: str, ready: str) -> Beats:
        count = 0
        taken: list[int] = []
        sent: list[int] = []
        for t, (valid, take) in enumerate(zip(offered, ready, strict=True)):
            push, pop = valid == "1" and count < self.depth, take == "1" and count > 0
            if push:
                taken.append(t)
            if pop:
                sent.append(t)
            count += push - pop
        return taken, sent


@dataclass(frozen=True)
class Fork:
    """A register that every output empties once; filled when none is left that has not done so, or only such as do so now."""

    outputs: int

    def __call__(self, offered: list[str], ready: list[str]) -> tuple[list[list[int]], list[list[int]]]:
        waiting: set[int] = set()
        taken: list[int] = []
        sent: list[list[int]] = [[] for _ in range(self.outputs)]
        for t, valid in enumerate(offered[0]):
            for output in sorted(waiting):
                if ready[output][t] == "1":
                    sent[output].append(t)
                    waiting.discard(output)
            if not waiting and valid == "1":
                taken.append(t)
                waiting = set(range(self.outputs))
        return [taken], sent


@dataclass(frozen=True)
class Join:
    """Takes a word at both inputs at once; pipeline registers as of `Pipe`."""

    latency: int

    def __call__(self, offered: list[str], ready: list[str]) -> tuple[list[list[int]], list[list[int]]]:
        pipe = Pipe(self.latency)
        taken: list[int] = []
        sent: list[int] = []
        for t, take in enumerate(ready[0]):
            if pipe.full and take == "1":
                sent.append(t)
            if pipe.full and take == "0":
                continue
            both = offered[0][t] == offered[1][t] == "1"
            if both:
                taken.append(t)
            pipe.move(both)
        return [taken, taken], [sent]


@dataclass(frozen=True)
class Pad:
    """Words of a pixel: `before` without input, `through` that each take one, `after` without."""

    before: int
    through: int
    after: int

    def __call__(self, offered: str, ready: str) -> Beats:
        pipe, word = Pipe(1), 0
        taken: list[int] = []
        sent: list[int] = []
        for t, (valid, take) in enumerate(zip(offered, ready, strict=True)):
            if pipe.full and take == "1":
                sent.append(t)
            if pipe.full and take == "0":
                continue
            needs = self.before <= word < self.before + self.through
            if needs and valid == "1":
                taken.append(t)
            gives = not needs or valid == "1"
            pipe.move(gives)
            word = (word + gives) % (self.before + self.through + self.after)
        return taken, sent
