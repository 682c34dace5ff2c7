"""Optimizers by name, and LARS, which torch lacks."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from flipflow.config import TrainConfig


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman, Ginsburg, arXiv 1708.03888, Algorithm 1): SGD with momentum, and

        rate = lr * trust * |W| / (|G| + decay * |W|)        (2-norms of the whole tensor)
        V <- momentum * V + rate * (G + decay * W);  W <- W - V

    for tensors of two or more dimensions. Vectors (batch norm, biases) and tensors whose norm or gradient is 0 take rate = lr,
    as is usual. OvSW's paper sets AGS against it: LARS rescales layers, AGS single channels, and only those that are too quiet.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        """`trust`: eta of the paper. Raises: ValueError for a negative argument."""
        if min(lr, momentum, weight_decay, trust) < 0.0:
            raise ValueError("lr, momentum, weight_decay and trust must not be negative")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; `closure` as for any torch optimizer."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_one(parameter, group)
        return loss

    def _step_one(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient, decay = parameter.grad, group["weight_decay"]
        assert gradient is not None
        direction = gradient.add(parameter, alpha=decay)
        if parameter.dim() > 1:
            w, g = torch.linalg.vector_norm(parameter), torch.linalg.vector_norm(gradient)
            usable = (w > 0) & (g > 0)
            direction.mul_(torch.where(usable, group["trust"] * w / (g + decay * w), 1.0))
        velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
        velocity.mul_(group["momentum"]).add_(direction, alpha=float(group["lr"]))
        parameter.sub_(velocity)


def parameter_groups(
    model: nn.Module, config: TrainConfig, undecayed: Iterable[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Parameters by weight decay: matrices, vectors (decayed where config.decay_1d), and those that somebody else decays."""
    ours = {id(parameter) for parameter in undecayed}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay_vectors = config.weight_decay if config.decay_1d else 0.0
    groups = [
        {"params": [p for p in trained if p.dim() > 1 and id(p) not in ours], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1 and id(p) not in ours], "weight_decay": decay_vectors},
    ]
    elsewhere = [p for p in trained if id(p) in ours]
    return [*groups, {"params": elsewhere, "weight_decay": 0.0}] if elsewhere else groups


def make_optimizer(
    model: nn.Module, config: TrainConfig, undecayed: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The configured optimizer; `momentum` is Adam's beta1. `undecayed`: parameters whose decay is not its business."""
    groups = parameter_groups(model, config, undecayed)
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
        case "lars":
            return Lars(groups, lr=config.lr, momentum=config.momentum, trust=config.lars_trust)
        case "adam":
            return torch.optim.Adam(groups, lr=config.lr, betas=(config.momentum, 0.999))
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999))
