"""Evaluates the elementwise chain of a segment on given accumulator values, in float32, with qonnx's execution.

The chain runs node by node as the QONNX file states it, only on another arrangement of pixels: a 4-D chain on
[1,C,V,1], a 2-D chain on [V,C], for V values of each of C channels. Max-pools are left out; the tensor at each of them
is returned. A sum or average over windows before the chain runs on windows whose first pixel holds the sum, the others 0: sums
of integers below 2^24 are exact in every order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from flipflow.export.finn.network import SHAPING, Network, Segment, WindowSum, fail

# fmt: off
ELEMENTWISE = frozenset(
    [
        "Mul", "Add", "Sub", "Div", "Relu", "Clip", "PRelu", "LeakyRelu", "Neg", "Abs", "Sigmoid", "Tanh",
        "HardSigmoid", "Elu", "Selu", "Celu", "Softplus", "Softsign", "Erf", "Exp", "Log", "Sqrt", "Pow", "Floor",
        "Ceil", "Round", "Sign", "Min", "Max", "Identity", "ThresholdedRelu", "Reciprocal", "BatchNormalization",
        "Quant", "IntQuant", "BipolarQuant",
    ]
)
# fmt: on
# Their float results never turn: a rounded product or sum with a constant is as ordered as an exact one.
ORDERED = frozenset(
    "Mul Add Sub Div Relu Clip Neg Identity Min Max BatchNormalization Quant IntQuant BipolarQuant".split()
)
BATCH = 2**20  # values evaluated at once, over all channels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """One elementwise node. dynamic: index of its input; constants by input index: size 1 as in the file, else [C]."""

    node: NodeProto
    dynamic: int
    constants: dict[int, Floats]


@dataclass(frozen=True)
class Program:
    """The elementwise chain of a segment. pools: number of steps before each max-pool. spatial: 4-D.

    summed: the sum over windows before it, if there is one; what is fed to `evaluate` are then these sums.
    """

    steps: tuple[Step, ...]
    pools: tuple[int, ...]
    channels: int
    spatial: bool
    opsets: tuple[Any, ...]
    summed: WindowSum | None = None

    @property
    def ordered(self) -> bool:
        """Whether the chain certainly rises or falls in every channel, rounding included."""
        return all(
            step.node.op_type in ORDERED and (step.node.op_type != "Div" or step.dynamic == 0) for step in self.steps
        )


def _per_channel(node: NodeProto, constant: Floats, shape: list[int], channels: int) -> Floats:
    """A constant as [C]; `shape` is that of the tensor it meets: [1,C,H,W], or [1,F] with F = C*H*W after a Flatten."""
    if node.op_type == "BatchNormalization":
        constant = constant.reshape([-1] + [1] * (len(shape) - 2))
    try:
        full = np.broadcast_to(constant, shape).reshape(channels, -1)
    except ValueError:
        full = np.empty((channels, 0), np.float32)
    if full.shape[1] == 0 or not np.array_equal(full, np.broadcast_to(full[:, :1], full.shape)):
        what = f"its constant of shape {list(constant.shape)} varies within a channel of {shape}."
        raise fail("E257", node, what, "Use one value per channel; after a Flatten, put such nodes before it.")
    return np.ascontiguousarray(full[:, 0])


def _data_input(model: Any, node: NodeProto) -> str:
    """The input of a chain's node that is no constant."""
    names = [name for name in node.input if name and model.get_initializer(name) is None]
    if len(names) != 1:
        fix = "Store constants as initializers; fold what computes them."
        raise fail("E257", node, f"of its inputs {names} only one may be no constant.", fix)
    return str(names[0])


def compile_segment(network: Network, segment: Segment, summed: WindowSum | None = None) -> Program:
    """The elementwise chain up to the segment's last quantizer; `summed`: the head that it follows, if that sums windows.

    Raises: FlipflowError E257 for a node that is not elementwise or a constant that varies within a channel.
    """
    model = network.model
    shape = network.shape(segment.source)
    channels = shape[1]
    steps: list[Step] = []
    pools: list[int] = []
    for node in segment.nodes[: segment.thresholds]:
        name = _data_input(model, node)
        if node.op_type == "MaxPool":
            pools.append(len(steps))
        if node.op_type in SHAPING:
            continue
        if node.op_type not in ELEMENTWISE:
            fix = f"Between two layers only {', '.join(sorted(ELEMENTWISE))}, MaxPool and Flatten can be lowered."
            raise fail("E257", node, "it is not elementwise.", fix)
        constants = {}
        for index, other in enumerate(node.input):
            if other and other != name:
                value = np.asarray(model.get_initializer(other))
                constants[index] = (
                    value if value.size == 1 else _per_channel(node, value, network.shape(name), channels)
                )
        steps.append(Step(node, list(node.input).index(name), constants))
    return Program(tuple(steps), tuple(pools), channels, len(shape) == 4, tuple(model.model.opset_import), summed)


def _shaped(step: Step, constant: Floats, part: slice, spatial: bool) -> Floats:
    if step.node.op_type == "BatchNormalization":
        return np.array(constant.reshape(-1)[part] if constant.size > 1 else constant.reshape(-1))
    if constant.size == 1:
        return constant
    return constant[part].reshape([1, -1, 1, 1] if spatial else [1, -1])


def _model(program: Program, part: slice, rows: int) -> Any:
    """A qonnx model of the program for `rows` values of the channels `part`; tensors t0, t1, ..."""
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

    width = len(range(*part.indices(program.channels)))
    shape = [1, width, rows, 1] if program.spatial else [rows, width]
    infos = [helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, shape) for i in range(len(program.steps) + 1)]
    nodes, constants = [], []
    for index, step in enumerate(program.steps):
        node = NodeProto()
        node.CopyFrom(step.node)
        node.input[step.dynamic], node.output[0] = f"t{index}", f"t{index + 1}"
        for position, value in step.constants.items():
            node.input[position] = f"c{index}_{position}"
            array = _shaped(step, value, part, program.spatial)
            constants.append(numpy_helper.from_array(np.asarray(array), node.input[position]))
        del node.output[1:]
        nodes.append(node)
    graph = helper.make_graph(nodes, "chain", infos[:1], infos[-1:], constants, value_info=infos[1:-1])
    for constant in constants:  # qonnx looks for every tensor's shape among the value infos
        graph.value_info.append(helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims))
    return ModelWrapper(helper.make_model(graph, opset_imports=list(program.opsets)))


def evaluate(program: Program, values: Floats, first_channel: int = 0) -> tuple[list[Floats], Floats]:
    """Runs the program on values float32 [V,C'] of the channels first_channel, first_channel+1, ...

    Returns: the tensor at each pool, and the result, all [V,C'].
    """
    if program.summed is not None:
        values = _window_results(program.summed, program.opsets, values)
    count, width = values.shape
    rows = max(1, min(count, BATCH // width))
    part = slice(first_channel, first_channel + width)
    model = _model(program, part, rows)
    pooled = [np.empty(values.shape, np.float32) for _ in program.pools]
    result = np.empty(values.shape, np.float32)
    for begin, piece in _pieces(values, rows):
        tensors = _run(model, piece, program.spatial)
        for index, step in enumerate(program.pools):
            pooled[index][begin : begin + rows] = tensors[step][: count - begin]
        result[begin : begin + rows] = tensors[-1][: count - begin]
    return pooled, result


def _pieces(values: Floats, rows: int) -> Iterator[tuple[int, Floats]]:
    """Pieces of exactly `rows` rows; the last one is filled up with copies of the last row."""
    for begin in range(0, len(values), rows):
        piece = values[begin : begin + rows]
        yield begin, np.pad(piece, ((0, rows - len(piece)), (0, 0)), mode="edge")


def _run(model: Any, piece: Floats, spatial: bool) -> list[Floats]:
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415

    x = piece.T[None, :, :, None] if spatial else piece
    context = execute_onnx(model, {"t0": np.ascontiguousarray(x)}, return_full_exec_context=True)
    tensors = [np.asarray(context[f"t{i}"], np.float32) for i in range(len(model.graph.node) + 1)]
    return [tensor[0, :, :, 0].T for tensor in tensors] if spatial else tensors


def _window_results(summed: WindowSum, opsets: tuple[Any, ...], sums: Floats) -> Floats:
    """What the node `summed` makes of windows that add up to `sums` [V,C], as the file states it."""
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415

    distinct, places = np.unique(sums, return_inverse=True)
    windows = np.zeros((len(distinct), 1, *summed.kernel), np.float32)
    windows[:, 0, 0, 0] = distinct
    node = NodeProto()
    node.CopyFrom(summed.node)
    node.input[0], node.output[0] = "windows", "results"
    flat = any(a.name == "keepdims" and a.i == 0 for a in node.attribute)
    constants = [numpy_helper.from_array(np.array([2, 3]), name) for name in node.input[1:] if name]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("windows", windows.shape),
            ("results", (len(distinct), 1) if flat else (len(distinct), 1, 1, 1)),
        )
    ]
    axes = [helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims) for constant in constants]
    graph = helper.make_graph([node], "window", infos[:1], infos[1:], constants, value_info=axes)
    model = ModelWrapper(helper.make_model(graph, opset_imports=list(opsets)))
    results = np.asarray(execute_onnx(model, {"windows": windows})["results"], np.float32).reshape(-1)
    return results[places].reshape(sums.shape)
