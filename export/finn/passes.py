"""FINN's own part of the lowering, and the one replacement that has to happen in the middle of it."""

from typing import Any

from onnx import NodeProto, helper

from flipflow.export.finn.builder import OWN
from flipflow.export.finn.network import COMPUTE
from flipflow.export.finn.rewrite import IntegerStage


def path_of(model: Any) -> list[NodeProto]:
    """The nodes of a chain in stream order."""
    nodes: list[NodeProto] = []
    tensor = model.graph.input[0].name
    while (node := model.find_consumer(tensor)) is not None:
        nodes.append(node)
        tensor = node.output[0]
    return nodes


def _tidy(model: Any) -> Any:
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames  # noqa: PLC0415
    from qonnx.transformation.infer_data_layouts import InferDataLayouts  # noqa: PLC0415
    from qonnx.transformation.infer_datatypes import InferDataTypes  # noqa: PLC0415
    from qonnx.transformation.infer_shapes import InferShapes  # noqa: PLC0415

    steps = (InferShapes(), GiveUniqueNodeNames(), GiveReadableTensorNames(), InferDataTypes(), InferDataLayouts())
    for step in steps:
        model = model.transform(step)
    return model


def run_finn(model: Any, stretch: tuple[IntegerStage, ...]) -> Any:
    """FINN's part, on the body of a stretch: convolutions lowered and turned to NHWC, XNOR, corrections absorbed into thresholds.

    Of FINN's `Streamline` only the passes run that find something to do in an integer graph (the others move float
    scales, and none is left; a test shows that the full `Streamline` changes nothing more). That takes a tenth of the
    time.
    """
    from finn.transformation.streamline import absorb, round_thresholds  # noqa: PLC0415
    from qonnx.transformation.bipolar_to_xnor import ConvertBipolarMatMulToXnorPopcount  # noqa: PLC0415
    from qonnx.transformation.infer_datatypes import InferDataTypes  # noqa: PLC0415
    from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul  # noqa: PLC0415

    model = _tidy(model).transform(LowerConvsToMatMul())
    _replace_im2col(model, stretch)
    for step in (
        absorb.AbsorbTransposeIntoMultiThreshold(),
        absorb.AbsorbConsecutiveTransposes(),
        InferDataTypes(),
        ConvertBipolarMatMulToXnorPopcount(),
        absorb.AbsorbAddIntoMultiThreshold(),
        absorb.AbsorbMulIntoMultiThreshold(),
        round_thresholds.RoundAndClipThresholds(),
    ):
        model = model.transform(step)
    return model


def _replace_im2col(model: Any, stretch: tuple[IntegerStage, ...]) -> None:
    from qonnx.util.basic import get_by_name  # noqa: PLC0415

    layer = 0
    for node in path_of(model):
        if node.op_type in COMPUTE:
            layer += 1
        if node.op_type != "Im2Col":
            continue
        kernel, stride, pads = (
            list(get_by_name(node.attribute, name).ints) for name in ("kernel_size", "stride", "pad_amount")
        )
        head = stretch[layer].layer
        assert head is not None
        new = helper.make_node(
            "Window",
            node.input,
            node.output,
            domain=OWN,
            kernel=kernel,
            stride=stride,
            pads=pads,
            pad_kind=head.pad_kind,
        )
        index = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        model.graph.node.insert(index, new)
