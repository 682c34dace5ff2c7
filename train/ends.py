"""What all networks begin and end with, in either form: the layer that takes pixels, and the classifier."""

from torch import nn

from flipflow.config import ModelConfig
from flipflow.train import layers as L


def input_layer(channels: int, config: ModelConfig) -> nn.Module:
    """Takes pixels 0..255, [N, C, H, W]: as they are, or normalised by statistics of the training images."""
    return L.pixel_input() if config.deployable else L.PixelNorm(channels)


def classifier(features: int, classes: int, name: str, config: ModelConfig) -> dict[str, nn.Module]:
    """The last layer, from [N, features] to logits.

    Float: with a bias, as in the papers. Otherwise without, since a bias is no integer of the sums' step, and with a
    power of two behind it that brings the sums near 1.
    """
    bits = config.last_weight_bits
    if bits == L.FLOAT_BITS:
        return {name: nn.Linear(features, classes)}
    return {name: L.linear(features, classes, bits, config), "logits": L.LogitScale(L.logit_shift(features, bits))}


def initialise_classifier(last: nn.Module, config: ModelConfig) -> None:
    """Fresh weights for the last layer. Float ones as in the papers: N(0, 0.01^2) in VGGSmall, N(0, 2/features) otherwise."""
    weight = last.get_parameter("weight")
    if 1 < config.last_weight_bits < L.FLOAT_BITS:
        nn.init.normal_(weight, std=L.LAST_WEIGHT_STD)
    elif config.last_weight_bits == L.FLOAT_BITS and config.network == "vggsmall":
        nn.init.normal_(weight, std=0.01)
    else:
        nn.init.kaiming_normal_(weight, mode="fan_in")
    if config.last_weight_bits == L.FLOAT_BITS:
        nn.init.zeros_(last.get_parameter("bias"))
