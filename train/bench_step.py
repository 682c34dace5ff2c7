"""Times of one training step: our layers against plain torch modules, and the share of the OvSW hook. Prints JSON.

    python -m flipflow.train.bench_step --network fashion-cnn --batch 100
    python -m flipflow.train.bench_step --network cresnet18 --batch 256 --steps 3 --device cuda

layers: seconds of a step of the network as built, over those of its twin, in which plain torch modules take the place of
Brevitas' with the same estimators and methods; the two alternate, and the ratio is that of the medians. Before timing, both must
give equal logits and gradients. hook: what optimizer.step() takes with the hook more than without, over the whole step.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flipflow.config import ModelConfig, OvswConfig, TrainConfig
from flipflow.train.methods import begin_epoch
from flipflow.train.models import binary_weights, build_model
from flipflow.train.optimizers import make_optimizer
from flipflow.train.ovsw import OvswHook
from flipflow.train.plain import plain_twin

SHAPES = {"fashion-cnn": (1, 28, 28), "digits-cnn": (1, 8, 8), "resnet18": (3, 224, 224), "resnet34": (3, 224, 224)}
CIFAR = (3, 32, 32)


Timed = Callable[[], float]


def passes_of(model: nn.Module, images: Tensor, labels: Tensor) -> Timed:
    """Forward and backward pass, in seconds; leaves the gradients."""

    def passes() -> float:
        start = _now(images.device)
        model.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        return _now(images.device) - start

    return passes


def update_of(optimizer: torch.optim.Optimizer, device: torch.device) -> Timed:
    """optimizer.step(), in seconds."""

    def update() -> float:
        start = _now(device)
        optimizer.step()
        return _now(device) - start

    return update


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def _medians(timed: list[Timed], rounds: int) -> list[float]:
    """Each once for warming up, then `rounds` times, in turn and with the order reversed every other round."""
    for each in timed:
        each()
    seconds: list[list[float]] = [[] for _ in timed]
    for index in range(rounds):
        for which in range(len(timed)) if index % 2 == 0 else reversed(range(len(timed))):
            seconds[which].append(timed[which]())
    return [statistics.median(times) for times in seconds]


def _whole_step(model: nn.Module, train: TrainConfig, images: Tensor, labels: Tensor) -> Timed:
    passes, update = passes_of(model, images, labels), update_of(make_optimizer(model, train), images.device)
    return lambda: passes() + update()


def measure_layers(
    model: nn.Module, train: TrainConfig, images: Tensor, labels: Tensor, rounds: int
) -> dict[str, float]:
    """Step of `model` against that of its plain twin. Raises: RuntimeError where the two do not compute the same."""
    models = (model, plain_twin(model))
    _require_equal(*models, images, labels)
    ours, plain = _medians([_whole_step(each, train, images, labels) for each in models], rounds)
    return {"seconds": ours, "plain_seconds": plain, "ratio": ours / plain}


def _require_equal(model: nn.Module, twin: nn.Module, images: Tensor, labels: Tensor) -> None:
    found = []
    for each in (model, twin):
        logits = each(images)
        F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        found.append([logits.detach(), *(p.grad for p in each.parameters() if p.grad is not None)])
    ours, plain = found
    # Order of sums may differ on a GPU, hence no equality.
    close = [bool((a - b).abs().max() <= 1e-3 * b.abs().max()) for a, b in zip(ours, plain, strict=True)]
    if not all(close):
        raise RuntimeError("the plain twin does not compute the same: the times would say nothing")


def measure_hook(model: nn.Module, train: TrainConfig, images: Tensor, labels: Tensor, rounds: int) -> dict[str, float]:
    """What the OvSW hook adds to a step; updates are timed more often than passes, since they are short."""
    (passes,) = _medians([passes_of(model, images, labels)], rounds)
    optimizers = [make_optimizer(model, train) for _ in range(2)]
    OvswHook(binary_weights(model), optimizers[0], OvswConfig())
    hooked, bare = _medians([update_of(each, images.device) for each in optimizers], 10 * rounds)
    return {"seconds": hooked - bare, "step_seconds": passes + hooked, "share": (hooked - bare) / (passes + hooked)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Times of one training step, as JSON.")
    parser.add_argument("--network", default="fashion-cnn", help="a name of [model] network")
    parser.add_argument("--weights", default="vanilla", help="a method of [model] weights")
    parser.add_argument("--paper", action="store_true", help="the paper's form instead of the deployable one")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each kind")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's own choice")
    parser.add_argument("--only", choices=["layers", "hook"], help="leave the other out")
    options = parser.parse_args()
    print(json.dumps(measure(options), indent=1))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """What `main` prints."""
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    document = {"network": options.network, "weights": options.weights, "deployable": not options.paper}
    shape = SHAPES.get(options.network, CIFAR)
    model = build_model(ModelConfig.model_validate(document), shape, 10).to(device)
    begin_epoch(model, 0, 2)
    images = torch.randint(0, 256, (options.batch, *shape)).float().to(device)
    labels = torch.randint(0, 10, (options.batch,)).to(device)
    train = TrainConfig(lr=1e-3)
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    result: dict[str, Any] = {**document, "batch": options.batch, "steps": options.steps, "device": place}
    if options.only != "hook":
        result["layers"] = measure_layers(copy.deepcopy(model), train, images, labels, options.steps)
    if options.only != "layers":
        result["hook"] = measure_hook(model, train, images, labels, options.steps)
    return result


if __name__ == "__main__":
    main()
