"""Plain torch modules that compute what our Brevitas layers compute, estimators and methods included: a yardstick for speed."""

import copy

import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from torch import Tensor, nn

from flipflow.train.binary import BinaryConv2d, BinaryLinear
from flipflow.train.estimators import fixed_point
from flipflow.train.methods.weights import WeightMethod
from flipflow.train.quantizers import BinaryTensorQuant, FixedPointTensorQuant


class _FixedPoint(nn.Module):
    def __init__(self, quant: FixedPointTensorQuant) -> None:
        super().__init__()
        self.step, self.low, self.high = quant.step, quant.low, quant.high

    def forward(self, x: Tensor) -> Tensor:
        return fixed_point(x, self.step, self.low, self.high)


class _Signs(nn.Module):
    """A method's transform and the sign of it."""

    def __init__(self, method: WeightMethod, sign: nn.Module) -> None:
        super().__init__()
        self.method, self.sign = method, sign

    def forward(self, weight: Tensor) -> Tensor:
        signs: Tensor = self.sign(self.method.latent(weight))
        return self.method.levels(signs, weight) if self.method.two_levels else signs


class _Conv(nn.Module):
    def __init__(self, layer: nn.Conv2d, binarize: nn.Module) -> None:
        super().__init__()
        self.weight, self.binarize = layer.weight, binarize
        self.stride, self.padding = layer.stride, layer.padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.binarize(self.weight), stride=self.stride, padding=self.padding)


class _Linear(nn.Module):
    def __init__(self, layer: nn.Module, binarize: nn.Module) -> None:
        super().__init__()
        self.weight, self.binarize = layer.get_parameter("weight"), binarize

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.binarize(self.weight))


def plain_twin(model: nn.Module) -> nn.Module:
    """A copy of `model` with plain modules in the place of Brevitas' ones, for training passes; parameters in the same order."""
    twin = copy.deepcopy(model)
    _replace(twin)
    return twin


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, QuantConv2d | QuantLinear | QuantIdentity):
            setattr(module, name, _plain(child))
        else:
            _replace(child)


def _plain(layer: nn.Module) -> nn.Module:
    if isinstance(layer, QuantIdentity):
        return _quantizer(layer.get_submodule("act_quant.fused_activation_quant_proxy.tensor_quant"))
    quantizer = _quantizer(layer.get_submodule("weight_quant.tensor_quant"))
    if isinstance(layer, BinaryConv2d | BinaryLinear):
        quantizer = _Signs(layer.method, quantizer)
    if isinstance(layer, nn.Conv2d):
        return _Conv(layer, quantizer)
    return _Linear(layer, quantizer)


def _quantizer(quant: nn.Module) -> nn.Module:
    if isinstance(quant, BinaryTensorQuant):
        return quant.estimator
    assert isinstance(quant, FixedPointTensorQuant)
    return _FixedPoint(quant)
