"""OvSW: overcoming silent weights of binary networks (Xiang et al., ECCV 2024, arXiv 2407.05257), as an optimizer hook.

Attaches to any torch optimizer; the training loop does not change:

    hook = OvswHook(binary_weights(model), optimizer, OvswConfig())
    ...
    loss.backward(); optimizer.step()          # the hook acts inside step()
    telemetry = hook.telemetry()               # once an epoch

Before each optimizer step, for every binary weight tensor W (output channels first) with gradient G:
  adaptive gradient scaling (AGS), per channel k:  g = max(|G_k|, 1e-6), w = max(|W_k|, 1e-3) (2-norms);
      if g/w < lambda:  G_k <- lambda * (w/g) * G_k
  silence-aware decay (SAD), per element:  S <- m*S + (1-m)*[sign W(t) != sign W(t-1)];  G <- G + gamma*[S < sigma]*W
with S = 0 and W(t-1) = W at the start, and sign(0) = +1. AGS comes before SAD.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from flipflow.config.training import OvswConfig

SMALLEST_GRADIENT_NORM = 1e-6
SMALLEST_WEIGHT_NORM = 1e-3


@dataclass(frozen=True)
class LayerTelemetry:
    """What one layer's binary weights did since the last reset.

    flip_ratio: flips a weight and step. never_flipped: share of weights that kept their sign since training began.
    ags_rate: share of (channel, step) pairs where AGS acted. silent: share of weights with S < sigma at the last step.
    """

    flip_ratio: float
    never_flipped: float
    ags_rate: float
    silent: float


class _Layer:
    """State of one weight tensor."""

    def __init__(self, name: str, weight: nn.Parameter) -> None:
        self.name = name
        self.weight = weight
        self.positive = weight.detach() >= 0  # sign of W(t-1), True for +1
        self.flip_rate = torch.zeros_like(weight, dtype=torch.float32)  # S
        self.flipped = torch.zeros_like(self.positive)  # ever, since the start
        device = weight.device
        self.flips = torch.zeros((), dtype=torch.int64, device=device)
        self.scaled = torch.zeros((), dtype=torch.int64, device=device)  # (channel, step) pairs where AGS acted

    def state(self) -> dict[str, Tensor]:
        return {
            "positive": self.positive,
            "flip_rate": self.flip_rate,
            "flipped": self.flipped,
            "flips": self.flips,
            "scaled": self.scaled,
        }

    def load(self, state: dict[str, Tensor]) -> None:
        for key, tensor in self.state().items():
            if state[key].shape != tensor.shape or state[key].dtype != tensor.dtype:
                raise ValueError(
                    f"OvSW state of layer {self.name}: {key} is {state[key].dtype} {tuple(state[key].shape)}, "
                    f"not {tensor.dtype} {tuple(tensor.shape)}"
                )
            tensor.copy_(state[key])


class OvswHook:
    """Applies OvSW to `weights` before every step of `optimizer`; keeps its own state, never optimizer.state.

    weights: (layer name, latent weights [out, ...]) pairs. Gradient accumulation: acts once an optimizer step.
    Clipping: clip before step(), so that AGS comes after. Mixed precision: gradients that GradScaler has unscaled are
    taken as they are; for a fused optimizer, which unscales inside step(), the hook works in unscaled units through
    `optimizer.grad_scale`. Steps with infinite gradients leave weights, gradients and tracker as they were.
    """

    def __init__(
        self, weights: Iterable[tuple[str, nn.Parameter]], optimizer: torch.optim.Optimizer, config: OvswConfig
    ) -> None:
        """Registers itself with `optimizer`; the signs of this moment are W(t-1) of the first step."""
        self.config = config
        self.seconds = 0.0  # spent in the hook since the last reset
        self._layers = [_Layer(name, weight) for name, weight in weights]
        self._steps = 0  # since the last reset
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    def remove(self) -> None:
        """Detach from the optimizer."""
        self._handle.remove()

    # Inductor cannot compile the state that outlives a step (KeyError), and there is nothing to fuse here.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        start = perf_counter()
        # Set by GradScaler on optimizers that unscale by themselves; absent or None for the others.
        found_inf: Tensor | None = getattr(optimizer, "found_inf", None)
        if found_inf is None or not bool(found_inf):
            scale: Tensor | None = getattr(optimizer, "grad_scale", None)
            for layer in self._layers:
                self._act(layer, 1.0 if scale is None else float(scale))
            self._steps += 1
        self.seconds += perf_counter() - start

    def _act(self, layer: _Layer, scale: float) -> None:
        weight, grad = layer.weight, layer.weight.grad
        self._track(layer)
        if grad is None:
            return
        if self.config.ags:
            _scale_gradients(layer, grad, self.config.lambda_, scale)
        if self.config.sad:
            grad.add_(weight * (layer.flip_rate < self.config.sigma), alpha=self.config.gamma * scale)

    def _track(self, layer: _Layer) -> None:
        positive = layer.weight >= 0
        changed = positive ^ layer.positive
        layer.flip_rate.mul_(self.config.momentum).add_(changed, alpha=1.0 - self.config.momentum)
        layer.positive.copy_(positive)
        layer.flipped |= changed
        layer.flips += torch.count_nonzero(changed)

    def telemetry(self, reset: bool = True) -> dict[str, LayerTelemetry]:
        """By layer, over the steps since the last reset; `reset` starts the next period."""
        result = {}
        for layer in self._layers:
            count, steps = layer.weight.numel(), max(1, self._steps)
            silent = torch.count_nonzero(layer.flip_rate < self.config.sigma)
            result[layer.name] = LayerTelemetry(
                flip_ratio=int(layer.flips) / (count * steps),
                never_flipped=1.0 - int(torch.count_nonzero(layer.flipped)) / count,
                ags_rate=int(layer.scaled) / (layer.weight.shape[0] * steps),
                silent=int(silent) / count,
            )
            if reset:
                layer.flips.zero_()
                layer.scaled.zero_()
        if reset:
            self._steps, self.seconds = 0, 0.0
        return result

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on to the same bits; tensors are not copied."""
        return {"steps": self._steps, "layers": {layer.name: layer.state() for layer in self._layers}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises: ValueError where it belongs to other layers."""
        names = [layer.name for layer in self._layers]
        if sorted(state["layers"]) != sorted(names):
            raise ValueError(f"OvSW state is of layers {sorted(state['layers'])}, not {sorted(names)}")
        with torch.no_grad():
            for layer in self._layers:
                layer.load(state["layers"][layer.name])
        self._steps = int(state["steps"])


def _scale_gradients(layer: _Layer, grad: Tensor, floor: float, scale: float) -> None:
    """AGS on `grad`, which is `scale` times the true gradient."""
    # A loop over layers: torch has no foreach norm by channel, and the foreach forms of the rest were slower on a CPU.
    g = torch.linalg.vector_norm(grad.flatten(1), dim=1).div_(scale).clamp_(min=SMALLEST_GRADIENT_NORM)
    w = torch.linalg.vector_norm(layer.weight.flatten(1), dim=1).clamp_(min=SMALLEST_WEIGHT_NORM)
    low = g / w < floor
    factor = torch.where(low, floor * w / g, 1.0)
    grad.mul_(factor.view(-1, *[1] * (grad.dim() - 1)))
    layer.scaled += torch.count_nonzero(low)
