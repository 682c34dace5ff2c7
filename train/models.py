"""Networks from their configuration: named modules, one after the other.

Residual networks are built in flipflow.train.resnet. In the others a block of layer i is [border_i] conv_i|fc_i, then bn_i,
[pool_i] and act_i in the configured order. The chain starts with `input` and ends with fc_<last> and, where that has no
float weights, `logits`, a power-of-two scale. In the papers' form scale_i stands behind binary layers, and htanh_i before signs.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from flipflow.config.model import ConvLayer, ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L
from flipflow.train import methods
from flipflow.train.ends import classifier, initialise_classifier, input_layer
from flipflow.train.resnet import build_resnet


@dataclass
class _Chain:
    """The modules so far and the shape that leaves them."""

    config: ModelConfig
    shape: tuple[int, int, int]
    modules: "OrderedDict[str, nn.Module]" = field(default_factory=OrderedDict)
    weighted: int = 0  # layers with weights so far

    def weight_bits(self) -> int:
        return self.config.first_weight_bits if self.weighted == 0 else 1

    def add_block(self, index: int, layer: nn.Module, name: str, norm: nn.Module, pool: int) -> None:
        """A weight layer with norm, activation and pool in the configured order."""
        config = self.config
        self.modules[name] = layer
        scale = L.scale(layer, config)
        if not isinstance(scale, nn.Identity):
            self.modules[f"scale_{index}"] = scale
        parts = {"bn": {f"bn_{index}": norm}, "sign": self._activation(index, norm.get_parameter("weight").numel())}
        if pool > 1:
            parts["pool"] = {f"pool_{index}": nn.MaxPool2d(pool)}
        for key in config.order.split("-")[1:]:
            self.modules |= parts.get(key, {})
        self.weighted += 1

    def _activation(self, index: int, channels: int) -> dict[str, nn.Module]:
        config = self.config
        last = index + 1 == len(config.layers) + len(config.hidden)
        bits = config.last_activation_bits if last else config.activation_bits
        if last and bits == L.FLOAT_BITS:
            return {f"act_{index}": nn.PReLU(channels)}
        activation = {f"act_{index}": L.activation(bits, config)}
        if config.deployable or 1 < bits < L.FLOAT_BITS:
            return activation
        return {f"htanh_{index}": L.nonlinearity(channels, config)} | activation


def build_model(config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network of `config` for images [C, H, W] = input_shape, with fresh weights from torch's global generator.

    The module takes float32 [N, C, H, W] holding pixels 0..255 and returns float32 logits [N, classes].
    Raises: FlipflowError E171 where a map shrinks to nothing.
    """
    if config.widths:
        return build_resnet(config, input_shape, classes)
    chain = _Chain(config, input_shape)
    chain.modules["input"] = input_layer(input_shape[0], config)
    for layer in config.layers:
        _add_conv(chain, layer)
    channels, height, width = chain.shape
    features = channels * height * width
    chain.modules["flatten"] = nn.Flatten(1)
    for size in config.hidden:
        index = chain.weighted
        linear = L.linear(features, size, chain.weight_bits(), config)
        chain.add_block(index, linear, f"fc_{index}", nn.BatchNorm1d(size), pool=1)
        features = size
    chain.modules |= classifier(features, classes, f"fc_{chain.weighted}", config)
    model = nn.Sequential(chain.modules)
    _initialise(model, config)
    return model


def _add_conv(chain: _Chain, layer: ConvLayer) -> None:
    config, index = chain.config, chain.weighted
    channels, height, width = chain.shape
    amount = 0 if config.padding == "none" else layer.kernel // 2
    sizes = [((size + 2 * amount - layer.kernel) // layer.stride + 1) // layer.pool for size in (height, width)]
    if min(sizes) < 1 or min(height, width) + 2 * amount < layer.kernel:
        raise FlipflowError(
            "E171",
            f"a {layer.kernel}x{layer.kernel} convolution with stride {layer.stride} and pool {layer.pool} leaves "
            f"nothing of its {height}x{width} input.",
            f"model.layers[{index}]",
            "Take a smaller kernel, stride or pool, padding, or fewer layers.",
        )
    # The first layer's input is integer, so its border is the integer 0 whatever the bipolar kind.
    border = {"minus_one": -1.0, "plus_one": 1.0}.get(config.padding) if index > 0 and amount else None
    if border is not None:
        chain.modules[f"border_{index}"] = L.ConstantBorder(amount, border)
    conv = L.conv(
        channels,
        layer.channels,
        layer.kernel,
        stride=layer.stride,
        padding=0 if border is not None else amount,
        bits=chain.weight_bits(),
        config=config,
    )
    chain.add_block(index, conv, f"conv_{index}", nn.BatchNorm2d(layer.channels), layer.pool)
    chain.shape = (layer.channels, sizes[0], sizes[1])


def _initialise(model: nn.Sequential, config: ModelConfig) -> None:
    layers = [module for name, module in model.named_children() if name.startswith(("conv_", "fc_"))]
    # VGGSmall's N(0, 2/(k^2 outputs)) is what torch calls fan_out.
    mode: Literal["fan_in", "fan_out"] = "fan_out" if config.network == "vggsmall" else "fan_in"
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.get_parameter("weight"), mode=mode)
    initialise_classifier(layers[-1], config)
    methods.initialise(model)


def binary_weights(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(layer name, latent weights) of the layers with binary weights, in order: what OvSW acts on."""
    return [(name, module.get_parameter("weight")) for name, module in model.named_modules() if L.is_binary(module)]


@dataclass(frozen=True)
class Counts:
    """Size and work of a network. MACs are multiply-accumulates an image; those of windows at the border count in full.

    binary_weights: latent weights that become binary. other_parameters: everything else that is learned. binary_macs: of layers
    with binary weights. other_macs: of the other layers with weights.
    """

    binary_weights: int
    other_parameters: int
    binary_macs: int
    other_macs: int

    @property
    def macs(self) -> int:
        """All of them."""
        return self.binary_macs + self.other_macs


def count(config: ModelConfig, input_shape: tuple[int, int, int], classes: int = 10) -> Counts:
    """Counts of the network that `config` makes for images [C, H, W]; nothing is computed or drawn.

    Raises: FlipflowError as `build_model`.
    """
    with torch.device("meta"):
        model = build_model(config, input_shape, classes)
        # The method changes no shape, and not every method computes on tensors without data.
        plain = {"weights": "vanilla", "estimator": "bireal", "activation_norm": "none"}
        same = config.weights in ("vanilla", "float")
        macs = _macs(model if same else build_model(config.model_copy(update=plain), input_shape, classes), input_shape)
    binary = sum(weight.numel() for _, weight in binary_weights(model))
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Counts(binary, learned - binary, macs[True], macs[False])


def _macs(model: nn.Module, input_shape: tuple[int, int, int]) -> dict[bool, int]:
    """MACs of layers with binary weights (True) and of others, from the shapes of a forward pass."""
    macs = {True: 0, False: 0}

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        macs[L.is_binary(module)] += module.get_parameter("weight").numel() * output[0, 0].numel()

    for module in model.modules():
        if L.is_weight_layer(module):
            module.register_forward_hook(add)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *input_shape))
    return macs
