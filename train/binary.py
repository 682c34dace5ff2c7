"""Brevitas layers with binary weights: the signs of what a method makes of the latent weights."""

from typing import Any

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from torch import Tensor

from flipflow.train.estimators import Sign
from flipflow.train.methods.schedule import Scheduled
from flipflow.train.methods.weights import WeightMethod, in_single
from flipflow.train.quantizers import BinaryWeight


class BinaryConv2d(QuantConv2d, Scheduled):  # type: ignore[misc]
    """Convolution without bias whose weights are sign(method.latent(W)), or the method's two levels."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, padding: int, method: WeightMethod, sign: Sign
    ) -> None:
        """`sign` carries the gradient estimator."""
        quant = BinaryWeight.let(estimator=sign)
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, bias=False, weight_quant=quant)
        self.method = method

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """For the method."""
        self.method.begin_epoch(self.weight, epoch, epochs)

    def quant_weight(self, quant_input: Any = None, subtensor_slice_list: Any = None) -> Any:
        """What Brevitas' forward pass and exporter take as the weights."""
        return _binary_weight(self, self.method)


class BinaryLinear(QuantLinear, Scheduled):  # type: ignore[misc]
    """Fully connected layer of the same kind."""

    def __init__(self, inputs: int, outputs: int, method: WeightMethod, sign: Sign) -> None:
        """`sign` carries the gradient estimator."""
        super().__init__(inputs, outputs, bias=False, weight_quant=BinaryWeight.let(estimator=sign))
        self.method = method

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """For the method."""
        self.method.begin_epoch(self.weight, epoch, epochs)

    def quant_weight(self, quant_input: Any = None, subtensor_slice_list: Any = None) -> Any:
        """What Brevitas' forward pass and exporter take as the weights."""
        return _binary_weight(self, self.method)


def _binary_weight(layer: BinaryConv2d | BinaryLinear, method: WeightMethod) -> Any:
    weight: Tensor = layer.weight
    latent = method.latent(weight)
    if latent.dtype == torch.float64:
        latent = in_single(latent)
    if latent is not weight and torch.onnx.is_in_onnx_export():
        # A constant of the file, not the operations that made it.
        latent = torch.from_numpy(latent.detach().cpu().numpy())
    binary = layer.weight_quant(latent)
    return method.levels(binary.value, weight) if method.two_levels else binary
