"""The papers' networks untrained, in the state that training leaves: norms of both signs, running statistics of real sums.

For builds and simulations before anything is trained: sizes, areas and cycles do not depend on the weights much, and equality of
the levels not at all.
"""

import torch
from torch import nn

from flipflow.config import ModelConfig
from flipflow.train.models import build_model

# Images (channels, height, width) and classes.
INPUT_SHAPES: dict[str, tuple[tuple[int, int, int], int]] = {
    "cresnet18": ((3, 32, 32), 10),
    "cresnet20": ((3, 32, 32), 10),
    "vggsmall": ((3, 32, 32), 10),
    "resnet18": ((3, 224, 224), 1000),
    "resnet34": ((3, 224, 224), 1000),
}


def random_network(name: str, seed: int = 0) -> nn.Module:
    """A deployable network (a key of INPUT_SHAPES) in eval mode; the same for the same seed."""
    shape, classes = INPUT_SHAPES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(ModelConfig.model_validate({"network": name}), shape, classes)
    return settle(model, shape, seed)


def settle(model: nn.Module, shape: tuple[int, int, int], seed: int) -> nn.Module:
    """Draw scales and biases of all batch norms, then take their statistics from random images; eval mode."""
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        sign = 1.0 - 2.0 * (torch.rand(norm.num_features, generator=generator) < 0.25).float()
        norm.weight.data = sign * (0.3 + 0.7 * torch.rand(norm.num_features, generator=generator))
        norm.bias.data = 0.5 * torch.randn(norm.num_features, generator=generator)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randint(0, 256, (3, *shape), generator=generator).float())
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()
