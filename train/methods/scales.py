"""The scale alpha of each output channel behind a binary product, in the paper's form of a method.

A deployable network has none: the batch norm that follows absorbs it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flipflow.train.methods.irnet import libra_scale
from flipflow.train.methods.weights import moments

_VARIANCE_FLOOR = 1e-5
_SMALLEST_SCALE = 1e-8  # of a channel whose weights are all 0


def ovsw_scale(weight: Tensor) -> Tensor:
    """alpha_k = mean|(W_k - mean_k)/sqrt(var_k + 1e-5)|, [outputs], without gradient: the formula of OvSW's released code."""
    weight = weight.detach()
    mean, variance = moments(weight, exact=False)
    return ((weight - mean) / torch.sqrt(variance + _VARIANCE_FLOOR)).abs().mean(dim=tuple(range(1, weight.dim())))


def xnor_scale(weight: Tensor) -> Tensor:
    """XNOR-Net's alpha_k = mean|W_k|, [outputs], without gradient."""
    return weight.detach().abs().mean(dim=tuple(range(1, weight.dim()))).clamp_(min=_SMALLEST_SCALE)


class WeightScale(nn.Module, ABC):
    """Multiplies [N, C, ...] with an alpha of each channel that comes from, or starts from, a layer's latent weights."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        # In a tuple: a child would have its parameters twice in the state dict.
        self._layer = (layer,)

    @abstractmethod
    def alpha(self) -> Tensor:
        """[C]."""

    def initialise(self) -> None:
        """The weights have just been initialised."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape of x."""
        return x * self.alpha().to(x.dtype).view(-1, *[1] * (x.dim() - 2))

    def _weight(self) -> Tensor:
        return self._layer[0].get_parameter("weight")


class DerivedScale(WeightScale):
    """Alpha computed from the weights in every pass."""

    def __init__(self, layer: nn.Module, formula: Callable[[Tensor], Tensor]) -> None:
        """`formula`: latent weights [C, ...] to alpha [C]."""
        super().__init__(layer)
        self._formula = formula

    def alpha(self) -> Tensor:
        """[C], without gradient."""
        with torch.no_grad():
            return self._formula(self._weight())


class LearnedScale(WeightScale):
    """A learned alpha: XNOR-Net++ (Bulat and Tzimiropoulos, BMVC 2019), which starts at mean|W|, or ReCU's, from U(0, 1)."""

    def __init__(self, layer: nn.Module, start: Callable[[Tensor], Tensor] | None) -> None:
        """`start`: latent weights [C, ...] to the first alpha [C]; None to draw it from U(0, 1)."""
        super().__init__(layer)
        self._start = start
        self.value = nn.Parameter(torch.rand(len(self._weight())))
        self.initialise()

    def initialise(self) -> None:
        """Set alpha from the weights of now."""
        if self._start is not None:
            with torch.no_grad():
                self.value.copy_(self._start(self._weight()))

    def alpha(self) -> Tensor:
        """[C], learned."""
        return self.value


SCALES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "vanilla": lambda layer: DerivedScale(layer, ovsw_scale),
    "recu": lambda layer: LearnedScale(layer, None),
    "irnet": lambda layer: DerivedScale(layer, libra_scale),
    "rbnn": lambda layer: nn.Identity(),
    "adabin": lambda layer: nn.Identity(),  # alpha is part of the levels
    "xnor": lambda layer: DerivedScale(layer, xnor_scale),
    "xnor++": lambda layer: LearnedScale(layer, xnor_scale),
}
"""By `[model] weights`: the scale behind a binary layer in the paper's form."""
