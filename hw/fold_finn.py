"""FINN's own folding of the same layers, for comparison: what its SetFolding chooses at a pace, in this project's kernels.

SetFolding (finn.transformation.fpgadataflow.set_folding, with the builder's defaults) knows the op types of FINN's layers only.
So every layer is shown to it as FINN's layer that takes as many cycles at every fold: a matrix unit as an MVAU whose legal PE and
SIMD are this project's, anything else as a Thresholding, which has PE alone. A convolution's window shares the unit's SIMD here;
where FINN gives the window more, the unit gets it too, and then the least PE that is fast enough, as SetFolding goes about it.
"""

from typing import TYPE_CHECKING, Any

from flipflow.hw.fold_layers import PRODUCTS, Knobs, Layer, layers_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

_HLS = "finn.custom_op.fpgadataflow.hls"
_RTL = "finn.custom_op.fpgadataflow.rtl"


def set_folding(model: Any, cycles: int) -> dict[str, Knobs]:
    """PE and SIMD of every layer of a kernel graph as SetFolding chooses them for `cycles` a frame. The graph is folded so
    afterwards; FINN takes the pace that it can reach where it cannot reach this one.
    """
    layers = layers_of(model)
    for layer in layers:
        layer.apply({key: values[0] for key, values in layer.legal().items()} | dict.fromkeys(layer.memories(), "auto"))
    chosen = _folded(layers, cycles)
    folds: dict[str, Knobs] = {}
    for layer in layers:
        folds[layer.name] = _fold(layer, chosen, cycles)
        layer.apply(folds[layer.name])
    return folds


def _fold(layer: Layer, chosen: dict[str, tuple[int, int]], cycles: int) -> Knobs:
    """A layer's knobs from what FINN chose for its kernels, {kernel: (PE, SIMD)}."""
    legal, (pe, simd) = layer.legal(), chosen[layer.name]
    if layer.main.onnx_node.op_type not in PRODUCTS:
        window = chosen[layer.window.name][0] if layer.window is not None else 1
        return {key: _at_least(values, max(pe, window)) for key, values in legal.items()}
    if layer.window is not None and chosen[layer.window.name][0] > simd:
        simd = chosen[layer.window.name][0]
        steps = int(layer.main.get_exp_cycles()) // simd
        pe = next((value for value in legal["pe"] if steps // value <= cycles), legal["pe"][-1])
    return {"pe": _at_least(legal["pe"], pe), "simd": simd}


def _at_least(values: list[int], value: int) -> int:
    return next((item for item in values if item >= value), values[-1])


def _folded(layers: tuple[Layer, ...], cycles: int) -> dict[str, tuple[int, int]]:
    """(PE, SIMD) that SetFolding chooses for every kernel but forks, paddings and arg-max."""
    from flipflow.export.finn.environment import quiet, start_finn  # noqa: PLC0415

    start_finn()
    from finn.transformation.fpgadataflow.set_folding import SetFolding  # noqa: PLC0415
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    kernels = [(layer, kernel) for layer in layers for kernel in (layer.window, layer.main) if kernel is not None]
    with quiet():
        graph = _graph([_node(index, *item) for index, item in enumerate(kernels)])
        graph = graph.transform(SetFolding(cycles))
    folds = {}
    for (_, kernel), node in zip(kernels, graph.graph.node, strict=True):
        op = getCustomOp(node)
        simd = int(op.get_nodeattr("SIMD")) if node.op_type.startswith("MVAU") else 1
        folds[kernel.name] = int(op.get_nodeattr("PE")), simd
    return folds


def _node(index: int, layer: Layer, kernel: "KernelOp") -> Any:
    """FINN's layer that takes as many cycles as an unfolded kernel, and folds as it does."""
    from onnx import helper  # noqa: PLC0415

    tensors = [f"tensor{index}", f"constant{index}"], [f"tensor{index + 1}"]
    legal = layer.legal()
    if kernel is layer.main and kernel.onnx_node.op_type in PRODUCTS:
        outputs, inputs = legal["pe"][-1], legal["simd"][-1]
        sizes = {"MW": inputs, "MH": outputs, "numInputVectors": [int(kernel.get_exp_cycles()) // (inputs * outputs)]}
        weights = {"weightDataType": kernel.text("weightDataType"), "inputDataType": kernel.text("inputDataType")}
        types = weights | {"outputDataType": kernel.text("outputDataType"), "noActivation": 1}
        return helper.make_node("MVAU_hls", *tensors, domain=_HLS, backend="fpgadataflow", **sizes, **types)
    knob = "simd" if kernel is layer.window else next(iter(legal), None)  # a unit behind a window has PE, too
    channels = legal[knob][-1] if knob is not None else 1
    cycles = int(kernel.get_exp_cycles())
    sizes = {"NumChannels": channels, "numInputVectors": [cycles // channels], "numSteps": 1}
    types = {"inputDataType": "INT8", "weightDataType": "INT8", "outputDataType": "BINARY"}
    return helper.make_node("Thresholding_rtl", *tensors, domain=_RTL, backend="fpgadataflow", **sizes, **types)


def _graph(nodes: list[Any]) -> Any:
    from onnx import TensorProto, helper  # noqa: PLC0415
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in ("tensor0", f"tensor{len(nodes)}")
    ]
    constants = [helper.make_tensor(f"constant{index}", TensorProto.FLOAT, [1], [0.0]) for index in range(len(nodes))]
    graph = helper.make_graph(nodes, "layers", ends[:1], ends[1:], constants)
    return ModelWrapper(helper.make_model(graph, ir_version=9, producer_name="flipflow"))
