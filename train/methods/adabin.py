"""AdaBin: two learned levels instead of +-1 (Tu et al., ECCV 2022, arXiv 2208.08084)."""

import torch
from torch import Tensor, nn

from flipflow.train.estimators import sign
from flipflow.train.methods.weights import SMALLEST_VARIANCE, WeightMethod, moments, standardised


class AdaBinWeight(WeightMethod):
    """Levels beta +- alpha of each output channel: beta = mean, alpha = population standard deviation.

    The sign is taken of (W - beta)/alpha. In the paper's form the layer computes with `levels`; a deployable layer keeps the
    sign alone, since beta times the sum of each window is no XNOR product.
    """

    def __init__(self, two_levels: bool) -> None:
        """`two_levels`: the paper's form."""
        super().__init__()
        self.two_levels = two_levels

    def latent(self, weight: Tensor) -> Tensor:
        """[outputs, ...] to the same shape."""
        return standardised(weight, exact=not self.training, correction=0)

    def levels(self, signs: Tensor, weight: Tensor) -> Tensor:
        """alpha * signs + beta, differentiable in W through all three."""
        mean, variance = moments(weight, exact=False, correction=0)
        return signs * variance.clamp_min(SMALLEST_VARIANCE).sqrt() + mean


class AdaBinActivation(nn.Module):
    """alpha * sign((a - beta)/alpha) + beta with learned alpha and beta of the layer, and the Bi-Real gradient."""

    def __init__(self) -> None:
        """Levels start at -1 and +1."""
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return self.alpha * sign((x - self.beta) / self.alpha, "bireal") + self.beta


class Maxout(nn.Module):
    """AdaBin's non-linearity: a learned slope on either side of 0 for each channel of [N, C, ...], at first 0.25 and 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.negative = nn.Parameter(torch.full((channels,), 0.25))
        self.positive = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with channels second."""
        shape = (-1, *[1] * (x.dim() - 2))
        return self.positive.view(shape) * x.clamp(min=0) + self.negative.view(shape) * x.clamp(max=0)
