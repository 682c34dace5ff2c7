"""Training from other networks: a teacher's logits, and weights to start from.

Two-step training (Martinez et al., ICLR 2020; ReActNet, Liu et al., ECCV 2020): step 1 binarises activations alone
([model] weights = "float"), step 2 the weights too, from step 1's checkpoint ([train] init); in both the loss is the
cross-entropy against a teacher's probabilities ([train] teacher), and labels are not looked at.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from flipflow.config import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train.models import build_model


def soft_cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean over images of -sum_c softmax(wanted)_c log softmax(logits)_c; both [N, classes], float32."""
    return -(wanted.softmax(1) * logits.log_softmax(1)).sum(1).mean()


def load_teacher(path: Path, input_shape: tuple[int, int, int], classes: int, device: torch.device) -> nn.Module:
    """The network of a checkpoint, in eval mode and without gradients.

    Raises: FlipflowError E160 to E162, as `checkpoint.load`; E174 where it is for other images or classes.
    """
    content = store.load(path)
    found = (tuple(content["input_shape"]), len(content["classes"]))
    if found != (input_shape, classes):
        raise FlipflowError(
            "E174",
            f"the teacher takes images {found[0]} (C, H, W) of {found[1]} classes, and the data have {input_shape} of {classes}.",
            f"train.teacher = {path}",
            "Train a teacher on the same data.",
        )
    with torch.random.fork_rng(devices=[]):
        model = build_model(ModelConfig.model_validate(content["config"]["model"]), input_shape, classes)
    model.load_state_dict(content["best"]["model"])
    return model.to(device).eval().requires_grad_(False)


def start_from(model: nn.Module, path: Path) -> None:
    """Copy into `model` the best weights of a checkpoint, by name.

    What only one of the two has, and is a vector, a scalar or a method's own buffer, is left as it is.
    Raises: FlipflowError E160 to E162; E174 where a weight tensor is missing on either side, or shapes differ.
    """
    given: dict[str, Tensor] = store.load(path)["best"]["model"]
    own = model.state_dict()
    weights, theirs = (
        {name for name, t in side.items() if t.dim() > 1 and name.endswith(".weight")} for side in (own, given)
    )
    odd = sorted(weights ^ theirs)
    odd = odd or sorted(name for name in own.keys() & given.keys() if own[name].shape != given[name].shape)
    if odd:
        sizes = [tuple(side[odd[0]].shape) if odd[0] in side else "missing" for side in (given, own)]
        raise FlipflowError(
            "E174",
            f"tensor {odd[0]} is {sizes[0]} in the checkpoint and {sizes[1]} in the network, {len(odd)} tensors in all.",
            f"train.init = {path}",
            "Start from a checkpoint of the same [model] section, but for `weights` and estimators.",
        )
    with torch.no_grad():
        for name in own.keys() & given.keys():
            own[name].copy_(given[name])
