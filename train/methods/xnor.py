"""XNOR-Net (Rastegari et al., ECCV 2016, arXiv 1603.05279)."""

from torch import Tensor

from flipflow.train.estimators import Sign
from flipflow.train.methods.scales import xnor_scale
from flipflow.train.methods.weights import WeightMethod


class XnorWeight(WeightMethod):
    """The sign with the paper's gradient dC/dW_i = dC/dW~_i (1/n + alpha dsign/dW_i), W~ = alpha sign(W), alpha = mean|W|.

    n is the fan-in and alpha that of the output channel. The scale itself stands behind the product (`xnor_scale`) or is left
    to the batch norm; either way dC/dsign = alpha dC/dW~, so that the gradient is dC/dsign (1/(n alpha) + dsign/dW_i).
    """

    def __init__(self, sign: Sign) -> None:
        """`sign` carries the estimator of dsign/dW."""
        super().__init__()
        self.sign = sign

    def latent(self, weight: Tensor) -> Tensor:
        """+-1, shape of `weight`."""
        signs: Tensor = self.sign(weight)
        if not self.training:
            return signs
        total = xnor_scale(weight).mul_(weight[0].numel())  # n alpha
        share = weight / total.view(-1, *[1] * (weight.dim() - 1))
        return signs + (share - share.detach())  # adds 0, and the gradient 1/(n alpha)
