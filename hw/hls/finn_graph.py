"""A chain of FINN's dataflow layers as an ONNX model, its specialisation for a part, and its folding as FINN's JSON."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError

DOMAIN = "finn.custom_op.fpgadataflow"
_HLS_PREFERRED = ("MVAU", "Thresholding", "StreamingDataWidthConverter")
_FOLDING = ("PE", "SIMD")


@dataclass(frozen=True)
class Tensor:
    """A constant input of a layer: its name among the layer's inputs, integers, and FINN's datatype of them."""

    name: str
    values: NDArray[Any]
    dtype: str


@dataclass(frozen=True)
class _Layer:
    op_type: str
    name: str
    attributes: dict[str, Any]
    shape: tuple[int, ...]
    tensors: list[Tensor]
    dtype: str


@dataclass
class Chain:
    """Layers so far, and the stream that leaves the last of them: shape of a frame without the batch, datatype."""

    shape: tuple[int, ...]
    dtype: str
    layers: list[_Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep what the input looks like."""
        self._source = self.shape, self.dtype

    def add(
        self,
        op_type: str,
        name: str,
        attributes: dict[str, Any],
        shape: tuple[int, ...],
        tensors: list[Tensor] | None = None,
        dtype: str | None = None,
    ) -> None:
        """Append a layer that makes a stream of `shape` and `dtype` (None: as it came)."""
        self.dtype = self.dtype if dtype is None else dtype
        self.shape = shape
        self.layers.append(_Layer(op_type, name, attributes, shape, tensors or [], self.dtype))

    def model(self, metadata: dict[str, str]) -> Any:
        """The ModelWrapper, tensors annotated with shapes and datatypes."""
        from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415
        from qonnx.core.datatype import DataType  # noqa: PLC0415
        from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

        shape, dtype = self._source
        infos = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, *shape])]
        nodes, constants, dtypes = [], [], {"images": dtype}
        for layer in self.layers:
            names = {f"{layer.name}.{item.name}": item for item in layer.tensors}
            output = "output" if layer is self.layers[-1] else f"{layer.name}.out"
            inputs = [infos[-1].name, *names]
            attributes = {"backend": "fpgadataflow", **layer.attributes}
            nodes.append(helper.make_node(layer.op_type, inputs, [output], layer.name, domain=DOMAIN, **attributes))
            infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, *layer.shape]))
            constants += [numpy_helper.from_array(item.values.astype(np.float32), name) for name, item in names.items()]
            dtypes |= {output: layer.dtype, **{name: item.dtype for name, item in names.items()}}
        graph = helper.make_graph(nodes, "finn", infos[:1], infos[-1:], constants, value_info=infos[1:-1])
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
        model = ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="flipflow"))
        for name, kind in dtypes.items():
            model.set_tensor_datatype(name, DataType[kind])
        for key, value in metadata.items():
            model.set_metadata_prop(key, value)
        return model


def specialise(model: Any, part: str, converters: bool = False) -> Any:
    """HLS or RTL implementations of a FINN graph's layers for a part; HLS where FINN has both.

    converters: insert width converters where neighbours' streams differ. Raises: FlipflowError E250, E395.
    """
    from flipflow.export.finn.environment import quiet, start_finn  # noqa: PLC0415

    start_finn()
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC  # noqa: PLC0415
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers  # noqa: PLC0415

    with quiet():
        model = _implementations(model, part, SpecializeLayers)
        if converters:
            model = _implementations(model.transform(InsertDWC()), part, SpecializeLayers)
    return model


def _implementations(model: Any, part: str, specialize: Any) -> Any:
    """FINN's transformation `specialize`, with names kept, which it would replace."""
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    names = {}
    for node in model.graph.node:
        following = model.find_consumer(node.output[0])
        names[node.output[0]] = node.name or f"{following.name}_width"
        if node.op_type in _HLS_PREFERRED:
            getCustomOp(node).set_nodeattr("preferred_impl_style", "hls")
    try:
        model = model.transform(specialize(part))
    except Exception as error:  # FINN raises bare Exceptions
        fix = "Check the part's name, and FINN's version."
        raise FlipflowError("E395", f"FINN cannot specialise the layers ({error}).", part, fix) from error
    for node in model.graph.node:
        node.name = names[node.output[0]]
        if node.op_type == "Thresholding_hls":  # an attribute that only the specialised layer has
            getCustomOp(node).set_nodeattr("mem_mode", "internal_embedded")
    return model


def folding_config(model: Any) -> dict[str, dict[str, Any]]:
    """FINN's folding file of a graph: {"Defaults": {}, layer: {"PE": n, "SIMD": n}}."""
    from onnx import helper  # noqa: PLC0415

    config: dict[str, dict[str, Any]] = {"Defaults": {}}
    for node in model.graph.node:
        values = {item.name: helper.get_attribute_value(item) for item in node.attribute if item.name in _FOLDING}
        if values:
            config[node.name] = values
    return config
