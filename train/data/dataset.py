"""The data a run works on, and its split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flipflow.errors import FlipflowError
from flipflow.train.data.files import FileImages

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 [N, C, H, W] with labels int64 [N] in 0..len(classes)-1.

    train and val are disjoint parts of the training data; val chooses the best epoch. test is looked at once, at the
    end. Of data larger than the memory, the training images are FileImages, which are read when they are indexed.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Images | FileImages
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    test_images: Images
    test_labels: Labels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width


@dataclass(frozen=True, eq=False)
class Source:
    """What a reader gives: all training and test images, before the split. Shapes and types as in Dataset."""

    name: str
    classes: tuple[str, ...]
    images: Images | FileImages
    labels: Labels
    test_images: Images
    test_labels: Labels


def stratified(labels: Labels, fraction: float, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices (rest, part), each rising, where `part` holds about `fraction` of every class, drawn with `seed`.

    At least one image of every class stays in each of both if the class has two.
    """
    rng = np.random.default_rng(seed)
    part = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(len(members) * fraction)), len(members) - 1)
        part.append(members[:count])
    chosen = np.sort(np.concatenate(part))
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    return rest, chosen


def split(source: Source, fraction: float, seed: int, limit: int = 0) -> Dataset:
    """Hold out `fraction` of the training images, class by class; `limit` > 0 first keeps so many of them at random.

    Raises: FlipflowError E154 where too few images are left for a split.
    """
    images, labels = source.images, source.labels
    if 0 < limit < len(labels):
        keep = np.sort(np.random.default_rng(seed).permutation(len(labels))[:limit])
        images, labels = _part(images, keep), labels[keep]
    train, val = stratified(labels, fraction, seed) if len(labels) else (np.empty(0, np.int64),) * 2
    if len(train) == 0 or len(val) == 0:
        raise FlipflowError(
            "E154",
            f"{len(labels)} training images leave {len(train)} to train and {len(val)} to validate with.",
            f"data set {source.name}",
            "Give more images a class, or change data.validation and data.limit.",
        )
    return Dataset(
        source.name,
        source.classes,
        _part(images, train),
        labels[train],
        images[val],
        labels[val],
        source.test_images,
        source.test_labels,
    )


def _part(images: Images | FileImages, indices: npt.NDArray[np.int64]) -> Images | FileImages:
    return images.take(indices) if isinstance(images, FileImages) else images[indices]
