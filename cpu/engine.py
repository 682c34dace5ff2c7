"""Runs plans: `Engine(plan, isa="auto", threads=1)(images)`.

Images are integers in the layout of the integer net, [N, H, W, C] or [N, K], bipolar ones as -1 and +1. Logits are integers;
their real value is logit_scale times them. Results do not depend on the instruction set, nor on the number of threads.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.cpu.compile import compile_plan
from flipflow.cpu.isa import available_isas, core, runnable
from flipflow.errors import FlipflowError
from flipflow.export.integer.net import IntegerNet

MAX_THREADS = 256
MAX_ROUNDS = 10_000
_SOUGHT = "thresholds one by one, as no line (bias + slope * v) >> shift in 32 bits equals them"
_NUMBERS: dict[str, type[np.integer[Any]]] = {"u8": np.uint8, "i8": np.int8, "i16": np.int16}


@dataclass(frozen=True)
class OperatorReport:
    """One operator of a plan, as the engine runs it.

    kind: as in src/plan_format.h. kernel: the function that runs it. input, output: "HxWxC number". macs: multiplications of an
    image. fallback: whether the scalar kernel stands in for one of the instruction set. repacked: whether its weights had to be
    laid out anew when the plan was loaded. form, layout, split: of convolutions, else "". pooled: whether a max-pool is in it.
    """

    name: str
    kind: str
    kernel: str
    input: str
    output: str
    macs: int
    fallback: bool
    repacked: bool
    form: str = ""
    layout: str = ""
    split: str = ""
    pooled: bool = False


@dataclass(frozen=True)
class Description:
    """An engine. network: sha256 of the integer net, as hex. bytes: of plan, arena, scratch, constants and repacked weights."""

    isa: str
    threads: int
    network: str
    classes: int
    bytes: dict[str, int]
    operators: tuple[OperatorReport, ...]

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What runs slower than it could, in words: scalar kernels, weights that another set's layout was written for, and
        activations whose thresholds no line in 32-bit arithmetic equals, so that each value is sought among them.
        """
        scalar = [f"{op.name}: {op.kernel}" for op in self.operators if op.fallback]
        repacked = [f"{op.name}: weights repacked" for op in self.operators if op.repacked]
        sought = [f"{op.name}: {_SOUGHT}" for op in self.operators if op.kind == "threshold_ints"]
        return (*scalar, *repacked, *sought)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "fallbacks": list(self.fallbacks)}


class Engine:
    """A plan, ready to run.

    plan: path of a plan file, which must not change meanwhile; a plan's bytes; or an integer net, which is compiled for `isa`.
    isa: "auto" for the best of this machine (or the one in $FLIPFLOW_ISA), or a name. threads: 1 to MAX_THREADS. Several Python
    threads may share an engine; they take turns.

    Raises: FlipflowError E550 (instruction set), E553 (threads), E554 (no sound plan), E555 (unreadable file), E556 (the compiled
    part is missing), and for nets those of compile_plan.
    """

    def __init__(self, plan: Path | str | bytes | IntegerNet, isa: str = "auto", threads: int = 1) -> None:
        isa, threads = runnable(isa), _count(threads, MAX_THREADS, "threads")
        where = str(plan) if isinstance(plan, Path | str) else "the plan"
        if isinstance(plan, IntegerNet):
            plan = compile_plan(plan, isa)
        self._plan = _load(plan, where)
        self._engine = _start(self._plan, isa, threads, where)
        number = _NUMBERS[self._plan.input_number]
        self._kind = np.dtype(number)
        self._shape: tuple[int, int, int] = tuple(self._plan.input_shape)
        self._range: tuple[int, int] = tuple(self._plan.input_range)
        reach = np.iinfo(number)
        self._any_value = self._range[0] <= reach.min and reach.max <= self._range[1]

    @property
    def isa(self) -> str:
        """The instruction set that runs."""
        return str(self._engine.isa)

    @property
    def threads(self) -> int:
        """Number of threads, this one included."""
        return int(self._engine.threads)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C); networks of vectors have H = W = 1."""
        return self._shape

    @property
    def classes(self) -> int:
        """Number of logits."""
        return int(self._plan.classes)

    @property
    def logit_scale(self) -> float:
        """Real value of one unit of the logits."""
        return float(self._plan.logit_scale)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits int64 [N, classes] of integer images [N, H, W, C], or [N, K] where H = W = 1.

        Raises: FlipflowError E552 where shape, type or range do not fit.
        """
        logits: np.ndarray = self._engine.run(self._accept(images)).astype(np.int64)
        return logits

    def profile(self, images: np.ndarray, rounds: int = 1) -> list[dict[str, Any]]:
        """Median time of each operator over images and rounds: {"name", "kind", "kernel", "macs", "nanoseconds"} in order.

        rounds: 1 to MAX_ROUNDS. Raises: FlipflowError E552 where images are wrong or none, E553 for rounds out of range.
        """
        accepted, rounds = self._accept(images), _count(rounds, MAX_ROUNDS, "rounds")
        if not len(accepted):
            raise _refused("there is none.", "Pass at least one.")
        times = self._engine.profile(accepted, rounds)
        return [
            {"name": op.name, "kind": op.kind, "kernel": op.kernel, "macs": op.macs, "nanoseconds": int(time)}
            for op, time in zip(self.describe().operators, times, strict=True)
        ]

    def describe(self) -> Description:
        """What runs here: memory, operators, kernels, fallbacks."""
        about = json.loads(self._engine.describe())
        known = OperatorReport.__dataclass_fields__
        operators = tuple(
            OperatorReport(**{key: value for key, value in op.items() if key in known}) for op in about["ops"]
        )
        return Description(
            about["isa"], about["threads"], about["network"], about["classes"], about["bytes"], operators
        )

    def _accept(self, images: np.ndarray) -> np.ndarray:
        """Contiguous images [N, H, W, C] in the plan's number type."""
        height, width, channels = self._shape
        wanted = f"[N, {height}, {width}, {channels}]"
        if not isinstance(images, np.ndarray) or images.dtype.kind not in "iu":
            kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
            raise _refused(f"they are {kind}, not integers.", f"Pass an integer array {wanted}.")
        vectors = images.ndim == 2 and height == width == 1 and images.shape[1] == channels
        if not vectors and (images.ndim != 4 or images.shape[1:] != self._shape):
            raise _refused(f"their shape is {list(images.shape)}.", f"Pass {wanted}.")
        low, high = self._range
        fits = self._any_value and images.dtype == self._kind  # of a type that holds nothing else
        if not fits and images.size and (int(images.min()) < low or int(images.max()) > high):
            found = f"{int(images.min())} to {int(images.max())}"
            raise _refused(f"their values reach {found}.", f"The network takes {low} to {high}.")
        return np.ascontiguousarray(images.reshape(-1, *self._shape), self._kind)


def _load(plan: Path | str | bytes, where: str) -> Any:
    native = core()
    try:
        if isinstance(plan, bytes | bytearray | memoryview):
            return native.Plan.from_bytes(bytes(plan))
        if not isinstance(plan, Path | str):
            what = f"it is of type {type(plan).__name__}."
            raise FlipflowError("E554", what, where, "Pass the path of a plan, a plan's bytes, or an IntegerNet.")
        str(plan).encode()
        if Path(plan).exists() and not Path(plan).is_file():  # a pipe would be waited for
            raise FlipflowError("E555", "it is no file.", where, "Name a plan file.")
        with Path(plan).open("rb"):  # to tell an unreadable file from a damaged one
            return native.Plan.open(str(plan))
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte, or not in UTF-8
        reason = error.strerror if isinstance(error, OSError) else error
        raise FlipflowError("E555", f"it cannot be read ({reason}).", where, "Name a plan file.") from error
    except native.PlanError as error:
        raise FlipflowError(
            "E554", f"{error}.", where, "Write the plan anew, with this version of flipflow."
        ) from error


def _start(plan: Any, isa: str, threads: int, where: str) -> Any:
    native = core()
    try:
        return native.Engine(plan, isa, threads)
    except native.PlanError as error:
        raise FlipflowError("E554", f"{error}.", where, "Write the plan anew.") from error
    except RuntimeError as error:
        what = f"the system refuses to start them ({error})."
        raise FlipflowError("E553", what, f"threads={threads}", "Take fewer threads.") from error


def _count(value: int, most: int, name: str) -> int:
    """`value`, a whole number of any integer type."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
        fix = f"Pass a whole number from 1 to {most:,}."
        raise FlipflowError("E553", f"there can be 1 to {most:,} {name}.", f"{name}={value!r}", fix)
    return int(value)


def _refused(what: str, fix: str) -> FlipflowError:
    return FlipflowError("E552", what, "images", fix)


__all__ = ["Description", "Engine", "OperatorReport", "available_isas"]
