"""A small residual network as a kernel graph, made by hand: a fork, a binary convolution, the sum with what went around it."""

from typing import Any

import numpy as np

from flipflow.hw.graph import KernelNode, assemble

SIZE = [6, 6]


def residual_kernels() -> Any:
    """6x6x2 at 4 bits; conv0 (3x3, padded) 6x6x4 at 4 bits; around: threshold0 and conv1 (3x3, binary, padded); add0; fc0 3."""
    nodes = [
        _window("conv0_window", 2, "UINT4", 0),
        _unit("MixedMvtu", "conv0", 18, 4, "UINT4", "INT4", 10, levels=15, OutBias=-8),
        KernelNode("Fork", "fork0", {"Shape": [1, *SIZE, 4], "Elems": 1, "dataType": "INT4", "Outputs": 2}),
        _threshold(),
        _window("conv1_window", 4, "BIPOLAR", 1),
        _unit("XnorMvtu", "conv1", 36, 4, "BIPOLAR", "INT7", 7, HasMask=1),
        _sum(),
        _unit("MixedMvtu", "fc0", 144, 3, "INT8", "INT17", 17, leading=[1]),
        KernelNode("Argmax", "argmax", {"Classes": 3, "dataType": "INT17"}),
    ]
    return assemble(nodes, {"input": {"shape": [*SIZE, 2]}})


def _window(name: str, channels: int, dtype: str, mask: int) -> KernelNode:
    same = {"IfmDim": SIZE, "OfmDim": SIZE, "Kernel": [3, 3], "Stride": [1, 1], "PadTopLeft": [1, 1], "Rows": 6}
    return KernelNode("Window", name, {"Channels": channels, "dataType": dtype, "HasMask": mask, **same})


def _unit(
    kind: str, name: str, inputs: int, outputs: int, act: str, out: str, acc: int, levels: int = 0, **more: Any
) -> KernelNode:
    values = {"MW": inputs, "MH": outputs, "Leading": more.pop("leading", [1, *SIZE]), "AccWidth": acc, **more}
    values |= {"inputDataType": act, "weightDataType": "BIPOLAR", "outputDataType": out, "Thresholds": levels}
    params: dict[str, Any] = {"weights": np.ones((inputs, outputs))}
    if levels:
        params |= {"thresholds": np.tile(np.arange(levels), (outputs, 1)), "invert": np.zeros(outputs)}
    return KernelNode(kind, name, values, params)


def _threshold() -> KernelNode:
    values = {"Channels": 4, "Leading": [1, *SIZE], "inputDataType": "INT4", "outputDataType": "BIPOLAR"}
    params = {"thresholds": np.zeros((4, 1)), "invert": np.zeros(4)}
    return KernelNode("Threshold", "threshold0", {**values, "AccWidth": 4, "Thresholds": 1}, params, ("fork0",))


def _sum() -> KernelNode:
    values = {"Channels": 4, "Leading": [1, *SIZE], "inputDataType": "INT7", "inputDataType1": "INT4"}
    limits = {"outputDataType": "INT8", "Minimum": -128, "Maximum": 127}
    return KernelNode("ResidualAdd", "add0", values | limits, {}, ("conv1", "fork0:1"))
