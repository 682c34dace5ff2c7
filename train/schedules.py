"""The learning rate over a run, and what follows from it."""

import math

from flipflow.config import OvswConfig, TrainConfig
from flipflow.errors import FlipflowError

# Added to every rate after the warm-up in OvSW's recipe (and in ReCU's), whatever the base rate.
COSINE_EPOCH_FLOOR = 1e-5

# What SAD comes to over the paper's shortest run (CIFAR-100, 60 epochs of 50,000/256 steps, gamma 9e-4, lr 0.1, momentum 0.9):
# gamma * (sum of the learning rates, 605.6) / (1 - 0.9). Its ImageNet run (200 epochs of 2,502 steps, gamma 2e-5) has 5.06.
REFERENCE_DECAY = 5.45


def learning_rate_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """What `lr` is multiplied with at optimizer step 0, 1, ...: linear warm-up, then the schedule."""
    if config.schedule == "cosine-epoch":
        return _cosine_by_epoch(config, step // steps_per_epoch)
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, config.epochs * steps_per_epoch - warmup)
    if config.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0 - progress if config.schedule == "linear" else 1.0


def _cosine_by_epoch(config: TrainConfig, epoch: int) -> float:
    """OvSW's recipe, constant within an epoch: lr (e+1)/W, then lr/2 (1 + cos(pi (e-W)/(E-W))) + 1e-5."""
    warmup = round(config.warmup_epochs)
    if epoch < warmup:
        return (epoch + 1) / warmup
    # torch's scheduler asks once more after the last epoch.
    progress = min(1.0, (epoch - warmup) / (config.epochs - warmup))
    return 0.5 * (1.0 + math.cos(math.pi * progress)) + COSINE_EPOCH_FLOOR / config.lr


def learning_rate_sum(config: TrainConfig, steps_per_epoch: int) -> float:
    """Sum of the learning rates of all optimizer steps of a run."""
    steps = range(config.epochs * steps_per_epoch)
    return config.lr * math.fsum(learning_rate_factor(config, step, steps_per_epoch) for step in steps)


def resolve_gamma(config: TrainConfig, ovsw: OvswConfig, steps_per_epoch: int) -> OvswConfig:
    """`ovsw` with a number for gamma; "auto" becomes the gamma that suits the run's length.

    SAD alone multiplies a silent weight by 1 - lr * gamma / (1 - momentum) a step, so by exp(-D) over the run, with
    D = gamma * sum(lr) / (1 - momentum); gamma gives D = REFERENCE_DECAY, as in the paper's shortest run. Where SAD acts on the
    update (ags_target "update") it bypasses momentum, and the factor 1 / (1 - momentum) drops out.
    Raises: FlipflowError E101 where the optimizer normalises gradients, so that the formula does not hold.
    """
    if ovsw.gamma != "auto":
        return ovsw
    on_update = ovsw.ags_target == "update"
    if config.optimizer != "sgd" and not on_update:
        raise FlipflowError(
            "E101",
            f"gamma = 'auto' counts on SGD, and {config.optimizer} rescales the gradients that SAD adds to.",
            "key 'ovsw.gamma'",
            "Give a number, or take ovsw.ags_target = 'update'.",
        )
    kept = 1.0 if on_update else 1.0 - config.momentum
    return ovsw.model_copy(update={"gamma": REFERENCE_DECAY * kept / learning_rate_sum(config, steps_per_epoch)})
