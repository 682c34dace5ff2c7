"""Windows, pools and sums over windows as kernels."""

from dataclasses import replace
from typing import Any

import numpy as np

from flipflow.hw.conversion.levels import as_integers
from flipflow.hw.conversion.net import Flow, Net, attributes_of, refuse
from flipflow.hw.graph import Attributes


def conv_border(flow: Flow, node: Any) -> tuple[int, bool]:
    """(pad value, masked) of a convolution's window."""
    attributes = attributes_of(node)
    kind = attributes.get("pad_kind", b"none")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    padded = any(attributes.get("pads", [0, 0, 0, 0]))
    if kind == "zero" and padded:
        return 0, flow.dtype == "BIPOLAR"
    if kind in ("minus_one", "plus_one"):
        if flow.dtype != "BIPOLAR":
            raise refuse(node, f"padding kind {kind} is for bipolar maps, this one is {flow.dtype}.")
        return (1 if kind == "plus_one" else -1), False
    if kind not in ("none", "zero") or padded:
        raise refuse(node, f"padding kind {kind} with pads {list(attributes.get('pads', []))} is unknown.")
    return 0, False


def add_window(
    net: Net, flow: Flow, node: Any, name: str, border: tuple[int, bool], ofm: list[int] | None = None
) -> Flow:
    """Append a Window; ofm: its output size where it is not what full windows give. Returns the windows.

    Raises: FlipflowError E302 where the stream is no map, or windows lie outside of it.
    """
    from flipflow.hw.kernels.window import ring_rows  # noqa: PLC0415

    if len(flow.shape) != 4:
        raise refuse(node, f"a window needs a map [1, H, W, C], not {list(flow.shape)}.")
    attributes = attributes_of(node)
    kernel, stride = [int(v) for v in attributes["kernel"]], [int(v) for v in attributes["stride"]]
    top, left, bottom, right = (int(v) for v in attributes.get("pads", [0, 0, 0, 0]))
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        what = f"pads {[top, left, bottom, right]} make windows of kernel {kernel} that lie wholly outside the map."
        raise refuse(node, what, "Pad by less than the kernel's size.")
    _, height, width, channels = flow.shape
    if ofm is None:
        ofm = [
            (height + top + bottom - kernel[0]) // stride[0] + 1,
            (width + left + right - kernel[1]) // stride[1] + 1,
        ]
    values: Attributes = {
        "Channels": channels,
        "IfmDim": [height, width],
        "Kernel": kernel,
        "Stride": stride,
        "PadTopLeft": [top, left],
        "OfmDim": ofm,
        "dataType": flow.dtype,
        "HasMask": int(border[1]),
        "PadValue": border[0],
        "Rows": ring_rows(kernel[0], stride[0]),
    }
    net.add("Window", name, values, flow)
    low, high = (
        (min(flow.low, border[0]), max(flow.high, border[0]))
        if top or left or bottom or right
        else (flow.low, flow.high)
    )
    shape = (1, *ofm, kernel[0] * kernel[1] * channels)
    return replace(flow, port=name, shape=shape, masked=border[1], low=low, high=high)


def add_pool(net: Net, flow: Flow, node: Any) -> Flow:
    """Append Window and Pool. Only where some channels take the minimum must padded taps be told from data by a
    mask.
    """
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    attributes = attributes_of(node)
    if len(flow.shape) != 4:
        raise refuse(node, f"a pool needs a map [1, H, W, C], not {list(flow.shape)}.")
    _, height, width, channels = flow.shape
    (kernel_h, kernel_w), (stride_h, stride_w) = attributes["kernel"], attributes["stride"]
    top, left, *_ = attributes.get("pads", [0, 0, 0, 0])
    ofm = [int(v) for v in attributes["ofm_dim"]]
    below = (ofm[0] - 1) * stride_h - top + kernel_h > height
    beyond = (ofm[1] - 1) * stride_w - left + kernel_w > width
    minimum = np.zeros(channels)
    minimum[[int(c) for c in attributes.get("min_channels", [])]] = 1
    border = (int(DataType[flow.dtype].min()), bool((top or left or below or beyond) and minimum.any()))
    name = net.name("pool")
    window = add_window(net, flow, node, f"{name}_window", border, ofm)
    values: Attributes = {"Channels": channels, "Taps": int(kernel_h * kernel_w), "OfmDim": ofm}
    values |= {"dataType": flow.dtype, "HasMask": int(border[1])}
    net.add("Pool", name, values, window, {"minimum": minimum})
    return replace(flow, port=name, shape=(1, *ofm, channels))


def add_sum_pool(net: Net, flow: Flow, node: Any) -> Flow:
    """Append SumPool, behind a Window unless it sums the whole map: then the stream of the map is that of its only window.

    Raises: FlipflowError E302 where the stream is no map.
    """
    if len(flow.shape) != 4:
        raise refuse(node, f"a sum over windows needs a map [1, H, W, C], not {list(flow.shape)}.")
    kernel = [int(size) for size in attributes_of(node)["kernel"]]
    flow, name = as_integers(net, flow), net.name("sum")
    if kernel == list(flow.shape[1:3]):
        return sum_taps(net, replace(flow, shape=(1, 1, 1, int(np.prod(flow.shape)))), name, flow.shape[3])
    return sum_taps(net, add_window(net, flow, node, f"{name}_window", (0, False)), name, flow.shape[3])


def sum_taps(net: Net, windows: Flow, name: str, channels: int) -> Flow:
    """Append the SumPool `name` on windows of so many channels."""
    from flipflow.hw.kernels.sum_pool import sum_dtype_of  # noqa: PLC0415

    taps = windows.shape[3] // channels
    dtype = sum_dtype_of(windows.dtype, taps)
    ofm = list(windows.shape[1:3])
    values: Attributes = {"Channels": channels, "Taps": taps, "OfmDim": ofm}
    net.add("SumPool", name, values | {"dataType": windows.dtype, "outputDataType": dtype}, windows)
    low, high = taps * windows.low, taps * windows.high
    return Flow(name, (1, *ofm, channels), dtype, low, high)
