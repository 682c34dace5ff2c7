"""RBNN: latent weights turned towards their signs (Lin et al., NeurIPS 2020, arXiv 2009.13055)."""

import math

import torch
from torch import Tensor, nn

from flipflow.train.estimators import VARIANCE_FLOOR
from flipflow.train.methods.schedule import progress
from flipflow.train.methods.weights import WeightMethod, standardised

ROUNDS = 3  # of the alternating minimisation, an epoch


def most_square(count: int) -> tuple[int, int]:
    """Factors a <= b of `count` that lie closest together."""
    a = next(a for a in range(math.isqrt(count), 0, -1) if count % a == 0)
    return a, count // a


class Rotation(WeightMethod):
    """w_hat + |sin theta| (R1^T X R2 - w_hat), with w_hat standardised and X each output channel's w_hat as an a x b matrix.

    R1 [a, a] and R2 [b, b] are orthogonal and common to the layer's channels. At the beginning of every epoch, ROUNDS times,
    with B_i = sign(R1^T X_i R2), each is set to the optimum given the other: the angle between B and the rotated weights
    is smallest. theta, one a layer, is learned; it starts at pi/2, that is with the rotated weights alone.
    """

    r1: Tensor
    r2: Tensor
    updated: Tensor

    def __init__(self, fan_in: int) -> None:
        """Rotations are drawn from torch's global generator."""
        super().__init__()
        for name, size in zip(("r1", "r2"), most_square(fan_in), strict=True):
            self.register_buffer(name, nn.init.orthogonal_(torch.empty(size, size)))
        self.register_buffer("updated", torch.tensor(-1))  # the epoch that the rotations belong to
        self.theta = nn.Parameter(torch.full((1,), math.pi / 2))

    def begin_epoch(self, weight: Tensor, epoch: int, epochs: int) -> None:
        """Turn R1 and R2, once an epoch."""
        progress(epoch, epochs)
        if int(self.updated) == epoch:
            return
        with torch.no_grad():
            x = self._matrices(standardised(weight, exact=True))
            r1, r2 = self.r1.double(), self.r2.double()
            for _ in range(ROUNDS):
                r1, r2 = rotation_round(x, r1, r2)
            self.r1.copy_(r1)
            self.r2.copy_(r2)
            self.updated.fill_(epoch)

    def latent(self, weight: Tensor) -> Tensor:
        """[outputs, ...] to the same shape."""
        w_hat = standardised(weight, exact=not self.training)
        # Half-precision products would turn the signs of small weights.
        with torch.autocast(weight.device.type, enabled=False):
            x = self._matrices(w_hat)
            turned = (self.r1.to(x.dtype).T @ x @ self.r2.to(x.dtype)).view_as(weight)
            result: Tensor = w_hat + self.theta.sin().abs() * (turned - w_hat)
            return result

    def _matrices(self, w_hat: Tensor) -> Tensor:
        return w_hat.reshape(len(w_hat), len(self.r1), len(self.r2))


def rotation_round(x: Tensor, r1: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
    """One round: B, then R1, then R2. x: [n, a, b].

    D1 = sum B_i R2^T X_i^T = U S V^T gives R1 = V U^T; D2 = sum X_i^T R1 B_i = U S V^T gives R2 = U V^T.
    """
    b = torch.where(r1.T @ x @ r2 >= 0, 1.0, -1.0).to(x.dtype)
    u, _, vt = torch.linalg.svd((b @ r2.T @ x.mT).sum(0))
    r1 = vt.T @ u.T
    u, _, vt = torch.linalg.svd((x.mT @ r1 @ b).sum(0))
    return r1, u @ vt


class SampleNorm(nn.Module):
    """(a - mean)/std of each sample over all but the first dimension, in eval mode, too: what RBNN puts before the sign."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with samples first."""
        variance, mean = torch.var_mean(x, dim=tuple(range(1, x.dim())), keepdim=True)
        return (x - mean) / torch.sqrt(variance + VARIANCE_FLOOR)
