"""A running mean of a model's weights, which is evaluated and kept in their place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class WeightAverage:
    """Exponential moving average: after optimizer step t (1, 2, ...), A <- d A + (1 - d) W with d = min(decay, (1+t)/(10+t)).

    The smaller d of the first steps forgets the initial weights (as in TensorFlow's ExponentialMovingAverage). Averaged are the
    parameters and batch norm's running mean and variance; all other buffers are those of the model.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Starts at the model's weights of this moment. `decay` lies in 0..1."""
        self._model = model
        self._decay = decay
        self._steps = 0
        self._mean = {name: tensor.detach().clone() for name, tensor in _averaged(model)}

    @torch.no_grad()
    def update(self) -> None:
        """Call after every optimizer step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, tensor in _averaged(self._model):
            self._mean[name].lerp_(tensor, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the model has the averaged weights; afterwards its own again, to the bit."""
        own = {name: tensor.detach().clone() for name, tensor in _averaged(self._model)}
        try:
            self._copy(self._mean)
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, values: dict[str, Tensor]) -> None:
        for name, tensor in _averaged(self._model):
            tensor.copy_(values[name])

    def state_dict(self) -> dict[str, object]:
        """What a resumed run needs; tensors are not copied."""
        return {"steps": self._steps, "mean": self._mean}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from what `state_dict` gave."""
        mean = state["mean"]
        assert isinstance(mean, dict) and isinstance(state["steps"], int)
        for name, tensor in self._mean.items():
            tensor.copy_(mean[name])
        self._steps = state["steps"]


def _averaged(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            yield f"{name}.running_mean", module.running_mean
            yield f"{name}.running_var", module.running_var
