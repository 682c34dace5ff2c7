"""CIFAR-10 and CIFAR-100 from their official archives, python version (www.cs.toronto.edu/~kriz/cifar.html).

The archives hold pickles. They are checked against their published MD5 sums, and read with an unpickler that knows
nothing but NumPy arrays, so that a replaced file cannot run code.
"""

import hashlib
import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.errors import FlipflowError
from flipflow.train.data.dataset import Images, Labels, Source


@dataclass(frozen=True)
class Archive:
    """Names inside one archive. `label_key`, `classes_key`: keys of its pickled dictionaries."""

    name: str
    file: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    label_key: bytes
    classes_key: bytes


CIFAR10 = Archive(
    "cifar10",
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
    "cifar-10-batches-py",
    tuple(f"data_batch_{index}" for index in range(1, 6)),
    "test_batch",
    "batches.meta",
    b"labels",
    b"label_names",
)
CIFAR100 = Archive(
    "cifar100",
    "cifar-100-python.tar.gz",
    "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-python",
    ("train",),
    "test",
    "meta",
    b"fine_labels",
    b"fine_label_names",
)

_IMAGE = (3, 32, 32)
_RECONSTRUCT = ("numpy.core.multiarray", "_reconstruct")


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses every global but those that a NumPy array of numbers is made of."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("numpy._core", "numpy.core"), name) == _RECONSTRUCT:
            return np.zeros(0).__reduce__()[0]  # NumPy's own, wherever this version keeps it
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no CIFAR file needs")


def _unpickle(data: bytes) -> dict[bytes, Any]:
    result = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    if not isinstance(result, dict):
        raise pickle.UnpicklingError("it holds no dictionary")
    return result


def _batch(data: bytes, archive: Archive) -> tuple[Images, Labels]:
    content = _unpickle(data)
    images, labels = np.asarray(content[b"data"]), np.asarray(content[archive.label_key])
    if images.dtype != np.uint8 or images.shape != (len(labels), int(np.prod(_IMAGE))) or labels.dtype.kind not in "iu":
        raise ValueError(f"data are {images.dtype} {images.shape} with {len(labels)} labels")
    return images.reshape(-1, *_IMAGE), labels.astype(np.int64)


def _locate(path: Path, archive: Archive) -> Path:
    file = path / archive.file if path.is_dir() else path
    if not file.is_file():
        raise FlipflowError(
            "E150",
            "the archive is missing.",
            str(file),
            f"Download {archive.file} from the CIFAR site, and point data.path at it or at its folder.",
        )
    return file


def read_cifar(path: Path, archive: Archive) -> Source:
    """All images of one archive, given its path or its folder.

    Raises: FlipflowError E150 (missing), E151 (unreadable), E152 (not the published file).
    """
    file = _locate(path, archive)
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != archive.md5:
        raise FlipflowError(
            "E152",
            f"its MD5 sum is {digest}; the published archive has {archive.md5}.",
            str(file),
            "Download it again: it is cut short or another file.",
        )
    try:
        return _read(file, archive)
    except (KeyError, ValueError, OSError, EOFError, zlib.error, tarfile.TarError, pickle.UnpicklingError) as error:
        raise FlipflowError("E151", f"it cannot be read: {error}.", str(file), "Download it again.") from error


def _read(file: Path, archive: Archive) -> Source:
    members: dict[str, bytes] = {}
    with tarfile.open(file) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                members[member.name] = content.read()
    batches = [_batch(members[f"{archive.folder}/{name}"], archive) for name in archive.train]
    test_images, test_labels = _batch(members[f"{archive.folder}/{archive.test}"], archive)
    names = _unpickle(members[f"{archive.folder}/{archive.meta}"])[archive.classes_key]
    classes = tuple(name.decode("utf-8") for name in names)
    images, labels = (np.concatenate([batch[part] for batch in batches]) for part in (0, 1))
    highest = int(max(labels.max(), test_labels.max()))
    if min(labels.min(), test_labels.min()) < 0 or highest >= len(classes):
        raise ValueError(f"label {highest} is beyond the {len(classes)} classes")
    return Source(archive.name, classes, images, labels, test_images, test_labels)
