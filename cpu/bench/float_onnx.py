"""Float graphs as ONNX models."""

import onnx
from onnx import TensorProto, helper, numpy_helper

from flipflow.cpu.bench.float_graph import FloatGraph, FloatNode
from flipflow.export.integer.net import NET_INPUT

INPUT = "image"
OUTPUT = "logits"
_OPSET = 17
_IR_VERSION = 8


def to_onnx(graph: FloatGraph) -> onnx.ModelProto:
    """fp32 model of one image: input `image` [1, C, H, W] or [1, K], output `logits`."""
    nodes, initializers = [], []
    for index, node in enumerate(graph.nodes):
        names = [_name(graph, source) for source in node.inputs]
        for part, array in (("weight", node.weight), ("bias", node.bias)):
            if array is not None:
                initializers.append(numpy_helper.from_array(array, f"{part}{index}"))
                names.append(f"{part}{index}")
        nodes.append(_onnx_node(node, names, _name(graph, index), index))
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (1, *graph.input_shape))]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, (1, *graph.nodes[-1].shape))]
    model = helper.make_model(
        helper.make_graph(nodes, graph.name, inputs, outputs, initializers),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model


def _name(graph: FloatGraph, index: int) -> str:
    if index == NET_INPUT:
        return INPUT
    return OUTPUT if index == len(graph.nodes) - 1 else f"value{index}"


def _onnx_node(node: FloatNode, inputs: list[str], output: str, index: int) -> onnx.NodeProto:
    name = f"{node.kind}{index}"
    window = {"kernel_shape": node.kernel, "strides": node.stride, "pads": node.pads}
    if node.kind == "conv":
        return helper.make_node("Conv", inputs, [output], name, **window)
    if node.kind == "max_pool":
        return helper.make_node("MaxPool", inputs, [output], name, **window)
    if node.kind == "average_pool":
        # The global one has a fast quantized form.
        if node.shape[1:] == (1, 1):
            return helper.make_node("GlobalAveragePool", inputs, [output], name)
        return helper.make_node("AveragePool", inputs, [output], name, **window)
    if node.kind == "gemm":
        return helper.make_node("Gemm", inputs, [output], name, transB=1)
    plain = {"relu": "Relu", "add": "Add", "flatten": "Flatten"}
    return helper.make_node(plain[node.kind], inputs, [output], name)
