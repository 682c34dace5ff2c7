"""Networks from their configuration: named modules, one after the other.

Residual networks are built in flipflow.train.resnet. In the others a block of layer i is [border_i] conv_i|fc_i, then bn_i,
[pool_i] and act_i in the configured order. The chain starts with the pixel quantizer `input` and ends with fc_<last> and
`logits`, a power-of-two scale.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from torch import nn

from flipflow.config.training import ConvLayer, ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L
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

    def add_block(self, index: int, conv: nn.Module, conv_name: str, norm: nn.Module, pool: int) -> None:
        """A weight layer with norm, activation and pool in the configured order."""
        config = self.config
        self.modules[conv_name] = conv
        parts: dict[str, tuple[str, nn.Module]] = {
            "bn": (f"bn_{index}", norm),
            "sign": (f"act_{index}", L.activation(config.activation_bits, config.estimator)),
        }
        if pool > 1:
            parts["pool"] = (f"pool_{index}", nn.MaxPool2d(pool))
        for key in config.order.split("-")[1:]:
            if key in parts:
                name, module = parts[key]
                self.modules[name] = module
        self.weighted += 1


def build_model(config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network of `config` for images [C, H, W] = input_shape, with fresh weights from torch's global generator.

    The module takes float32 [N, C, H, W] holding pixels 0..255 and returns float32 logits [N, classes].
    Raises: FlipflowError E171 where a map shrinks to nothing.
    """
    if config.widths:
        return build_resnet(config, input_shape, classes)
    chain = _Chain(config, input_shape)
    chain.modules["input"] = L.pixel_input()
    for layer in config.layers:
        _add_conv(chain, layer)
    channels, height, width = chain.shape
    features = channels * height * width
    chain.modules["flatten"] = nn.Flatten(1)
    for size in config.hidden:
        index = chain.weighted
        linear = L.linear(features, size, chain.weight_bits(), config.weight_estimator)
        chain.add_block(index, linear, f"fc_{index}", nn.BatchNorm1d(size), pool=1)
        features = size
    last = L.linear(features, classes, config.last_weight_bits, config.weight_estimator)
    chain.modules[f"fc_{chain.weighted}"] = last
    chain.modules["logits"] = L.LogitScale(L.logit_shift(features, config.last_weight_bits))
    model = nn.Sequential(chain.modules)
    _initialise(model, last, config.last_weight_bits)
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
        estimator=config.weight_estimator,
    )
    chain.add_block(index, conv, f"conv_{index}", nn.BatchNorm2d(layer.channels), layer.pool)
    chain.shape = (layer.channels, sizes[0], sizes[1])


def _initialise(model: nn.Sequential, last: nn.Module, last_bits: int) -> None:
    for name, module in model.named_children():
        if name.startswith(("conv_", "fc_")):
            weight = module.get_parameter("weight")
            if module is last and last_bits > 1:
                nn.init.normal_(weight, std=L.LAST_WEIGHT_STD)
            else:
                nn.init.kaiming_normal_(weight, mode="fan_in")


def binary_weights(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(layer name, latent weights) of the layers with binary weights, in order: what OvSW acts on."""
    return [(name, module.get_parameter("weight")) for name, module in model.named_modules() if L.is_binary(module)]
