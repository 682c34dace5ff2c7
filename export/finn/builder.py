"""Builds ONNX graphs of integer tensors, node by node at a tip; and the nodes that thresholds and pools become."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from flipflow.export.finn.formats import Format, attributes, integer_dtype
from flipflow.export.finn.heads import implicit
from flipflow.export.finn.network import Network, fail
from flipflow.export.finn.rewrite import to_nhwc
from flipflow.export.finn.thresholds import Pool, Thresholds

GENERAL = "qonnx.custom_op.general"
OWN = "flipflow.export.finn.ops"


class GraphBuilder:
    """Collects nodes, each at the tip; `name` and `shape` are those of the tip, the last node's output or where `go` went."""

    def __init__(self, name: str, shape: list[int], dtype: str) -> None:
        """Starts at a graph input of the given shape and FINN datatype."""
        self.name, self.shape = name, shape
        self.source = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        self.nodes: list[NodeProto] = []
        self.infos: list[Any] = []
        self.constants: list[TensorProto] = []
        self.dtypes = {name: dtype}
        self.shapes = {name: shape}

    @property
    def dtype(self) -> str:
        """FINN's datatype of the tip."""
        return self.dtypes[self.name]

    def go(self, name: str) -> None:
        """Moves the tip to an earlier tensor."""
        self.name, self.shape = name, self.shapes[name]

    def constant(self, values: NDArray[Any], dtype: str) -> str:
        """Adds an initializer."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        self.dtypes[name] = dtype
        return name

    def add(self, op: str, others: list[str], shape: list[int], dtype: str, domain: str = "", **values: Any) -> None:
        """Adds a node at the tip; others: its inputs behind the tip, constants or tensors."""
        output = f"chain_{len(self.nodes)}"
        node = helper.make_node(
            op, [self.name, *others], [output], name=f"{op}_{len(self.nodes)}", domain=domain, **values
        )
        self.nodes.append(node)
        self.name, self.shape = output, shape
        self.infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
        self.dtypes[output] = dtype
        self.shapes[output] = shape

    def transpose(self, perm: list[int]) -> None:
        """Adds a Transpose."""
        self.add("Transpose", [], [self.shape[i] for i in perm], self.dtype, perm=perm)

    def finish(self) -> Any:
        """The graph as a qonnx ModelWrapper; the tip is its output."""
        from qonnx.core.datatype import DataType  # noqa: PLC0415
        from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

        end = next((info for info in self.infos if info.name == self.name), self.source)
        others = [info for info in self.infos if info is not end]
        graph = helper.make_graph(self.nodes, "streamlined", [self.source], [end], self.constants, value_info=others)
        opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 13), (GENERAL, 1), (OWN, 1))]
        proto: ModelProto = helper.make_model(graph, opset_imports=opsets, producer_name="flipflow")
        model = ModelWrapper(proto)
        for tensor, dtype in self.dtypes.items():
            model.set_tensor_datatype(tensor, DataType[dtype])
        return model


def output_encoding(form: Format, binary: bool = False) -> dict[str, Any]:
    """out_dtype, out_scale, out_bias of a threshold node that makes a format; binary: bits for an XNOR layer."""
    if form.bipolar and binary:
        return {"out_dtype": "BINARY", "out_scale": 1.0, "out_bias": 0.0}
    if form.bipolar:
        return {"out_dtype": "BIPOLAR", "out_scale": 2.0, "out_bias": -1.0}
    return {"out_dtype": form.dtype, "out_scale": 1.0, "out_bias": float(form.low)}


def threshold_dtype(level: NDArray[Any]) -> str:
    """Smallest integer datatype that holds all thresholds."""
    return integer_dtype(int(level.min()), int(level.max()))


def multi_threshold(
    builder: GraphBuilder, level: NDArray[np.int64], form: Format, layout: str, binary: bool = False
) -> None:
    """Adds a MultiThreshold with thresholds [C,N] that makes the format."""
    name = builder.constant(level, threshold_dtype(level))
    encoding = output_encoding(form, binary)
    builder.add("MultiThreshold", [name], builder.shape, encoding["out_dtype"], GENERAL, data_layout=layout, **encoding)


def add_pool(builder: GraphBuilder, network: Network, pool: Pool) -> None:
    """Adds a MaxMinPool.

    Raises: FlipflowError E254 for one that is not two-dimensional or leaves its padding to the runtime.
    """
    values = attributes(pool.node)
    out = to_nhwc(network.shape(pool.node.output[0]))
    kernel = [int(v) for v in values["kernel_shape"]]  # type: ignore[attr-defined]
    dilated = any(v != 1 for v in values.get("dilations", [1]))  # type: ignore[attr-defined]
    if len(kernel) != 2 or dilated or implicit(pool.node):
        what = "only 2-D pools with explicit pads and without dilation are supported."
        raise fail("E254", pool.node, what, "Use MaxPool2d, and give its padding as numbers.")
    low = [int(c) for c in np.flatnonzero(pool.minimum)]
    builder.add(
        "MaxMinPool",
        [],
        out,
        builder.dtype,
        OWN,
        kernel=kernel,
        stride=list(values.get("strides", [1, 1])),  # type: ignore[call-overload]
        pads=list(values.get("pads", [0, 0, 0, 0])),  # type: ignore[call-overload]
        ofm_dim=out[1:3],
        **({"min_channels": low} if low else {}),
    )


def pools_and_flatten(builder: GraphBuilder, network: Network, thresholds: Thresholds, end: str) -> None:
    """Adds a stage's pools, and a Flatten where its end is flat. In and out: NHWC or NC."""
    for pool in thresholds.pools:
        add_pool(builder, network, pool)
    if len(builder.shape) == 4 and len(network.shape(end)) == 2:
        builder.add("Flatten", [], [1, int(np.prod(builder.shape))], builder.dtype, axis=1)
