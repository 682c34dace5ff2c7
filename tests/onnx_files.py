"""Small ONNX files, written node by node with onnx.helper, and their execution by QONNX itself.

Nothing of flipflow is used here, so that what a test expects is independent of it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

QONNX_DOMAIN = "qonnx.custom_op.general"


class GraphWriter:
    """A graph under construction; `tip` is the tensor that the next node takes."""

    def __init__(self, *input_shape: int | str) -> None:
        self.input_shape = input_shape
        self.tip = "image"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        """An initializer; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def side(self, op: str, *inputs: str, domain: str = "", name: str = "", **attributes: Any) -> str:
        """A node beside the data path; its output."""
        output = f"t{len(self.nodes)}"
        name = name or f"{op}_{output}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, domain=domain, **attributes))
        return output

    def node(self, op: str, *operands: str, **attributes: Any) -> str:
        """A node that takes the tip as its first input; its output is the new tip."""
        self.tip = self.side(op, self.tip, *operands, **attributes)
        return self.tip

    def sign(self, tensor: str | None = None, scale: float = 1.0) -> str:
        """A BipolarQuant of `tensor`, or of the tip."""
        if tensor is not None:
            return self.side("BipolarQuant", tensor, self.constant(scale), domain=QONNX_DOMAIN)
        return self.node("BipolarQuant", self.constant(scale), domain=QONNX_DOMAIN)

    def quant(self, bits: float, scale: float = 1.0, tensor: str | None = None, **attributes: Any) -> str:
        """A Quant of `tensor`, or of the tip; signed, not narrow, round half to even unless told otherwise."""
        operands = [self.constant(value) for value in (scale, 0.0, bits)]
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", "domain": QONNX_DOMAIN} | attributes
        if tensor is not None:
            return self.side("Quant", tensor, *operands, **attributes)
        return self.node("Quant", *operands, **attributes)

    def model(self, opset: int = 13, **extra: Any) -> onnx.ModelProto:
        """The model; its output is the tip."""
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(self.input_shape))],
            [helper.make_tensor_value_info(self.tip, TensorProto.FLOAT, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, **extra)
        model.ir_version = 8
        return model


def save(model: onnx.ModelProto, folder: Path) -> Path:
    """The model as a file in `folder`."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def executed(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """What QONNX's own executor makes of the file as it is, image by image: float32 [N, outputs]."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    dims = fixed.graph.input[0].type.tensor_type.shape.dim
    dims[0].ClearField("dim_param")
    dims[0].dim_value = 1
    wrapper = ModelWrapper(fixed).transform(InferShapes())
    output = wrapper.graph.output[0].name
    rows = [execute_onnx(wrapper, {"image": image[None]})[output].reshape(-1) for image in images]
    return np.stack(rows)


def signs(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Random float32 -1 and +1."""
    return generator.choice(np.array([-1.0, 1.0], np.float32), shape)


def integers(generator: np.random.Generator, low: int, high: int, *shape: int) -> np.ndarray:
    """Random whole float32 numbers in low..high."""
    return generator.integers(low, high + 1, shape).astype(np.float32)
