"""Augmentation on whole batches of uint8 images, on whatever device they lie, drawn from one generator."""

import torch
import torch.nn.functional as F
from torch import Tensor


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of [N, C, H, W] left-right with probability 1/2."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def crop(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Shift each image of [N, C, H, W] by -pad..pad pixels both ways; what comes in is 0."""
    count, _, height, width = images.shape
    offset = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator).to(images.device)
    rows = (torch.arange(height, device=images.device) + offset[0])[:, :, None]
    columns = (torch.arange(width, device=images.device) + offset[1])[:, None, :]
    batch = torch.arange(count, device=images.device)[:, None, None]
    # Indexing moves channels last, hence the permute back.
    return F.pad(images, (pad,) * 4)[batch, :, rows, columns].permute(0, 3, 1, 2)


def augment(images: Tensor, kinds: tuple[str, ...], pad: int, generator: torch.Generator) -> Tensor:
    """Apply the configured kinds ("flip", "crop") to a batch."""
    if "crop" in kinds:
        images = crop(images, pad, generator)
    if "flip" in kinds:
        images = flip(images, generator)
    return images
