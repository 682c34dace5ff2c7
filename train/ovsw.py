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
with S = 0 and W(t-1) = W at the start, and sign(0) = +1. AGS comes before SAD. With `ags_target = "update"` both act on the
optimizer's update instead: see flipflow.train.ovsw_update.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from flipflow.config import OvswConfig
from flipflow.train.ovsw_update import by_channel, correct_update, floor_factor, makes_update_alone


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
        self.before: Tensor | None = None  # W(t) while the optimizer steps, where its update is corrected

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
    """Applies OvSW to `weights` around every step of `optimizer`; keeps its own state, never optimizer.state.

    weights: (layer name, latent weights [out, ...]) pairs. Gradient accumulation: acts once an optimizer step.
    Clipping: clip before step(), so that AGS comes after. Mixed precision: gradients that GradScaler has unscaled are
    taken as they are; for a fused optimizer, which unscales inside step(), the hook works in unscaled units through
    `optimizer.grad_scale`. Steps with infinite gradients leave weights, gradients and tracker as they were.
    Several processes: gradients are averaged before step(), so every process comes to the same state.
    """

    def __init__(
        self,
        weights: Iterable[tuple[str, nn.Parameter]],
        optimizer: torch.optim.Optimizer,
        config: OvswConfig,
        weight_decay: float = 0.0,
    ) -> None:
        """Registers itself with `optimizer`; the signs of this moment are W(t-1) of the first step.

        weight_decay: of `weights`, for ags_target "update", where the hook applies it in the optimizer's stead.
        Raises: ValueError for gamma "auto", which only a whole run can resolve (flipflow.train.schedules.resolve_gamma), and
        where both the hook and the optimizer would decay the weights.
        """
        if config.gamma == "auto":
            raise ValueError("gamma is 'auto', which follows from a run's length; give the hook a number")
        self.config = config
        self.seconds = 0.0  # spent in the hook since the last reset
        self._gamma = float(config.gamma)
        self._decay = weight_decay
        self._layers = [_Layer(name, weight) for name, weight in weights]
        self._steps = 0  # since the last reset
        self._skipped = False  # whether the step under way has infinite gradients
        self._alone = makes_update_alone(optimizer)
        self._handles = [optimizer.register_step_pre_hook(self._before_step)]
        if config.ags_target == "update":
            self._refuse_double_decay(optimizer)
            self._handles.append(optimizer.register_step_post_hook(self._after_step))

    def _refuse_double_decay(self, optimizer: torch.optim.Optimizer) -> None:
        ours = {id(layer.weight) for layer in self._layers}
        for group in optimizer.param_groups:
            if group.get("weight_decay", 0.0) and any(id(weight) in ours for weight in group["params"]):
                raise ValueError("ags_target 'update' needs weight_decay 0 in the optimizer's group of binary weights")

    def remove(self) -> None:
        """Detach from the optimizer."""
        for handle in self._handles:
            handle.remove()

    # Inductor cannot compile the state that outlives a step (KeyError), and there is nothing to fuse here.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        start = perf_counter()
        if any(callable(value) for value in (*args[1:], kwargs.get("closure"))):
            raise ValueError(
                "step() was given a closure, whose gradients come after the hook; call backward() before step()"
            )
        # Set by GradScaler on optimizers that unscale by themselves; absent or None for the others.
        found_inf: Tensor | None = getattr(optimizer, "found_inf", None)
        self._skipped = found_inf is not None and bool(found_inf)
        if not self._skipped:
            scale: Tensor | None = getattr(optimizer, "grad_scale", None)
            for layer in self._layers:
                self._track(layer)
                if self.config.ags_target == "update":
                    self._set_aside(layer)
                else:
                    self._act(layer, 1.0 if scale is None else float(scale))
            self._steps += 1
        self.seconds += perf_counter() - start

    def _act(self, layer: _Layer, scale: float) -> None:
        weight, grad = layer.weight, layer.weight.grad
        if grad is None:
            return
        if self.config.ags:
            factor, low = floor_factor(grad, weight, self.config.lambda_, scale)
            grad.mul_(by_channel(factor, grad))
            layer.scaled += torch.count_nonzero(low)
        if self.config.sad:
            grad.add_(weight * (layer.flip_rate < self.config.sigma), alpha=self._gamma * scale)

    def _set_aside(self, layer: _Layer) -> None:
        if layer.weight.grad is None:
            return
        layer.before = layer.weight.detach().clone()
        if self._alone:
            layer.weight.zero_()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        start = perf_counter()
        if not self._skipped:
            rates = {id(weight): float(group["lr"]) for group in optimizer.param_groups for weight in group["params"]}
            for layer in self._layers:
                if layer.before is not None:
                    self._correct(layer, layer.before, rates[id(layer.weight)])
                layer.before = None
        self.seconds += perf_counter() - start

    def _correct(self, layer: _Layer, before: Tensor, lr: float) -> None:
        if lr == 0.0:
            layer.weight.copy_(before)
            return
        decay: Tensor | float = self._decay
        if self.config.sad:
            decay = (layer.flip_rate < self.config.sigma).to(before.dtype).mul_(self._gamma).add_(self._decay)
        floor = self.config.lambda_ if self.config.ags else None
        low = correct_update(layer.weight, before, lr, floor, decay, self._alone)
        if low is not None:
            layer.scaled += torch.count_nonzero(low)

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
