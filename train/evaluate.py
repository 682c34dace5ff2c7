"""Accuracy, in float32 whatever the training's types."""

import torch
from torch import Tensor, nn

from flipflow.train.distributed import Processes

EVALUATION_BATCH = 500


def accuracy_on(model: nn.Module, images: Tensor, labels: Tensor, processes: Processes | None = None) -> float:
    """Share of uint8 images [N, C, H, W] whose class the model gets right, in eval mode and float32.

    Each of `processes` looks at its share of the images, and all return the same.
    """
    processes = processes or Processes()
    mine = processes.share(len(images))
    model.eval()
    right = torch.zeros((), dtype=torch.int64, device=labels.device)
    with torch.inference_mode():
        for start in range(mine.start, mine.stop, EVALUATION_BATCH):
            part = slice(start, min(start + EVALUATION_BATCH, mine.stop))
            # argmax takes the lowest index on a tie, as every level of the project does.
            right += (model(images[part].float()).argmax(1) == labels[part]).sum()
    return int(processes.total(right)) / len(images)
