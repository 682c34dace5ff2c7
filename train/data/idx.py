"""IDX files, the format of MNIST (yann.lecun.com/exdb/mnist), plain or gzip-compressed.

A file is: two zero bytes, a type code (8: unsigned byte), the number of dimensions, each dimension as a big-endian
uint32, the data.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flipflow.errors import FlipflowError
from flipflow.train.data.dataset import Source

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts it
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_UNSIGNED_BYTE = 8


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of one file, in its own dimensions.

    Raises: FlipflowError E150 (missing) or E151 (not IDX, or not as long as its header says).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FlipflowError("E150", "the file is missing.", str(path), "Check the path.") from None
    except OSError as error:
        raise _corrupt(path, f"it cannot be read ({error.strerror}).") from error
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _corrupt(path, f"its gzip stream is damaged or cut short ({error}).") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTE or data[3] == 0:
        raise _corrupt(path, "it does not start as an IDX file of unsigned bytes does.")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise _corrupt(path, "it ends inside its header.")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    size = 1
    for dimension in shape:
        size *= dimension
    if len(data) - start != size:
        raise _corrupt(path, f"its header promises {size} bytes of data, and {len(data) - start} follow.")
    return np.frombuffer(bytearray(data), np.uint8, offset=start).reshape(shape)  # writable, as torch wants it


def _corrupt(path: Path, what: str) -> FlipflowError:
    return FlipflowError("E151", what, str(path), "Fetch the file again.")


def _find(folder: Path, stem: str) -> Path:
    """The file of that stem in one of its usual spellings."""
    spellings = [stem, stem.replace("-idx", ".idx")]
    for name in (spelling + end for spelling in spellings for end in ("", ".gz")):
        if (folder / name).is_file():
            return folder / name
    raise FlipflowError(
        "E150",
        f"neither {stem} nor {stem}.gz is there.",
        str(folder),
        "Point data.path at the folder with the four files; on Debian and Ubuntu Fashion-MNIST is the package "
        "dataset-fashion-mnist.",
    )


def _pair(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    image_path, label_path = _find(folder, f"{part}-images-idx3-ubyte"), _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) == 0 or 0 in images.shape:
        raise _corrupt(
            image_path, f"images have shape {images.shape} and labels {labels.shape}, not [N, H, W] and [N]."
        )
    if len(images) != len(labels):
        raise _corrupt(label_path, f"it holds {len(labels)} labels for {len(images)} images.")
    return images[:, None], labels.astype(np.int64)


def read_idx_folder(folder: Path, name: str, classes: tuple[str, ...] | None = None) -> Source:
    """The four files of MNIST's naming in `folder`: {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz].

    Raises: FlipflowError E150, E151.
    """
    images, labels = _pair(folder, "train")
    test_images, test_labels = _pair(folder, "t10k")
    if test_images.shape[1:] != images.shape[1:]:
        raise _corrupt(folder, f"test images are {test_images.shape[1:]} and training images {images.shape[1:]}.")
    count = int(max(labels.max(), test_labels.max())) + 1
    names = classes if classes is not None else tuple(str(label) for label in range(count))
    if count > len(names):
        raise _corrupt(folder, f"label {count - 1} is beyond the {len(names)} classes.")
    return Source(name, names, images, labels, test_images, test_labels)


def read_fashion_mnist(path: Path | None) -> Source:
    """Fashion-MNIST from `path`, or from where Debian's package puts it. Raises: FlipflowError E150, E151."""
    return read_idx_folder(path or DEBIAN_FASHION_MNIST, "fashion-mnist", FASHION_CLASSES)
