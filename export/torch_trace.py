"""What a torch network calls, in order: the layers, quantizers and elementwise modules that its forward pass goes through."""

from dataclasses import dataclass

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from torch import Tensor, nn

from flipflow.train.layers import GlobalSum

_WHOLE = (QuantConv2d, QuantLinear, QuantIdentity)  # their parts are their own affair
_STARTS = (*_WHOLE, GlobalSum)  # a chain begins behind these


@dataclass(frozen=True)
class Call:
    """A module and the call that made its input; None where a function did (an addition, a sum), or nothing.

    value: its output, float32.
    """

    module: nn.Module
    source: "Call | None"
    value: Tensor

    @property
    def is_layer(self) -> bool:
        """Whether it multiplies with weights."""
        return isinstance(self.module, QuantConv2d | QuantLinear)


def trace(network: nn.Module, images: Tensor) -> list[Call]:
    """The calls of one forward pass in eval mode; `images` as the network takes them."""
    calls: list[Call] = []
    makers: dict[int, Call] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        # A module that hands its input on (dropout) is no step of its own.
        if isinstance(output, Tensor) and output is not inputs[0]:
            # The call holds its output, so that no other tensor takes its id.
            call = Call(module, makers.get(id(inputs[0])), output)
            makers[id(output)] = call
            calls.append(call)

    hooks = [module.register_forward_hook(note) for module in _steps(network)]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _steps(module: nn.Module) -> list[nn.Module]:
    """Modules that are one step each: Brevitas' layers and quantizers, and whatever has no parts."""
    if isinstance(module, _WHOLE) or not any(True for _ in module.children()):
        return [module]
    return [step for child in module.children() for step in _steps(child)]


def activation_chains(calls: list[Call]) -> list[list[nn.Module]]:
    """For every quantizer but the first, in order: the elementwise modules from behind a layer, a quantizer or a sum up to it.

    Pools do not change what a value becomes, and are left out.
    """
    chains = []
    for call in calls:
        if not isinstance(call.module, QuantIdentity):
            continue
        chain: list[nn.Module] = [call.module]
        step = call.source
        while step is not None and not isinstance(step.module, _STARTS):
            if not isinstance(step.module, nn.MaxPool2d | nn.Flatten):
                chain.insert(0, step.module)
            step = step.source
        chains.append(chain)
    return chains[1:]
