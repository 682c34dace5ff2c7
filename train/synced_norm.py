"""Batch norm over the batches of all processes, on any device; torch's own SyncBatchNorm is for CUDA only.

In training, mean and variance are those of all processes' images together, and so is their gradient. In eval mode nothing
changes.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Total(torch.autograd.Function):
    """Sum over processes; the gradient of a sum that all of them use is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def synchronise_norms(model: nn.Module) -> None:
    """Make every batch norm of `model` take its statistics over all processes. Parameters, buffers and names stay as they are."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            setattr(module, "forward", _SyncedForward(module, module.forward))  # noqa: B010 - a method, to mypy


class _SyncedForward:
    """Takes the place of one batch norm's `forward`."""

    def __init__(self, module: _BatchNorm, alone: Callable[[Tensor], Tensor]) -> None:
        self._module = module
        self._alone = alone

    def __call__(self, x: Tensor) -> Tensor:
        return _normalise(self._module, x) if self._module.training else self._alone(x)


def _normalise(module: _BatchNorm, x: Tensor) -> Tensor:
    """Ioffe and Szegedy 2015, algorithm 1, in float32; two passes, since E[x^2] - E[x]^2 loses digits on integer sums."""
    values = x.float()
    dims = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    # All processes have equally many images, so nothing but the sums has to be exchanged.
    count = values.numel() // values.shape[1] * dist.get_world_size()
    mean = _Total.apply(values.sum(dims)) / count  # type: ignore[no-untyped-call]
    centred = values - mean.view(shape)
    variance = _Total.apply(centred.square().sum(dims)) / count  # type: ignore[no-untyped-call]
    _follow(module, mean.detach(), variance.detach(), count)
    result: Tensor = centred * torch.rsqrt(variance + module.eps).view(shape)
    if module.affine:
        result = result * module.weight.view(shape) + module.bias.view(shape)
    return result.to(x.dtype)


@torch.no_grad()
def _follow(module: _BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running statistics, as torch's batch norm does: the variance unbiased."""
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked += 1
    share = module.momentum if module.momentum is not None else 1.0 / float(module.num_batches_tracked)
    module.running_mean.lerp_(mean, share)
    module.running_var.lerp_(variance * (count / max(1, count - 1)), share)
