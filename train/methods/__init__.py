"""Methods of binarization: what is done to latent weights before the sign, scales behind it, and schedules.

A layer of flipflow.train.layers with binary weights holds a WeightMethod (flipflow.train.methods.weights): it computes with
sign(method.latent(W)). The table of methods is docs/methods.md.
"""

from torch import nn

from flipflow.train.methods.scales import WeightScale
from flipflow.train.methods.schedule import Scheduled


def begin_epoch(model: nn.Module, epoch: int, epochs: int) -> None:
    """Tell every scheduled part of `model` that epoch `epoch` of 0..epochs-1 begins.

    Call it before every epoch, and after loading a state. What depends on the epoch alone is in no state dict; RBNN's
    rotations are, with the epoch they belong to, so that a second call for the same epoch changes nothing.
    Raises: ValueError where there is no such epoch.
    """
    for module in model.modules():
        if isinstance(module, Scheduled):
            module.begin_epoch(epoch, epochs)


def initialise(model: nn.Module) -> None:
    """Start what starts from the weights (XNOR-Net++'s scale); call it once the weights have been initialised."""
    for module in model.modules():
        if isinstance(module, WeightScale):
            module.initialise()
