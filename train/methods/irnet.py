"""IR-Net's Libra parameter binarization (Qin et al., CVPR 2020, arXiv 1909.10788)."""

import torch
from torch import Tensor

from flipflow.train.methods.weights import WeightMethod, standardised


class Libra(WeightMethod):
    """W_hat = (W - mean)/std of each output channel: balanced signs, which carry the most information."""

    def latent(self, weight: Tensor) -> Tensor:
        """[outputs, ...] to the same shape."""
        return standardised(weight, exact=not self.training)


def libra_scale(weight: Tensor) -> Tensor:
    """2^round(log2 mean|W_hat|) of each output channel, float32 [outputs]: the shift that IR-Net puts behind the product."""
    size = standardised(weight, exact=True).abs().mean(dim=tuple(range(1, weight.dim())))
    return torch.exp2(torch.round(torch.log2(size))).to(weight.dtype)
