"""Gradient estimators of the sign: what the backward pass takes for the derivative of a step.

Forward is the same for all: +1 where x >= 0 (also for -0.0), else -1, in the dtype of x. To add one, write a function
(gradient of the output, x) -> gradient of x and enter it in ESTIMATORS.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Backward = Callable[[Tensor, Tensor], Tensor]


def identity(grad: Tensor, x: Tensor) -> Tensor:
    """d sign/dx = 1 (straight-through, Bengio et al. 2013)."""
    return grad


def clipped_identity(grad: Tensor, x: Tensor) -> Tensor:
    """d sign/dx = 1 where |x| <= 1, else 0 (Hubara et al. 2016)."""
    return grad * (x.abs() <= 1).to(grad.dtype)


def bireal(grad: Tensor, x: Tensor) -> Tensor:
    """d sign/dx = max(0, 2 - 2|x|) (Bi-Real net, Liu et al. 2018)."""
    return grad * x.abs().mul_(-2).add_(2).clamp_(min=0)


ESTIMATORS: dict[str, Backward] = {
    "identity": identity,
    "clipped_identity": clipped_identity,
    "bireal": bireal,
}


class _Sign(torch.autograd.Function):
    """Sign with a chosen backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, backward: Backward) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = backward
        return (x >= 0).to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.estimator(grads[0], x), None


def sign(x: Tensor, estimator: str) -> Tensor:
    """Signs of x as +-1 floats with the gradient of `estimator`, a key of ESTIMATORS (KeyError otherwise)."""
    return _Sign.apply(x, ESTIMATORS[estimator])  # type: ignore[no-any-return, no-untyped-call]


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
