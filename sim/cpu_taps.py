"""What enters each layer of a network on the CPU engine."""

from dataclasses import replace

import numpy as np

from flipflow.cpu import Engine
from flipflow.cpu.values import Values
from flipflow.export.integer.net import NET_INPUT, Conv, IntegerNet, Linear


def cpu_taps(net: IntegerNet, isa: str, integers: np.ndarray) -> list[np.ndarray]:
    """Taps as taps.py describes them. The network, cut off behind each tapped value, runs as a plan that gives this value."""
    shapes = Values(net).shape
    found: list[np.ndarray] = []
    for index, operator in enumerate(net.operators):
        if not isinstance(operator, Conv | Linear):
            continue
        source = net.wires[index][0]
        if source == NET_INPUT:
            found.append(integers.astype(np.int64))
            continue
        end = source + 1
        part = replace(net, operators=net.operators[:end], wires=net.wires[:end], classes=int(np.prod(shapes[source])))
        found.append(Engine(part, isa)(integers).reshape(len(integers), *shapes[source]))
    return [*found, Engine(net, isa)(integers)]
