"""Gradient estimators of the sign: what the backward pass takes for the derivative of a step.

Forward is the same for all: +1 where x >= 0 (also for -0.0), else -1, in the dtype of x. To add one, write a function
(gradient of the output, x) -> gradient of x and enter it in ESTIMATORS; one whose shape follows the epoch takes t and k,
too, and stands in SCHEDULED with its schedules.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flipflow.train.methods.schedule import (
    Scheduled,
    ede_shape,
    progress,
    rbnn_activation_shape,
    rbnn_weight_shape,
)

Backward = Callable[[Tensor, Tensor], Tensor]
ShapedBackward = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Shape = Callable[[float], tuple[float, float]]
Role = Literal["weights", "activations"]
Norm = Literal["none", "std", "std-attached"]

VARIANCE_FLOOR = 1e-5  # under the root of a sample's standard deviation


def identity(grad: Tensor, x: Tensor) -> Tensor:
    """d sign/dx = 1 (straight-through, Bengio et al. 2013)."""
    return grad


def clipped_identity(grad: Tensor, x: Tensor) -> Tensor:
    """d sign/dx = 1 where |x| <= 1, else 0 (Hubara et al. 2016)."""
    return grad * (x.abs() <= 1).to(grad.dtype)


def bireal(grad: Tensor, x: Tensor) -> Tensor:
    """d sign/dx = max(0, 2 - 2|x|) (Bi-Real net, Liu et al. 2018)."""
    return grad * x.abs().mul_(-2).add_(2).clamp_(min=0)


def ede(grad: Tensor, x: Tensor, t: Tensor, k: Tensor) -> Tensor:
    """d sign/dx = k t (1 - tanh^2(t x)): from nearly 1 everywhere to nearly the step (IR-Net's EDE, Qin et al. 2020)."""
    return grad * (1 - torch.tanh(x * t).square_()).mul_(k * t)


def rbnn(grad: Tensor, x: Tensor, t: Tensor, k: Tensor) -> Tensor:
    """d sign/dx = k max(0, sqrt(2) t - t^2 |x|) (RBNN, Lin et al. 2020)."""
    return grad * x.abs().mul_(-t * t).add_(math.sqrt(2.0) * t).clamp_(min=0).mul_(k)


ESTIMATORS: dict[str, Backward] = {
    "identity": identity,
    "clipped_identity": clipped_identity,
    "bireal": bireal,
}

SCHEDULED: dict[str, tuple[ShapedBackward, dict[Role, Shape]]] = {
    "ede": (ede, {"weights": ede_shape, "activations": ede_shape}),
    "rbnn": (rbnn, {"weights": rbnn_weight_shape, "activations": rbnn_activation_shape}),
}


class _Sign(torch.autograd.Function):
    """Sign with a chosen backward pass, of x or of x over its sample's standard deviation (same sign)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, backward: Callable[..., Tensor], norm: Norm, t: Tensor | None, k: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x, t, k)
        ctx.estimator, ctx.norm = backward, norm
        return (x >= 0).to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, t, k = ctx.saved_tensors
        shape = () if t is None else (t, k)
        if ctx.norm == "none":
            return ctx.estimator(grads[0], x, *shape), None, None, None, None
        variance, mean = torch.var_mean(x, dim=tuple(range(1, x.dim())), keepdim=True)
        std = (variance + VARIANCE_FLOOR).sqrt_()
        inner = ctx.estimator(grads[0], x / std, *shape) / std
        if ctx.norm == "std-attached":
            inner = inner - _through_std(inner, x, mean, std)
        return inner, None, None, None, None


def _through_std(inner: Tensor, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """What the gradient of x / std loses by std being a function of x; `inner` is the gradient at constant std."""
    # d(x_j/s)/dx_i = [i = j]/s - x_j/s^2 ds/dx_i, and ds/dx_i = (x_i - mean) / ((n - 1) s).
    along = (inner * x).sum(dim=tuple(range(1, x.dim())), keepdim=True)
    return (x - mean) * (along / ((x[0].numel() - 1) * std * std))


def sign(x: Tensor, estimator: str, norm: Norm = "none") -> Tensor:
    """Signs of x as +-1 floats with the gradient of `estimator`, a key of ESTIMATORS (KeyError otherwise).

    norm: "std" divides x by each sample's standard deviation (unbiased, over all but the first dimension) in the backward
        pass, as the code of OvSW does; "std-attached" is the gradient with that deviation a function of x, as in ReCU.
    """
    return _Sign.apply(x, ESTIMATORS[estimator], norm, None, None)  # type: ignore[no-any-return, no-untyped-call]


class Sign(Scheduled, nn.Module):
    """`sign` as a module that knows every estimator, those whose shape follows the epoch among them."""

    t: Tensor
    k: Tensor

    def __init__(self, estimator: str, role: Role, norm: Norm = "none") -> None:
        """`estimator`: a key of ESTIMATORS or SCHEDULED; `role`: what it is applied to. Starts as at the first epoch."""
        super().__init__()
        self.estimator, self.norm = estimator, norm
        self._shape: Shape | None = None
        if estimator in SCHEDULED:
            self._shape = SCHEDULED[estimator][1][role]
            # Tensors rather than numbers, so that a compiled step is not compiled anew every epoch.
            self.register_buffer("t", torch.zeros(()), persistent=False)
            self.register_buffer("k", torch.zeros(()), persistent=False)
            self.begin_epoch(0, 1)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set t and k of an estimator that has them."""
        if self._shape is not None:
            t, k = self._shape(progress(epoch, epochs))
            self.t.fill_(t)
            self.k.fill_(k)

    def forward(self, x: Tensor) -> Tensor:
        """+-1 of any shape (with a norm: samples first)."""
        if self._shape is None:
            return sign(x, self.estimator, self.norm)
        backward = SCHEDULED[self.estimator][0]
        return _Sign.apply(x, backward, self.norm, self.t, self.k)  # type: ignore[no-any-return, no-untyped-call]


class _FixedPoint(torch.autograd.Function):
    """clamp(round(x / scale), low, high) * scale, ties to even; gradient 1 inside the range, 0 outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, low: float, high: float) -> Tensor:
        # A power-of-two scale makes division and product exact, so the result is an integer times the scale to the bit.
        integer = (x / scale).round_()
        ctx.save_for_backward((integer >= low) & (integer <= high))
        return integer.clamp_(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None, None


def fixed_point(x: Tensor, scale: float, low: int, high: int) -> Tensor:
    """x rounded to integers low..high times `scale` (a power of two), with the clipped identity gradient."""
    return _FixedPoint.apply(x, scale, float(low), float(high))  # type: ignore[no-any-return, no-untyped-call]
