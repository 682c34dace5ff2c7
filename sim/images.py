"""Images to execute: a data set's test images, a user's file or folder, or random ones where there is neither."""

import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flipflow.config import Config
from flipflow.errors import FlipflowError
from flipflow.export.host import CanonicalModel

# What NumPy and Pillow raise at files that are missing, of another kind, or cut short.
_DAMAGED = (
    OSError, EOFError, ValueError, LookupError, SyntaxError, RuntimeError, MemoryError,
    struct.error, tokenize.TokenError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Images:
    """values: as read, [N, ...]; labels: int64 [N] where known; classes: names where known; name: what they are."""

    values: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    name: str

    def first(self, count: int) -> "Images":
        """The first `count` images; all where count is 0."""
        if not count:
            return self
        labels = None if self.labels is None else self.labels[:count]
        return Images(self.values[:count], labels, self.classes, self.name)


def test_images(config: Config, model: CanonicalModel, samples: int) -> Images:
    """Test images of the run's data set; random images that the input quantizer can tell apart where it has none."""
    if config.data is None:
        return _random(model, samples or 20, config.verify.seed)
    from flipflow.train.data import read_source  # noqa: PLC0415

    source = read_source(config.data)
    return Images(source.test_images, source.test_labels, source.classes, source.name).first(samples)


def _random(model: CanonicalModel, count: int, seed: int) -> Images:
    """Uniform over the range of a quantizer that sees the input itself, else over 0..1, the usual range of pixels."""
    generator = np.random.default_rng(seed)
    shape = (count, *model.input_shape[1:])
    if model.graph.first_quantizer > 0:
        return Images(generator.random(shape, dtype=np.float32), None, (), f"{count} random images in 0..1")
    quantizer = model.graph.nodes[0]
    kind, scale = model.graph.quantizer_type(quantizer), model.graph.quantizer_scale(quantizer)
    integers = generator.integers(kind.minimum, kind.maximum + 1, shape)
    return Images((integers * scale).astype(np.float32), None, (), f"{count} random images over the input's range")


def read_images(path: Path, model: CanonicalModel, config: Config) -> Images:
    """A user's images: an .npz or .npy file, one image file, or a folder of images (one subfolder a class, or none).

    npz: `images` [N, ...] as the model takes them (channels first; uint8 is cast, not scaled) and, optionally, `labels` [N].
    Raises: FlipflowError E454 where nothing can be read.
    """
    if path.suffix in (".npz", ".npy"):
        return _read_arrays(path)
    if not path.exists():
        raise _unreadable(path, "there is no such file or folder")
    classes: tuple[str, ...] = ()
    if config.data is not None and path.is_dir():
        from flipflow.train.data import read_source  # noqa: PLC0415

        classes = read_source(config.data).classes
    return _read_pictures(path, model, classes)


def _read_arrays(path: Path) -> Images:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            values, labels = loaded, None
        else:
            with loaded:
                if "images" not in loaded:
                    raise _unreadable(path, f"it holds {', '.join(loaded.files) or 'nothing'}, but no `images`")
                values = loaded["images"]
                labels = loaded.get("labels")
    except _DAMAGED as error:
        # NumPy takes whatever it does not know for a pickle, and advises to trust it.
        known = str(error) and "pickle" not in str(error)
        raise _unreadable(path, str(error) if known else "it is damaged, or no NumPy archive of numbers") from error
    if values.dtype.kind not in "uifb" or values.ndim < 2 or len(values) == 0:
        raise _unreadable(path, f"`images` has the shape {values.shape} and the type {values.dtype}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise _unreadable(path, "`images` holds values that are not finite")
    if labels is not None and (labels.shape != (len(values),) or labels.dtype.kind not in "ui"):
        raise _unreadable(path, f"`labels` has the shape {labels.shape} and the type {labels.dtype}")
    return Images(values, None if labels is None else labels.astype(np.int64), (), path.name)


def _read_pictures(path: Path, model: CanonicalModel, classes: tuple[str, ...]) -> Images:
    from PIL import Image  # noqa: PLC0415

    if len(model.input_shape) != 4 or model.input_shape[1] not in (1, 3):
        raise _unreadable(path, f"the model takes {list(model.input_shape[1:])}, which is no picture; give an .npz")
    _, channels, height, width = model.input_shape
    files = (
        [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and not f.name.startswith("."))
    )
    values, names = [], []
    for file in files:
        try:
            with Image.open(file) as picture:
                converted = picture.convert("L" if channels == 1 else "RGB")
        except (*_DAMAGED, Image.DecompressionBombError) as error:
            raise _unreadable(file, "it is no picture") from error
        if converted.size != (width, height):
            raise _unreadable(
                file, f"it is {converted.size[0]}x{converted.size[1]} pixels, and the model takes {width}x{height}"
            )
        pixels = np.asarray(converted, np.uint8).reshape(height, width, channels)
        values.append(pixels.transpose(2, 0, 1))
        names.append("" if path in (file, file.parent) else file.parent.name)
    if not values:
        raise _unreadable(path, "it holds no pictures")
    return Images(np.stack(values), _labels(names, classes), classes, path.name)


def _labels(names: list[str], classes: tuple[str, ...]) -> np.ndarray | None:
    """Class indices from the folders' names: the data set's order where it knows them, else alphabetical."""
    if not all(names):
        return None
    order = classes if set(names) <= set(classes) else tuple(sorted(set(names)))
    return np.array([order.index(name) for name in names], np.int64)


def _unreadable(path: Path, reason: str) -> FlipflowError:
    return FlipflowError(
        "E454",
        f"{reason}.",
        str(path),
        "Give an .npz with `images` [N, ...] as the model takes them and optional `labels` [N], or a folder of pictures.",
    )
