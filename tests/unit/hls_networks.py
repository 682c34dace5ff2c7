"""Small networks that use everything the conversion to FINN's layers covers, folded; torch's answers come with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from hw_graphs import Array, Net
from qonnx.custom_op.registry import getCustomOp

from flipflow.export.finn.environment import quiet, start_finn
from flipflow.hw.convert import convert as to_kernels
from flipflow.hw.folding import FoldRequest, fold


def mixed_network() -> Net:
    """Falling quantizer, zero padding of bipolar maps, pooled minima, integer maps, a padded pool, integer weights."""
    net = Net([6, 5, 2], "UINT8", 1).levels("BIPOLAR", falls=True)
    net.conv(4, (3, 3), pads=(1, 1, 1, 1), border="zero").levels("BINARY").pool(2, 2, minimum=(1, 3))
    net.conv(6, (2, 2)).levels("UINT2").conv(4, (1, 1), "INT3").levels("BIPOLAR")
    return net.pool(2, 1, pad=1).linear(5, "INT3")


def xnor_network() -> Net:
    """XNOR layers alone, with borders of -1 and +1 and strides that leave pixels over."""
    net = Net([8, 7, 2], "BINARY", 2).conv(4, (3, 2), pads=(1, 1, 0, 1), border="minus_one").levels("BINARY")
    net.conv(6, (3, 3), stride=(2, 1), pads=(1, 0, 1, 1), border="plus_one").levels("BINARY")
    return net.linear(4)


def integer_network() -> Net:
    """Signed integers in, several levels between, no bipolar map at all."""
    return Net([24], "INT4", 3).linear(6, "INT3").levels("INT3").linear(4, "BIPOLAR")


def masked_network() -> Net:
    """A zero-padded bipolar input, and pools on INT2 maps between zero-padded layers."""
    net = Net([6, 6, 3], "BIPOLAR", 4).conv(4, (3, 3), pads=(1, 1, 1, 1), border="zero").levels("BIPOLAR").pool(2, 2)
    return net.conv(4, (3, 3), "TERNARY", pads=(1, 1, 1, 1), border="zero").levels("BINARY").linear(3)


NETWORKS = {"mixed": mixed_network, "xnor": xnor_network, "integer": integer_network, "masked": masked_network}


def kernels(net: Net, layers: dict[str, dict[str, int]] | None = None) -> Any:
    """The folded kernel graph."""
    model = to_kernels(net.model())
    fold(model, FoldRequest(layers=layers or {}))
    return model


def save_run(net: Net, folder: Path) -> Path:
    """What of a built run the level hls reads."""
    kernels(net).save(str(folder / "folded.onnx"))
    return folder


def execute_finn(model: Any, images: Array) -> Array:
    """Logits by the Python meaning that FINN gives its layers, an image at a time."""
    start_finn()
    about = json.loads(model.get_metadata_prop("flipflow"))
    low = -1 if about["input"]["dtype"] in ("INT2", "BIPOLAR") else 0
    constants = {item.name: model.get_initializer(item.name) for item in model.graph.initializer}
    outputs = []
    with quiet():
        for image in images:
            values = np.where(image < 0, low, 1) if about["input"]["bipolar"] else image
            context = {**constants, "images": values[None].astype(np.float32)}
            for node in model.graph.node:
                context[node.output[0]] = np.zeros(model.get_tensor_shape(node.output[0]), np.float32)
                getCustomOp(node).execute_node(context, model.graph)
            outputs.append(np.rint(context["output"]).astype(np.int64).ravel())
    scale, offset = about["output"]["scale"], about["output"]["offset"]
    logits: Array = scale * np.array(outputs) + offset
    return logits
