"""Taps of the RTL: what its streams carried between the layers, read from a waveform of the simulation."""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.export.integer.net import ActType, Conv, Linear, SumPool
from flipflow.sim.levels import Network
from flipflow.sim.vcd import stream_words

_NOT_LAYERS = ("fifo", "gearbox")


def rtl_taps(network: Network, images: np.ndarray) -> list[np.ndarray]:
    """Taps as in flipflow.sim.taps, of the simulated hardware."""
    accelerator = network.accelerator()
    # A sum is a layer where it stands for a convolution of equal weights, none where it is a pool.
    operators = [item for item in network.net.operators if isinstance(item, Conv | Linear | SumPool)]
    entered = zip(layer_inputs(accelerator), operators, strict=True)
    inputs = [stream for stream, item in entered if not isinstance(item, SumPool)]
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
    """For each matrix-vector unit and each sum in the order of the kernels, the name of the stream that enters its window (or
    itself).
    """
    kinds = {layer["name"]: layer["op"] for layer in accelerator["layers"]}
    streams = {name: _source(accelerator["pipeline"], name) for name in kinds}
    found = []
    for name, kind in kinds.items():
        if "Mvtu" not in kind and kind != "SumPool":
            continue
        window = streams[name].removesuffix("_out")
        found.append(streams[window] if kinds.get(window) == "Window" else streams[name])
    return found


def _source(pipeline: list[dict[str, Any]], name: str) -> str:
    """Name of the stream that a kernel takes, as it leaves another kernel that is no FIFO or width converter."""
    before = {entry["name"]: (earlier["name"] if earlier else "") for earlier, entry in pairwise([{}, *pipeline])}
    kernels = {entry["name"]: entry for entry in pipeline}
    while True:
        source, _, port = kernels[name].get("inputs", [before[name]])[0].partition(":")
        if not source:
            return "source"
        if kernels[source]["model"] == "fork":
            return f"{source}_out{port or 0}"
        if kernels[source]["model"] not in _NOT_LAYERS:
            return f"{source}_out"
        name = source


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
