"""OvSW on the optimizer's update instead of the gradient (`[ovsw] ags_target = "update"`).

This is the project's variant, not the paper's. AGS as published raises gradients, and Adam normalises that away again. Here the
optimizer first makes its own update D = W' - W(t) of the loss's gradient alone, and both parts of OvSW act on that. Per output
channel k, with the learning rate lr:
  u = max(|D_k| / lr, 1e-6),  w = max(|W_k(t)|, 1e-3);   if u/w < lambda:  D_k <- lambda * (w/u) * D_k
  W(t+1) = W(t) + D - lr * (decay + gamma * [S < sigma]) * W(t)
Plain SGD makes D = -lr * G, so u = g, and W(t+1) is that of the published formulas with weight decay `decay`: equal in exact
arithmetic. With momentum or Adam the decays are decoupled, as in SGDW and AdamW (Loshchilov and Hutter, arXiv 1711.05101): under
momentum m they are 1 - m times as strong as those that pass through the optimizer.
"""

import torch
from torch import Tensor

SMALLEST_GRADIENT_NORM = 1e-6
SMALLEST_WEIGHT_NORM = 1e-3


def floor_factor(step: Tensor, weight: Tensor, floor: float, unit: float) -> tuple[Tensor, Tensor]:
    """What each output channel of `step` is multiplied with, float [out], and where that is more than 1, bool [out].

    step: gradient or update, `unit` times the quantity whose norm shall be at least `floor` times that of `weight`.
    """
    # A loop over layers calls this: torch has no foreach norm by channel, and the foreach forms of the rest were slower on a CPU.
    g = torch.linalg.vector_norm(step.flatten(1), dim=1).div_(unit).clamp_(min=SMALLEST_GRADIENT_NORM)
    w = torch.linalg.vector_norm(weight.flatten(1), dim=1).clamp_(min=SMALLEST_WEIGHT_NORM)
    low = g / w < floor
    return torch.where(low, floor * w / g, 1.0), low


def by_channel(values: Tensor, like: Tensor) -> Tensor:
    """[out] as [out, 1, ...], to be multiplied with `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


def makes_update_alone(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the update of `optimizer` is known not to depend on the weights, given a weight decay of 0.

    Then it can be made from weights of 0, and comes out to full precision: a float32 weight rounds off a quiet channel's update,
    and the floor would raise what is left of it.
    """
    return type(optimizer) in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)


def correct_update(
    weight: Tensor, before: Tensor, lr: float, floor: float | None, decay: Tensor | float, alone: bool
) -> Tensor | None:
    """Apply the formulas above to `weight`, which the optimizer has just moved from `before`, or from 0 where `alone`.

    floor: lambda, None to leave AGS out. decay: weight decay plus SAD's part, one number or one an element.
    Returns: where AGS acted, bool [out]; None without AGS.
    """
    low = None
    if floor is not None:
        update = weight if alone else weight - before
        factor, low = floor_factor(update, before, floor, lr)
        # Not alone, it adds nothing at all, not even a rounding, where the factor is 1.
        weight.add_(update * by_channel(factor - 1.0, update))
    if alone:
        weight.add_(before)
    weight.add_(before * decay, alpha=-lr)
    return low
