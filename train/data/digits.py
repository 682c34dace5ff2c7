"""scikit-learn's handwritten digits: 1,797 images of 8x8, in its wheel, so nothing is downloaded."""

import numpy as np

from flipflow.train.data.dataset import Source, stratified

TEST_FRACTION = 0.2
TEST_SEED = 20_240_705  # fixed, so that the test set is the same whatever the configuration


def read_digits() -> Source:
    """All digits, values 0..16 scaled to 0..255; the test set is always the same stratified fifth (359 images)."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import

    raw = load_digits()
    images = np.round(raw.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    labels = raw.target.astype(np.int64)
    train, test = stratified(labels, TEST_FRACTION, TEST_SEED)
    classes = tuple(str(name) for name in raw.target_names)
    return Source("digits", classes, images[train], labels[train], images[test], labels[test])
