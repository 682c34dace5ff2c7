"""What enters each layer, at every level, as the same kind of array: the points at which two levels can be compared.

A tap is the integer activation that enters a Conv or fully connected layer (NHWC int64, bipolar as -1 and +1; before padding
and flattening), and at the end the integer logits [N, classes]. Taps are numbered by layer from 0.
"""

import numpy as np

from flipflow.config import LevelName
from flipflow.export.integer.net import Conv, Linear
from flipflow.sim import reference
from flipflow.sim.levels import Network

_MOVED = ("Pad", "Flatten", "Window")


def taps(network: Network, level: LevelName, images: np.ndarray) -> list[np.ndarray]:
    """Taps of a few float32 `images` [N, ...] at one level. rtl gives the streams of the simulated hardware."""
    if level == "torch":
        return [*_torch(network, images), network.run(level, images).logits]
    if level == "qonnx":
        return [*_qonnx(network, images), network.run(level, images).logits]
    integers = network.canonical.integers(images)
    if level == "integer":
        return _integer(network, integers)
    if level == "finn":
        return [*_finn(network, integers), network.run(level, images).logits]
    from flipflow.sim.stream_taps import rtl_taps  # noqa: PLC0415

    return rtl_taps(network, images)


def layer_names(network: Network) -> list[str]:
    """Names of the layers that the taps enter, and of the output."""
    layers = [op.name for op in network.net.operators if isinstance(op, Conv | Linear)]
    return [f"input of {name}" for name in layers] + ["logits"]


def _integer(network: Network, integers: np.ndarray) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    value = integers
    for operator, output in reference.layers(network.net, integers):
        if isinstance(operator, Conv | Linear):
            found.append(value.astype(np.int64))
        value = output
    return [*found, value.reshape(len(integers), -1).astype(np.int64)]


def _qonnx(network: Network, images: np.ndarray) -> list[np.ndarray]:
    chain = network.canonical.chain
    found: list[np.ndarray] = []
    scale, before = 1.0, np.zeros(0)
    for node, value in network.canonical.activations(images):
        if node.op_type in ("Conv", "MatMul"):
            found.append(_channels_last(np.rint(before.astype(np.float64) / scale)))
        if node.op_type in ("Quant", "BipolarQuant"):
            scale = chain.quantizer_scale(node)
        if node.op_type not in _MOVED:
            before = value
    return found


def _torch(network: Network, images: np.ndarray) -> list[np.ndarray]:
    import torch  # noqa: PLC0415
    from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear  # noqa: PLC0415

    from flipflow.train.layers import ConstantBorder  # noqa: PLC0415
    from flipflow.train.loop import load_model  # noqa: PLC0415

    module = load_model(network.run_dir / "checkpoint.pt")
    found: list[np.ndarray] = []
    scale, value = 1.0, torch.from_numpy(images)
    before = value
    with torch.no_grad():
        for part in module.children():
            if isinstance(part, QuantConv2d | QuantLinear):
                found.append(_channels_last(np.rint(before.numpy().astype(np.float64) / scale)))
            value = part(value)
            if isinstance(part, QuantIdentity):
                scale = float(part.act_quant.scale())
            if not isinstance(part, ConstantBorder | torch.nn.Flatten):
                before = value
    return found


def _finn(network: Network, integers: np.ndarray) -> list[np.ndarray]:
    from flipflow.export.finn.execute import load, run_nodes  # noqa: PLC0415
    from flipflow.export.finn.ops import annotation  # noqa: PLC0415

    model = load(network.run_dir / "streamlined.onnx")
    found: list[np.ndarray] = []
    before = integers.astype(np.int64)
    for node, value in run_nodes(model, integers):
        if node.op_type in ("XnorPopcountMatMul", "MatMul"):
            found.append(before)
        if node.op_type not in _MOVED:
            bits = annotation(model.graph, node.output[0]) == "BINARY"
            before = np.rint(2 * value - 1 if bits else value).astype(np.int64)
    return found


def _channels_last(value: np.ndarray) -> np.ndarray:
    return (value.transpose(0, 2, 3, 1) if value.ndim == 4 else value).astype(np.int64)
