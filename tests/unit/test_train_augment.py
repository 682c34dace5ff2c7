"""Augmentation: whole images move, boxes obey their ratios, and processes that share a batch draw the same."""

import numpy as np
import pytest
import torch

from flipflow.train.augment import Share, augment, crop, crop_boxes, flip, lighting, resized_crop


def test_augmentation_moves_whole_images() -> None:
    images = torch.arange(1, 13, dtype=torch.uint8).view(1, 1, 3, 4).repeat(64, 2, 1, 1)
    generator = torch.Generator().manual_seed(0)
    flipped = flip(images, generator)
    kinds = {tuple(image.flatten().tolist()) for image in flipped}
    assert kinds == {tuple(images[0].flatten().tolist()), tuple(images[0].flip(2).flatten().tolist())}
    shifted = crop(images, 1, generator)
    assert shifted.shape == images.shape
    padded = torch.nn.functional.pad(images[0], (1, 1, 1, 1))
    windows = {tuple(padded[:, y : y + 3, x : x + 4].flatten().tolist()) for y in range(3) for x in range(3)}
    assert {tuple(image.flatten().tolist()) for image in shifted} == windows


def test_boxes_obey_their_ratios() -> None:
    boxes = crop_boxes(4000, (30, 50), (0.08, 1.0), torch.Generator().manual_seed(1)).double()
    y, x, h, w = boxes.unbind(1)
    assert bool(((y >= 0) & (y + h <= 30) & (x >= 0) & (x + w <= 50)).all())
    # Sides are rounded to pixels, which moves ratio and area by up to half a pixel in each.
    assert bool(((w + 0.5) / (h - 0.5) >= 3 / 4).all() and ((w - 0.5) / (h + 0.5) <= 4 / 3).all())
    assert bool(((w + 0.5) * (h + 0.5) >= 0.08 * 1500).all())
    assert float((x / (50 - w).clamp(min=1)).mean()) == pytest.approx(0.5, abs=0.03)  # placed uniformly


def test_box_that_cannot_fit_is_the_largest_central_one() -> None:
    # An area 1.9 to 2 times the image's never fits: of a 30 x 60 image, the widest box of ratio 4/3, that is 30 x 40.
    boxes = crop_boxes(3, (30, 60), (1.9, 2.0), torch.Generator().manual_seed(2))
    assert boxes.tolist() == [[0, 10, 30, 40]] * 3


def test_resized_crop_samples_the_box() -> None:
    # A plane stays a plane under bilinear sampling: pixel (r, c) is 4 r + c, so the result tells the box it came from.
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    images = (4 * rows + columns).to(torch.uint8).expand(16, 2, 24, 24)
    scale = (0.3, 0.9)
    boxes = crop_boxes(16, (24, 24), scale, torch.Generator().manual_seed(3)).double()
    result = resized_crop(images, scale, torch.Generator().manual_seed(3))
    assert result.dtype == torch.uint8 and result.shape == images.shape
    y, x, h, w = (side[:, None, None] for side in boxes.unbind(1))
    wanted = 4 * (y + (rows + 0.5) / 24 * h - 0.5) + (x + (columns + 0.5) / 24 * w - 0.5)
    inside = (
        result[:, 0, 1:-1, 1:-1].double() - wanted[:, 1:-1, 1:-1]
    )  # the outermost pixel may be cut at the image's edge
    assert float(inside.abs().max()) <= 0.5 + 1e-3


def test_whole_image_crop_changes_nothing() -> None:
    images = torch.randint(0, 256, (200, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    boxes = crop_boxes(200, (8, 8), (1.0, 1.0), torch.Generator().manual_seed(6))
    result = resized_crop(images, (1.0, 1.0), torch.Generator().manual_seed(6))
    whole = (boxes == torch.tensor([0, 0, 8, 8])).all(1)
    assert int(whole.sum()) > 0
    assert torch.equal(result[whole], images[whole])


def test_lighting_follows_the_published_axes() -> None:
    images = torch.full((20_000, 3, 1, 1), 128, dtype=torch.uint8)
    shift = lighting(images, torch.Generator().manual_seed(7)).double().flatten(1).numpy() - 128
    # Covariance of the shift: 255^2 sum_i (0.1 d_i)^2 v_i v_i^T; its largest axis is v_1, and channel variances follow by hand.
    deviations = 25.5 * np.array([0.2175, 0.0188, 0.0045])
    axes = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    wanted = axes @ np.diag(deviations**2) @ axes.T
    np.testing.assert_allclose(np.cov(shift.T), wanted, atol=0.1 + 0.03 * float(wanted.max()))  # 1/12 is the rounding's
    assert abs(shift.mean()) < 0.1


@pytest.mark.parametrize(
    "kinds", [("flip",), ("crop",), ("resized-crop",), ("lighting",), ("lighting", "flip", "crop")]
)
def test_shares_make_up_the_batch(kinds: tuple[str, ...]) -> None:
    images = torch.randint(0, 256, (12, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(8))
    whole = augment(images, kinds, torch.Generator().manual_seed(9))
    parts = []
    for part in (slice(0, 4), slice(4, 12)):
        generator = torch.Generator().manual_seed(9)
        parts.append(augment(images[part], kinds, generator, share=Share(12, part)))
        after = generator.get_state()
    assert torch.equal(torch.cat(parts), whole)
    expected = torch.Generator().manual_seed(9)
    augment(images, kinds, expected)
    assert torch.equal(after, expected.get_state())
    assert not torch.equal(whole, images)
