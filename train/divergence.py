"""Where a training ceased to be finite."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from flipflow.errors import FlipflowError

# Parts of a quantized layer that mean nothing to a reader: the layer is named instead.
_INNER = {"weight_quant", "act_quant", "input_quant", "output_quant", "bias_quant", "tensor_quant", "parametrizations"}


def check_weights(model: nn.Module, epoch: int) -> None:
    """Raise E170 naming the first layer with a parameter that is not finite, in epoch `epoch` (from 0).

    A sign hides a NaN or infinite latent weight: the loss stays finite while the weight is dead.
    """
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise _error("its weights are no longer finite", _layer(name.rpartition(".")[0]), epoch)


def report_non_finite(model: nn.Module, images: Tensor, loss: float, epoch: int) -> None:
    """Raise E170 naming the innermost module, in order of execution, whose weights or output are not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            own = all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters(recurse=False))
            result = output if isinstance(output, Tensor) else getattr(output, "value", None)
            if not (own and (result is None or bool(torch.isfinite(result).all()))):
                found.append(name)

        return look

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    raise _error(f"the loss became {loss}", _layer(found[0]) if found else "", epoch)


def _layer(name: str) -> str:
    parts = name.split(".")
    inner = next((index for index, part in enumerate(parts) if part in _INNER), len(parts))
    return ".".join(parts[:inner])


def _error(what: str, layer: str, epoch: int) -> FlipflowError:
    kept = f" The checkpoint of epoch {epoch} still stands." if epoch else ""
    return FlipflowError(
        "E170",
        f"{what} in epoch {epoch + 1}.{kept}",
        f"layer {layer}" if layer else "the loss",
        "Lower train.lr or ovsw.gamma, set train.clip_norm, or lengthen train.warmup_epochs.",
    )
