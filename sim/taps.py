"""What enters each layer, at every level, as the same kind of array: the points at which two levels can be compared.

A tap is the integer activation that enters a Conv or fully connected layer (NHWC int64, bipolar as -1 and +1; before padding
and flattening), and at the end the integer logits [N, classes]. Taps are numbered by layer from 0.
"""

import numpy as np

from flipflow.config import LevelName
from flipflow.export.integer.net import NET_INPUT, Conv, Linear
from flipflow.sim import reference
from flipflow.sim.levels import Network, cpu_isa

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
    isa = cpu_isa(level)
    if isa is not None:
        from flipflow.sim.cpu_taps import cpu_taps  # noqa: PLC0415

        return cpu_taps(network.net, isa, integers)
    if level == "finn":
        return [*_finn(network, integers), network.run(level, images).logits]
    from flipflow.sim.stream_taps import rtl_taps  # noqa: PLC0415

    return rtl_taps(network, images)


def layer_names(network: Network) -> list[str]:
    """Names of the layers that the taps enter, and of the output."""
    layers = [op.name for op in network.net.operators if isinstance(op, Conv | Linear)]
    return [f"input of {name}" for name in layers] + ["logits"]


def _integer(network: Network, integers: np.ndarray) -> list[np.ndarray]:
    net = network.net
    outputs = {NET_INPUT: integers}
    found: list[np.ndarray] = []
    for index, (operator, output) in enumerate(reference.layers(net, integers)):
        if isinstance(operator, Conv | Linear):
            found.append(outputs[net.wires[index][0]].astype(np.int64))
        outputs[index] = output
    return [*found, output.reshape(len(integers), -1).astype(np.int64)]


def _qonnx(network: Network, images: np.ndarray) -> list[np.ndarray]:
    graph = network.canonical.graph
    found: list[np.ndarray] = []
    # By tensor: its unit, and its values; what only moves data stands for what it moves.
    known: dict[str, tuple[float, np.ndarray]] = {}
    for node, value in network.canonical.activations(images):
        scale, before = known.get(graph.data_inputs(node)[0], (1.0, value))
        if node.op_type in ("Conv", "MatMul"):
            found.append(_channels_last(np.rint(before.astype(np.float64) / scale)))
        if node.op_type in ("Quant", "BipolarQuant"):
            scale = graph.quantizer_scale(node)
        known[node.output[0]] = (scale, before if node.op_type in _MOVED else value)
    return found


def _torch(network: Network, images: np.ndarray) -> list[np.ndarray]:
    import torch  # noqa: PLC0415
    from brevitas.nn import QuantIdentity  # noqa: PLC0415

    from flipflow.export.torch_trace import trace  # noqa: PLC0415
    from flipflow.train.layers import ConstantBorder  # noqa: PLC0415
    from flipflow.train.loop import load_model  # noqa: PLC0415

    module = load_model(network.run_dir / "checkpoint.pt")
    found: list[np.ndarray] = []
    for call in trace(module, torch.from_numpy(images)):
        if not call.is_layer:
            continue
        before = call.source
        while before is not None and isinstance(before.module, ConstantBorder | torch.nn.Flatten):
            before = before.source
        quantizer = before
        while quantizer is not None and not isinstance(quantizer.module, QuantIdentity):
            quantizer = quantizer.source
        assert before is not None and quantizer is not None and isinstance(quantizer.module, QuantIdentity)
        scale = float(quantizer.module.act_quant.scale())
        found.append(_channels_last(np.rint(before.value.numpy().astype(np.float64) / scale)))
    return found


def _finn(network: Network, integers: np.ndarray) -> list[np.ndarray]:
    from flipflow.export.finn.execute import load, run_nodes  # noqa: PLC0415
    from flipflow.export.finn.ops import annotation  # noqa: PLC0415

    model = load(network.run_dir / "streamlined.onnx")
    source = model.graph.input[0].name
    bits = network.net.input.bipolar and annotation(model.graph, source) == "BINARY"
    found: list[np.ndarray] = []
    # By tensor; what only moves data stands for what it moves.
    known = {source: (integers + 1) // 2 if bits else integers}
    for node, value in run_nodes(model, integers):
        before = known[node.input[0]]
        if node.op_type in ("XnorPopcountMatMul", "MatMul"):
            signs = 2 * before - 1 if node.op_type == "XnorPopcountMatMul" else before
            found.append(np.rint(signs).astype(np.int64))
        known[node.output[0]] = before if node.op_type in _MOVED else value
    return found


def _channels_last(value: np.ndarray) -> np.ndarray:
    return (value.transpose(0, 2, 3, 1) if value.ndim == 4 else value).astype(np.int64)
