"""Augmentation on whole batches of uint8 images [N, C, H, W], on whatever device they lie, drawn from one generator.

Random numbers are drawn on the CPU, so a seed means the same on every device. Where several processes share a batch, each
draws for the whole of it and keeps its share, so that the number of processes does not matter either.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Of ImageNet's RGB pixels in 0..1: standard deviations along the principal axes, and the axes as columns
# (Krizhevsky et al. 2012, section 4.1; the figures are those of fb.resnet.torch).
_PCA_DEVIATION = (0.2175, 0.0188, 0.0045)
_PCA_AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_LIGHTING_STD = 0.1

_ASPECT = (3 / 4, 4 / 3)
_ATTEMPTS = 10


@dataclass(frozen=True)
class Share:
    """Which images of a batch of `count` these are."""

    count: int
    part: slice


def _share(images: Tensor, share: Share | None) -> Share:
    return share or Share(len(images), slice(None))


def flip(images: Tensor, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Mirror each image of [N, C, H, W] left-right with probability 1/2."""
    share = _share(images, share)
    chosen = (torch.rand(share.count, generator=generator) < 0.5)[share.part]
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def crop(images: Tensor, pad: int, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Shift each image of [N, C, H, W] by -pad..pad pixels both ways; what comes in is 0."""
    count, _, height, width = images.shape
    share = _share(images, share)
    drawn = torch.randint(0, 2 * pad + 1, (2, share.count, 1), generator=generator)
    offset = drawn[:, share.part].to(images.device)
    rows = (torch.arange(height, device=images.device) + offset[0])[:, :, None]
    columns = (torch.arange(width, device=images.device) + offset[1])[:, None, :]
    batch = torch.arange(count, device=images.device)[:, None, None]
    # Indexing moves channels last, hence the permute back.
    return F.pad(images, (pad,) * 4)[batch, :, rows, columns].permute(0, 3, 1, 2)


def crop_boxes(count: int, size: tuple[int, int], scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Boxes of RandomResizedCrop (Szegedy et al. 2015) in images of `size` = [H, W]: int64 [count, 4], y, x, height, width.

    The area is uniform in `scale` times the image's, the aspect ratio log-uniform in 3/4..4/3. The first of ten draws that fits
    is taken; where none does, the largest central box within these ratios. `scale` may reach beyond 1, as in OvSW's ImageNet
    recipe (0.08 to 1.25): such draws seldom fit, so whole images become more frequent.
    """
    height, width = size
    share = scale[0] + (scale[1] - scale[0]) * torch.rand(count, _ATTEMPTS, generator=generator, dtype=torch.float64)
    low, high = torch.tensor(_ASPECT, dtype=torch.float64).log()
    ratio = torch.exp(low + (high - low) * torch.rand(count, _ATTEMPTS, generator=generator, dtype=torch.float64))
    place = torch.rand(2, count, generator=generator, dtype=torch.float64)
    w = (share * height * width * ratio).sqrt().round().long()
    h = (share * height * width / ratio).sqrt().round().long()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.long().argmax(1, keepdim=True)  # 0 where none fits, which `where` below replaces
    whole_w = min(width, max(1, round(height * _ASPECT[1])))
    whole_h = min(height, max(1, round(width / _ASPECT[0])))
    found = fits.any(1)
    h = torch.where(found, h.gather(1, first)[:, 0], whole_h)
    w = torch.where(found, w.gather(1, first)[:, 0], whole_w)
    y = torch.where(found, (place[0] * (height - h + 1)).floor().long(), (height - h) // 2)
    x = torch.where(found, (place[1] * (width - w + 1)).floor().long(), (width - w) // 2)
    return torch.stack([y, x, h, w], dim=1)


def resized_crop(
    images: Tensor, scale: tuple[float, float], generator: torch.Generator, share: Share | None = None
) -> Tensor:
    """A random box of each image (`crop_boxes`), stretched bilinearly to the image's own size; values rounded to whole pixels."""
    _, _, height, width = images.shape
    share = _share(images, share)
    boxes = crop_boxes(share.count, (height, width), scale, generator)[share.part].to(images.device, torch.float32)
    y, x, h, w = (boxes[:, index, None] for index in range(4))
    # Centres of output pixels within the box, in grid_sample's coordinates: -1 and 1 are the image's edges.
    rows = (y + (torch.arange(height, device=images.device) + 0.5) / height * h) * (2 / height) - 1
    columns = (x + (torch.arange(width, device=images.device) + 0.5) / width * w) * (2 / width) - 1
    grid = torch.stack([columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)], dim=3)
    pixels = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return pixels.round_().clamp_(0, 255).to(torch.uint8)


def lighting(images: Tensor, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Add to each RGB image a random colour along ImageNet's principal axes, and round to whole pixels."""
    share = _share(images, share)
    draws = torch.randn(share.count, 3, generator=generator)[share.part] * _LIGHTING_STD * torch.tensor(_PCA_DEVIATION)
    shift = 255.0 * draws @ torch.tensor(_PCA_AXES).T
    moved = images.float() + shift.to(images.device)[:, :, None, None]
    return moved.round_().clamp_(0, 255).to(torch.uint8)


def augment(
    images: Tensor,
    kinds: tuple[str, ...],
    generator: torch.Generator,
    pad: int = 2,
    scale: tuple[float, float] = (0.08, 1.0),
    share: Share | None = None,
) -> Tensor:
    """Apply the configured kinds ("resized-crop", "crop", "flip", "lighting") to a batch, in this order.

    pad: of "crop", in pixels. scale: of "resized-crop", share of the area. share: which images of a larger batch these are; the
    generator moves on by the whole batch. Returns: uint8, so that a network sees whole pixels, as it does when it is used.
    """
    if "resized-crop" in kinds:
        images = resized_crop(images, scale, generator, share)
    if "crop" in kinds:
        images = crop(images, pad, generator, share)
    if "flip" in kinds:
        images = flip(images, generator, share)
    if "lighting" in kinds:
        images = lighting(images, generator, share)
    return images
