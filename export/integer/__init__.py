"""Lowering (a): the canonical QONNX file to a network of integers, by evaluating its float chains on every reachable sum."""

from flipflow.export.integer.lower import lower, obstacles
from flipflow.export.integer.net import ActType, Conv, IntegerNet, Linear, MaxPool, Threshold

__all__ = ["ActType", "Conv", "IntegerNet", "Linear", "MaxPool", "Threshold", "lower", "obstacles"]
