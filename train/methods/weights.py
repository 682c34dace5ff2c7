"""The transform of latent weights: base of all methods, and the plain ones."""

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-10  # of a channel whose weights are all alike


class WeightMethod(nn.Module):
    """Latent weights [outputs, ...] to what the sign is taken of, with the method's gradient.

    This base class is the plain sign: W itself. two_levels: the layer computes with `levels`, not with +-1.
    """

    two_levels = False

    def latent(self, weight: Tensor) -> Tensor:
        """What the layer takes the sign of; shape of `weight`."""
        return weight

    def levels(self, signs: Tensor, weight: Tensor) -> Tensor:
        """The values that the signs stand for, where they are not +-1."""
        return signs

    def begin_epoch(self, weight: Tensor, epoch: int, epochs: int) -> None:
        """Epoch `epoch` of 0..epochs-1 begins with these latent weights."""


def moments(weight: Tensor, exact: bool, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Mean and variance of each output channel of [outputs, ...], shaped to broadcast.

    exact: take them in float64. In eval mode the signs of W - mean must not hang on the order of summation, which differs
        with threads and devices.
    correction: 1 for the unbiased variance, 0 for the population's.
    """
    values = weight.double() if exact else weight
    variance, mean = torch.var_mean(values, dim=tuple(range(1, weight.dim())), correction=correction, keepdim=True)
    return mean, variance


def standardised(weight: Tensor, exact: bool, correction: int = 1) -> Tensor:
    """(W - mean)/std of each output channel, differentiable in all three; float64 where `exact`."""
    mean, variance = moments(weight, exact, correction)
    return (weight - mean) / variance.clamp_min(SMALLEST_VARIANCE).sqrt()


def in_single(latent: Tensor) -> Tensor:
    """float64 to float32 with the signs kept: what would round to 0 from below stays negative."""
    single = latent.float()
    return torch.where((latent < 0) & (single == 0), -torch.finfo(torch.float32).tiny, single)
