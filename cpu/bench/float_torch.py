"""Float graphs as torch modules, weights in channels-last order."""

import io

import torch
from torch import nn

from flipflow.cpu.bench.float_graph import FloatGraph, FloatNode
from flipflow.export.integer.net import NET_INPUT


class GraphModule(nn.Module):
    """Executes a float graph node by node, in fp32. Input [N, C, H, W] or [N, K]."""

    def __init__(self, graph: FloatGraph) -> None:
        super().__init__()
        self._wires = [node.inputs for node in graph.nodes]
        users = [source for node in graph.nodes for source in node.inputs]
        self._steps = nn.ModuleList(_step(node, users.count(node.inputs[0]) == 1) for node in graph.nodes)
        uses = {source: index for index, node in enumerate(graph.nodes) for source in node.inputs}
        self._dead = [tuple(s for s in node.inputs if uses[s] == i) for i, node in enumerate(graph.nodes)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes]."""
        values = {NET_INPUT: images}
        result = images
        for index, (step, sources) in enumerate(zip(self._steps, self._wires, strict=True)):
            result = step(*(values[source] for source in sources))
            for source in self._dead[index]:
                values.pop(source, None)
            values[index] = result
        return result

    def file_bytes(self) -> int:
        """Size of the saved state dictionary."""
        buffer = io.BytesIO()
        torch.save(self.state_dict(), buffer)
        return buffer.tell()


class _Add(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


class _MaxPool(nn.Module):
    """Max-pool with any padding; padded taps take no part."""

    def __init__(self, node: FloatNode) -> None:
        super().__init__()
        top, left, bottom, right = node.pads
        self._own = (left, right, top, bottom)
        symmetric = top == bottom and left == right
        self._pool = nn.MaxPool2d(node.kernel, node.stride, (top, left) if symmetric else 0)
        self._pad = not symmetric

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        if self._pad:
            value = nn.functional.pad(value, self._own, value=-torch.inf)
        pooled: torch.Tensor = self._pool(value)
        return pooled


def _step(node: FloatNode, alone: bool) -> nn.Module:
    """alone: whether nothing else uses this node's input, so that it may be overwritten."""
    if node.kind == "conv":
        return _conv(node)
    if node.kind == "gemm":
        return _gemm(node)
    if node.kind == "max_pool":
        return _MaxPool(node)
    if node.kind == "average_pool":
        return nn.AvgPool2d(node.kernel, node.stride)
    if node.kind == "relu":
        return nn.ReLU(inplace=alone and node.inputs[0] != NET_INPUT)
    return _Add() if node.kind == "add" else nn.Flatten()


def _conv(node: FloatNode) -> nn.Module:
    assert node.weight is not None and node.bias is not None
    top, left, bottom, right = node.pads
    symmetric = top == bottom and left == right
    conv = nn.Conv2d(node.weight.shape[1], len(node.weight), node.kernel, node.stride, (top, left) if symmetric else 0)
    conv.weight = nn.Parameter(torch.from_numpy(node.weight).contiguous(memory_format=torch.channels_last))
    conv.bias = nn.Parameter(torch.from_numpy(node.bias))
    return conv if symmetric else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), conv)


def _gemm(node: FloatNode) -> nn.Module:
    assert node.weight is not None and node.bias is not None
    linear = nn.Linear(node.weight.shape[1], len(node.weight))
    linear.weight, linear.bias = nn.Parameter(torch.from_numpy(node.weight)), nn.Parameter(torch.from_numpy(node.bias))
    return linear
