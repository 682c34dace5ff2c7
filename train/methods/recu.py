"""ReCU, the rectified clamp unit: revives dead weights (Xu et al., ICCV 2021, arXiv 2103.12369)."""

import math

import torch
from torch import Tensor

from flipflow.train.methods.schedule import progress, recu_tau
from flipflow.train.methods.weights import WeightMethod, moments

_VARIANCE_FLOOR = 1e-5


class Recu(WeightMethod):
    """clamp(w1, -Q, Q) with w1 = 2 sqrt(2) (W - mean)/sqrt(var + 1e-5) and Q = -mean|w1| ln(2 - 2 tau).

    For Laplacian weights +-Q are the quantiles tau and 1 - tau. mean and var are of each output channel, mean|w1| is of the
    layer. tau rises with the epoch; Q carries no gradient.
    """

    reach: Tensor

    def __init__(self) -> None:
        """Starts with the tau of the first epoch."""
        super().__init__()
        self.register_buffer("reach", torch.zeros(()), persistent=False)  # Q / mean|w1|
        self._set(recu_tau(0.0))

    def _set(self, tau: float) -> None:
        self.reach.fill_(-math.log(2.0 - 2.0 * tau))

    def begin_epoch(self, weight: Tensor, epoch: int, epochs: int) -> None:
        """Set tau."""
        self._set(recu_tau(progress(epoch, epochs)))

    def latent(self, weight: Tensor) -> Tensor:
        """[outputs, ...] to the same shape."""
        mean, variance = moments(weight, exact=not self.training)
        scaled = (weight - mean) * (2.0 * math.sqrt(2.0)) / torch.sqrt(variance + _VARIANCE_FLOOR)
        limit = scaled.detach().abs().mean() * self.reach
        return torch.clamp(scaled, -limit, limit)
