"""OvSW in a training loop of your own: a binary MLP on scikit-learn's digits, in plain torch.

    python examples/own_training_loop.py --epochs 8

The loop below knows nothing of OvSW: the hook acts inside optimizer.step(). Run it with --plain to see what the same
loop does without: the share of weights that never flip stays high.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from flipflow.config import OvswConfig
from flipflow.train.estimators import sign
from flipflow.train.ovsw import OvswHook

BATCH = 50


class BinaryLinear(nn.Module):
    """A linear layer that computes with the signs of its latent weights [outputs, inputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Latent weights as torch's own linear layer starts them."""
        super().__init__()
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(outputs, inputs)))

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] to [N, outputs]."""
        return F.linear(x, sign(self.weight, "identity"))


class BinaryActivation(nn.Module):
    """Sign, with the Bi-Real gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return sign(x, "bireal")


def network() -> nn.Sequential:
    """64 pixels, two hidden layers of 256, ten classes."""
    return nn.Sequential(
        BinaryLinear(64, 256), nn.BatchNorm1d(256), BinaryActivation(),
        BinaryLinear(256, 256), nn.BatchNorm1d(256), BinaryActivation(),
        BinaryLinear(256, 10), nn.BatchNorm1d(10),
    )  # fmt: skip


def digits(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; images float32 [N, 64] in -1..1, a fifth for the test."""
    raw = load_digits()
    images = torch.from_numpy(raw.data).float() / 8 - 1
    labels = torch.from_numpy(raw.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    test = len(labels) // 5
    return images[order[test:]], labels[order[test:]], images[order[:test]], labels[order[:test]]


def main() -> None:
    """Train and print a line an epoch."""
    parser = argparse.ArgumentParser(description="A plain torch loop with the OvSW hook.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="watch the weights, but leave gradients alone")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    images, labels, test_images, test_labels = digits(options.seed)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    # The hook: which weights are binary, which optimizer, which settings. It keeps its own state (state_dict).
    binary = [(name, layer.weight) for name, layer in model.named_children() if isinstance(layer, BinaryLinear)]
    settings = OvswConfig(ags=not options.plain, sad=not options.plain, gamma=9e-3)
    hook = OvswHook(binary, optimizer, settings)

    for epoch in range(options.epochs):
        model.train()
        for part in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[part]), labels[part]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(test_images).argmax(1) == test_labels).float().mean().item()
        layers = hook.telemetry()
        never = ", ".join(f"layer {name} {layer.never_flipped:.0%}" for name, layer in layers.items())
        print(f"epoch {epoch + 1}: test accuracy {accuracy:.2%}; never flipped: {never}")


if __name__ == "__main__":
    main()
