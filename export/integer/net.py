"""The integer network: operators on integer tensors in NHWC, how they are wired, and its files integer.json and integer.npz.

Encoding of a bipolar tensor: bit 1 is +1, bit 0 is -1. Weights of bipolar layers are stored packed, eight a byte, channel 0 in
bit 0; others as int16. No pickle is written or read.
"""

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flipflow.errors import FlipflowError

FORMAT_VERSION = 2
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
PadKind = Literal["none", "minus_one", "plus_one", "zero"]
Domain = Literal["popcount", "sum"]


@dataclass(frozen=True)
class ActType:
    """Range of an integer tensor: -1 and +1 where `bipolar`, else all of minimum..maximum in `bits` bits."""

    bits: int
    signed: bool
    bipolar: bool
    minimum: int
    maximum: int

    @property
    def levels(self) -> int:
        """Number of steps a quantizer of this type takes: maximum - minimum, or 1 where bipolar."""
        return 1 if self.bipolar else self.maximum - self.minimum


@dataclass(frozen=True)
class Conv:
    """Convolution. weights: int16 [M, KH, KW, C]; pads: top, left, bottom, right; result int32 [N, OH, OW, M].

    domain "popcount": the result is p, the number of matching bits (bipolar times bipolar without zero padding; the dot product
    is 2p - K); "sum": the result is the dot product itself.
    """

    name: str
    weights: np.ndarray
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    pad_kind: PadKind
    input: ActType
    weight_bits: int
    weight_bipolar: bool
    domain: Domain


@dataclass(frozen=True)
class Linear:
    """Fully connected layer. weights: int16 [M, K], K in NHWC order of the incoming map; result int32 [N, M]."""

    name: str
    weights: np.ndarray
    input: ActType
    weight_bits: int
    weight_bipolar: bool
    domain: Domain


@dataclass(frozen=True)
class Threshold:
    """Integer activation. count = number of i with acc >= levels[c, i]; output = minimum + (L - count if invert[c] else count).

    levels: int32 [C, L], rising in i, in the accumulator's domain; invert: bool [C]. A bipolar output is +1 where the single
    comparison, after inversion, holds.
    """

    name: str
    levels: np.ndarray
    invert: np.ndarray
    output: ActType


@dataclass(frozen=True)
class MaxPool:
    """Maximum over a window, minimum where `minimum`[c]; padded taps take no part."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    minimum: np.ndarray


@dataclass(frozen=True)
class Add:
    """Residual addition: a + b, then explicit saturation to output.minimum..maximum. Both operands have the same unit."""

    name: str
    output: ActType


@dataclass(frozen=True)
class SumPool:
    """Sum over a window, int32; over the whole map it is the global sum. The division of an average is in what follows."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]


Operator = Conv | Linear | Threshold | MaxPool | Add | SumPool
NET_INPUT = -1


@dataclass(frozen=True)
class IntegerNet:
    """input_shape: (H, W, C) or (K,). logit_scale: real value of one unit of the integer logits, a power of two.

    wires: for each operator the indices of the operators whose results it takes, NET_INPUT for the network's input; always
    earlier ones, two for Add, else one. A result that several operators take is a fork. Left out: a chain. The last operator
    gives the logits.
    """

    input: ActType
    input_shape: tuple[int, ...]
    operators: tuple[Operator, ...]
    logit_scale: float
    classes: int
    wires: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.wires:
            object.__setattr__(self, "wires", tuple((index - 1,) for index in range(len(self.operators))))
        if len(self.wires) != len(self.operators):
            raise ValueError(f"{len(self.wires)} wires for {len(self.operators)} operators")
        for index, (operator, sources) in enumerate(zip(self.operators, self.wires, strict=True)):
            wanted = 2 if isinstance(operator, Add) else 1
            if len(sources) != wanted or not all(NET_INPUT <= source < index for source in sources):
                raise ValueError(f"operator {index} ({operator.name}) is wired to {list(sources)}")

    @property
    def is_chain(self) -> bool:
        """Whether every operator takes the result of the one before it, and nothing else."""
        return all(sources == (index - 1,) for index, sources in enumerate(self.wires))

    def save(self, json_path: Path, npz_path: Path) -> None:
        """Write both files; callers see to it that a half-written pair is never taken for a whole one."""
        arrays: dict[str, np.ndarray] = {}
        operators = [_describe(op, arrays) for op in self.operators]
        document = {
            "format": "flipflow-integer",
            "version": FORMAT_VERSION,
            "input": asdict(self.input),
            "input_shape": list(self.input_shape),
            "logit_scale": self.logit_scale,
            "classes": self.classes,
            "operators": operators,
            "wires": [list(sources) for sources in self.wires],
        }
        json_path.write_text(json.dumps(document, indent=1) + "\n")
        np.savez_compressed(npz_path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, json_path: Path, npz_path: Path) -> "IntegerNet":
        """Raises FlipflowError E220 where a file is missing, damaged, or not of this format."""
        try:
            document = json.loads(json_path.read_text())
            if document["format"] != "flipflow-integer" or document["version"] != FORMAT_VERSION:
                raise ValueError(f"format {document['format']} version {document['version']}")
            with np.load(npz_path, allow_pickle=False) as arrays:
                operators = tuple(_restore(entry, arrays) for entry in document["operators"])
            return cls(
                input=ActType(**document["input"]),
                input_shape=tuple(document["input_shape"]),
                operators=operators,
                logit_scale=float(document["logit_scale"]),
                classes=int(document["classes"]),
                wires=tuple(tuple(int(source) for source in sources) for sources in document["wires"]),
            )
        except _UNREADABLE as error:
            raise FlipflowError(
                "E220", f"not a readable integer net ({error}).", str(json_path), "Run `flipflow export` again."
            ) from error


def _describe(op: Operator, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """JSON entry of an operator; its arrays go to `arrays` under "<name>.<field>"."""
    entry: dict[str, Any] = {"op": type(op).__name__}
    for field, value in vars(op).items():
        if isinstance(value, np.ndarray):
            arrays[f"{op.name}.{field}"] = _pack(op, field, value)
            entry[field] = {"array": f"{op.name}.{field}", "shape": list(value.shape)}
        else:
            entry[field] = asdict(value) if isinstance(value, ActType) else value
    return entry


def _pack(op: Operator, field: str, value: np.ndarray) -> np.ndarray:
    if field == "weights" and isinstance(op, Conv | Linear):
        if op.weight_bipolar:
            return np.packbits(value > 0, axis=-1, bitorder="little")
        return value.astype(np.int16)
    return value


def _restore(entry: dict[str, Any], arrays: Any) -> Operator:
    kinds: dict[str, type[Operator]] = {
        kind.__name__: kind for kind in (Conv, Linear, Threshold, MaxPool, Add, SumPool)
    }
    fields: dict[str, Any] = {}
    for field, value in entry.items():
        if field == "op":
            continue
        if isinstance(value, dict) and "array" in value:
            array = arrays[value["array"]]
            if field == "weights" and entry["weight_bipolar"]:
                array = (
                    np.unpackbits(array, axis=-1, count=value["shape"][-1], bitorder="little").astype(np.int16) * 2 - 1
                )
            if list(array.shape) != value["shape"]:
                raise ValueError(f"{value['array']} has the shape {array.shape}, not {value['shape']}")
            fields[field] = array
        elif isinstance(value, dict):
            fields[field] = ActType(**value)
        else:
            fields[field] = tuple(value) if isinstance(value, list) else value
    return kinds[entry["op"]](**fields)
