"""The ONNX domain `flipflow.hw.kernels`: one FINN custom op a hardware kernel, named after the kernel's RTL module.

qonnx finds an op by importing this module and asking it for the op type; FINN is imported only then.
"""

from importlib import import_module
from typing import Any

DOMAIN = "flipflow.hw.kernels"

_MODULES = {
    "Argmax": "argmax",
    "ChannelPad": "channel_pad",
    "Fifo": "fifo",
    "Fork": "fork",
    "MixedMvtu": "mixed_mvtu",
    "Pool": "pool",
    "Requantize": "requantize",
    "ResidualAdd": "residual_add",
    "SumPool": "sum_pool",
    "Threshold": "threshold",
    "WidthConverter": "width_converter",
    "Window": "window",
    "XnorMvtu": "xnor_mvtu",
}

__all__ = [
    "Argmax",
    "ChannelPad",
    "Fifo",
    "Fork",
    "MixedMvtu",
    "Pool",
    "Requantize",
    "ResidualAdd",
    "SumPool",
    "Threshold",
    "WidthConverter",
    "Window",
    "XnorMvtu",
]


def __getattr__(name: str) -> Any:
    """Op class `name`, imported on first use (PEP 562)."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
