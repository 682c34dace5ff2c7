"""What a training tells its caller while it runs."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """After each optimizer step (val_accuracy None), and once after each epoch's validation (step 0).

    epoch: finished epochs. step of steps: in the current epoch. loss: of this step.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    val_accuracy: float | None


Progress = Callable[[ProgressEvent], None]
