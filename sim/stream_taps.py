"""Taps of the RTL: what its streams carried between the layers, read from a waveform of the simulation."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.export.integer.net import ActType, Conv, Linear
from flipflow.sim.levels import Network
from flipflow.sim.vcd import stream_words

_NOT_LAYERS = ("fifo", "gearbox")


def rtl_taps(network: Network, images: np.ndarray) -> list[np.ndarray]:
    """Taps as in flipflow.sim.taps, of the simulated hardware."""
    accelerator = network.accelerator()
    inputs = layer_inputs(accelerator)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "taps.vcd"
        answer = network.run("rtl", images, trace=trace)
        words = stream_words(trace, str(accelerator["top"]), set(inputs))
    shapes = _tap_shapes(network, images)
    found = []
    for stream, (shape, kind) in zip(inputs, shapes, strict=True):
        found.append(_values(words[stream], kind, len(images), shape))
    return [*found, answer.logits]


def layer_inputs(accelerator: dict[str, Any]) -> list[str]:
    """For each matrix-vector unit in stream order, the name of the stream that enters its window (or itself)."""
    units = {layer["name"]: layer["op"] for layer in accelerator["layers"]}
    kernels = [entry for entry in accelerator["pipeline"] if entry["model"] not in _NOT_LAYERS]
    found = []
    for index, kernel in enumerate(kernels):
        if "Mvtu" not in units.get(kernel["name"], ""):
            continue
        before = index - 1
        if before >= 0 and kernels[before]["model"] == "window":
            before -= 1
        found.append("source" if before < 0 else kernels[before]["name"] + "_out")
    return found


def _tap_shapes(network: Network, images: np.ndarray) -> list[tuple[tuple[int, ...], ActType]]:
    """Shape of one image's tap and its type, from the reference run on one image."""
    from flipflow.sim.taps import taps  # noqa: PLC0415 - taps imports this module

    arrays = taps(network, "integer", images[:1])
    layers = [op for op in network.net.operators if isinstance(op, Conv | Linear)]
    return [(array.shape[1:], layer.input) for array, layer in zip(arrays, layers, strict=False)]


def _values(words: list[int], kind: ActType, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Integers int64 [count, *shape] of a stream's words, element 0 in the low bits."""
    total = count * int(np.prod(shape))
    elements = total // max(1, len(words))
    mask = (1 << kind.bits) - 1
    flat = [(word >> (index * kind.bits)) & mask for word in words for index in range(elements)]
    values = np.array(flat[:total], np.int64)
    if kind.bipolar:
        values = 2 * values - 1
    elif kind.signed:
        values = np.where(values >> (kind.bits - 1), values - (1 << kind.bits), values)
    return values.reshape(count, *shape)
