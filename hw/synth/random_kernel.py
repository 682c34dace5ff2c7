"""Single kernels with random contents, to see what a kernel takes without a network.

A kernel is named after its RTL module (`mvu` is short for xnor_mvtu). Its attributes are those of its op (flipflow.hw.kernels);
whatever follows from others (accumulator widths, output datatypes, output size, rows of a ring) is worked out here.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.folding import divisors, nearest

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

Attributes = dict[str, Any]
Params = dict[str, NDArray[Any]]

_SHORT = {"mvu": "xnor_mvtu"}
_MATRIX: Attributes = {"MW": 512, "MH": 512, "PE": 16, "SIMD": 64, "Leading": [1], "Thresholds": 1}
# Attributes that may be given, and what they are where they are not.
_DEFAULTS: Mapping[str, Attributes] = {
    "xnor_mvtu": {**_MATRIX, "HasMask": 0},
    "mixed_mvtu": {
        **_MATRIX, "MW": 64, "MH": 64, "PE": 8, "SIMD": 8, "inputDataType": "UINT8", "weightDataType": "BIPOLAR"
    },
    "window": {
        "Channels": 64, "SIMD": 64, "IfmDim": [16, 16], "Kernel": [3, 3], "Stride": [1, 1], "PadTopLeft": [1, 1],
        "dataType": "BIPOLAR", "HasMask": 0, "PadValue": -1,
    },
    "pool": {"Channels": 64, "SIMD": 64, "Taps": 4, "OfmDim": [8, 8], "dataType": "BIPOLAR", "HasMask": 0},
    "threshold": {"Channels": 64, "PE": 8, "Leading": [1], "inputDataType": "UINT8", "Thresholds": 1},
    "argmax": {"Classes": 10, "PE": 10, "dataType": "INT16"},
    "requantize": {
        "Channels": 64, "PE": 4, "Leading": [1], "inputDataType": "INT11", "outputDataType": "INT9", "FactorBits": 17,
        "OffsetBits": 23, "Shift": 13, "Even": 0,
    },
    "residual_add": {
        "Channels": 64, "PE": 8, "Leading": [1], "inputDataType": "INT8", "inputDataType1": "INT9", "outputDataType": "INT8"
    },
    "sum_pool": {"Channels": 64, "SIMD": 4, "Taps": 64, "OfmDim": [1, 1], "dataType": "INT8"},
    "channel_pad": {"Channels": 16, "Before": 8, "After": 8, "Elems": 1, "Leading": [1], "dataType": "INT8"},
    "fork_stream": {"Shape": [1, 1024], "Elems": 32, "Outputs": 2, "dataType": "BIPOLAR", "HasMask": 0},
    "fifo": {"Shape": [1, 1024], "Elems": 32, "Depth": 32, "dataType": "BIPOLAR", "HasMask": 0},
    "width_converter": {"Shape": [1, 1024], "InElems": 8, "OutElems": 32, "dataType": "BIPOLAR"},
}  # fmt: skip
# What must divide what.
_FOLDS = {
    **dict.fromkeys(("xnor_mvtu", "mixed_mvtu"), (("PE", "MH"), ("SIMD", "MW"))),
    **dict.fromkeys(("window", "pool", "sum_pool"), (("SIMD", "Channels"),)),
    **dict.fromkeys(("threshold", "requantize", "residual_add"), (("PE", "Channels"),)),
    "channel_pad": tuple(("Elems", size) for size in ("Channels", "Before", "After")),
    "argmax": (("PE", "Classes"),),
}
_OPTIONAL = ("PadValue", "PadTopLeft", "HasMask", "Thresholds", "Shift", "Even", "Before", "After")  # that may be 0
# Ops that are not named after their module, and ops of two streams.
_OPS = {"fork_stream": "Fork"}
_STREAMS = {"residual_add": 2}
_MOST_LINE_BITS = 31


def kernel_names() -> tuple[str, ...]:
    """Kernels by name."""
    return (*_SHORT, *_DEFAULTS)


def attributes_of(name: str) -> Attributes:
    """The attributes that a kernel takes, with their default values.

    Raises: FlipflowError E364 where there is no such kernel.
    """
    full = _SHORT.get(name, name)
    if full not in _DEFAULTS:
        near = difflib.get_close_matches(name, kernel_names(), 1, 0.5)
        fix = (f"Did you mean {near[0]}? " if near else "") + f"The kernels are {', '.join(kernel_names())}."
        raise FlipflowError("E364", "there is no such kernel.", f"kernel {name!r}", fix)
    return dict(_DEFAULTS[full])


def random_kernel(name: str, given: Mapping[str, Any], seed: int) -> "tuple[KernelOp, Params]":
    """A kernel's op and its constant inputs, drawn from `seed`. given: attributes that are not to have their defaults.

    Raises: FlipflowError E364 (no such kernel or attribute, or an impossible value), E304 (a fold that does not divide).
    """
    values = attributes_of(name)
    full = _SHORT.get(name, name)
    for key, value in given.items():
        values[key] = _checked(name, key, value, values)
    for knob, size in _FOLDS.get(full, ()):
        _check_fold(name, knob, values[knob], size, values[size])
    params = _CONTENTS.get(full, _nothing)(values, np.random.default_rng(seed))
    return _op(full, values, len(params)), params


def _checked(name: str, key: str, value: Any, values: Attributes) -> Any:
    """A value that has the type of its default, and makes sense on its own."""
    where = f"kernel {name}, attribute {key}"
    if key not in values:
        raise FlipflowError("E364", "the kernel has no such attribute.", where, f"It takes {', '.join(values)}.")
    old = values[key]
    least = 0 if key in _OPTIONAL else 1
    numbers = value if isinstance(value, list) else [value]
    fits = type(value) is type(old) and (
        not isinstance(old, list) or len(old) == len(value) or key in ("Shape", "Leading")
    )
    if not fits or (not isinstance(value, str) and any(type(item) is not int for item in numbers)):
        raise FlipflowError("E364", f"{value!r} is not like {old!r}.", where, "Give a value of that form.")
    if isinstance(value, str) and re.fullmatch(r"BIPOLAR|TERNARY|U?INT([1-9]|[12][0-9]|3[0-2])", value) is None:
        fix = "Give BIPOLAR, INT2, INT3, ..., UINT1, UINT2, ..., up to 32 bits."
        raise FlipflowError("E364", f"{value!r} is no datatype.", where, fix)
    if not isinstance(value, str) and key != "PadValue" and min(numbers) < least:
        raise FlipflowError("E364", f"{value!r} is too small.", where, f"Give at least {least}.")
    return value


def _check_fold(name: str, knob: str, value: int, size: str, total: int) -> None:
    if total % value:
        near = " or ".join(str(item) for item in nearest(divisors(total), value))
        what = f"{value} does not divide {size} = {total}."
        raise FlipflowError("E304", what, f"kernel {name}, {knob}", f"The nearest legal values are {near}.")


def _op(full: str, values: Attributes, inputs: int) -> "KernelOp":
    from onnx import helper  # noqa: PLC0415
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    from flipflow.hw.kernels import DOMAIN  # noqa: PLC0415

    kind = _OPS.get(full, "".join(part.capitalize() for part in full.split("_")))
    names = [f"x{index}" for index in range(_STREAMS.get(full, 1))] + [f"p{index}" for index in range(inputs)]
    node = helper.make_node(kind, names, ["y"], full, domain=DOMAIN, backend="fpgadataflow", **values)
    op: KernelOp = getCustomOp(node)
    return op


# --- contents; each completes the attributes ---


def _nothing(values: Attributes, rng: np.random.Generator) -> Params:
    return {}


def _matrix(values: Attributes, rng: np.random.Generator) -> Params:
    """Weights, and thresholds around the middle of what random activations give."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    from flipflow.hw.layers import plan_sums  # noqa: PLC0415

    unit = "MixedMvtu" if "inputDataType" in values else "XnorMvtu"
    values.setdefault("inputDataType", "BIPOLAR")
    values.setdefault("weightDataType", "BIPOLAR")
    kind, shape = DataType[values["weightDataType"]], (values["MW"], values["MH"])
    weights = rng.integers(int(kind.min()), int(kind.max()) + 1, shape)
    if kind.name == "BIPOLAR":
        weights = rng.choice([-1, 1], shape)
    plan = plan_sums(weights, kind.name, values["inputDataType"], bool(values.get("HasMask", 0)))
    if plan is None or plan.op_type != unit:
        what = f"weights {kind.name} on {values['inputDataType']} are not for this unit."
        raise FlipflowError("E364", what, "weightDataType", "Give INTn weights, or take xnor_mvtu.")
    values |= {"weightDataType": plan.weight_dtype, "outputDataType": plan.sum_dtype, "AccWidth": plan.acc_width(None)}
    levels = values["Thresholds"]
    if not levels:
        return {"weights": weights}
    middle, spread = (plan.low + plan.high) / 2, np.maximum(1.0, (plan.high - plan.low) / np.sqrt(12 * values["MW"]))
    draws = rng.normal(middle[:, None], spread[:, None], (values["MH"], levels))
    thresholds = np.clip(np.sort(np.rint(draws), axis=1), plan.low[:, None], plan.high[:, None]).astype(np.int64)
    values |= {"outputDataType": _levels_dtype(levels), "AccWidth": plan.acc_width(thresholds)}
    return {"weights": weights, "thresholds": thresholds, "invert": rng.integers(0, 2, (values["MH"],))}


def _levels_dtype(levels: int) -> str:
    """Of an activation that `levels` thresholds make."""
    return "BIPOLAR" if levels == 1 else f"UINT{levels.bit_length()}"


def _thresholds(values: Attributes, rng: np.random.Generator) -> Params:
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    from flipflow.hw.kernels.rom import signed_width, unsigned_width  # noqa: PLC0415

    kind = DataType[values["inputDataType"]]
    low, high, levels = int(kind.min()), int(kind.max()), values["Thresholds"]
    if levels < 1:
        raise FlipflowError("E364", "there is no threshold.", "Thresholds", "Give at least 1.")
    thresholds = np.sort(rng.integers(low, high + 1, (values["Channels"], levels)), axis=1)
    width = signed_width(low, high) if low < 0 else unsigned_width(high)
    values |= {"outputDataType": _levels_dtype(levels), "AccWidth": width}
    return {"thresholds": thresholds, "invert": rng.integers(0, 2, (values["Channels"],))}


def _ring(values: Attributes, rng: np.random.Generator) -> Params:
    from flipflow.hw.kernels.window import ring_rows  # noqa: PLC0415

    sizes = zip(values["IfmDim"], values["PadTopLeft"], values["Kernel"], values["Stride"], strict=True)
    ofm = [(size + 2 * pad - kernel) // stride + 1 for size, pad, kernel, stride in sizes]
    if min(ofm) < 1 or any(pad >= k for pad, k in zip(values["PadTopLeft"], values["Kernel"], strict=True)):
        what = (
            f"a {values['Kernel']} window, padded by {values['PadTopLeft']}, does not fit the map {values['IfmDim']}."
        )
        raise FlipflowError("E364", what, "window", "Give a larger map, a smaller Kernel, or a smaller PadTopLeft.")
    values |= {"OfmDim": ofm, "Rows": ring_rows(values["Kernel"][0], values["Stride"][0])}
    return {}


def _minimum(values: Attributes, rng: np.random.Generator) -> Params:
    return {"minimum": np.zeros(values["Channels"])}


def _lines(values: Attributes, rng: np.random.Generator) -> Params:
    """Random lines; of each width there is one that needs it."""
    from flipflow.hw.requantize import Line  # noqa: PLC0415

    numbers = []
    for key in ("FactorBits", "OffsetBits"):
        if not 2 <= values[key] <= _MOST_LINE_BITS:
            what = f"{values[key]} bits are not for a line."
            raise FlipflowError("E364", what, key, f"Give 2..{_MOST_LINE_BITS}.")
        bound = 1 << values[key] - 1
        numbers.append(rng.integers(-bound, bound, values["Channels"]))
        numbers[-1][0] = -bound
    if values["Even"] not in (0, 1) or not values["Even"] <= values["Shift"] <= _MOST_LINE_BITS:
        what = f"Even {values['Even']} with Shift {values['Shift']} is not for a line."
        raise FlipflowError("E364", what, "Shift", f"Give a Shift up to {_MOST_LINE_BITS}, and of at least 1 for Even.")
    factor, offset = numbers
    values |= Line(factor, offset, values["Shift"], bool(values["Even"])).attributes(values["inputDataType"])
    _range(values, rng)
    return {"factor": factor, "offset": offset}


def _range(values: Attributes, rng: np.random.Generator) -> Params:
    """All of the output datatype."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    kind = DataType[values["outputDataType"]]
    if kind.name in ("BIPOLAR", "TERNARY") or kind.bitwidth() >= _MOST_LINE_BITS:
        fix = f"Give an INT or UINT of less than {_MOST_LINE_BITS} bits."
        raise FlipflowError("E364", f"{kind.name} is not for sums that saturate.", "outputDataType", fix)
    values |= {"Minimum": int(kind.min()), "Maximum": int(kind.max())}
    return {}


def _sums(values: Attributes, rng: np.random.Generator) -> Params:
    from flipflow.hw.kernels.sum_pool import sum_dtype_of  # noqa: PLC0415

    values["outputDataType"] = sum_dtype_of(values["dataType"], values["Taps"])
    return {}


_CONTENTS: Mapping[str, Callable[[Attributes, np.random.Generator], Params]] = {
    "xnor_mvtu": _matrix,
    "mixed_mvtu": _matrix,
    "threshold": _thresholds,
    "window": _ring,
    "pool": _minimum,
    "requantize": _lines,
    "residual_add": _range,
    "sum_pool": _sums,
}
