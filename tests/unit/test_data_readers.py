"""Data readers: right values from well-formed files, coded errors from all others."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from flipflow.config.training import DataConfig
from flipflow.errors import FlipflowError
from flipflow.train.data import load_dataset
from flipflow.train.data.cifar import CIFAR10, Archive, read_cifar
from flipflow.train.data.dataset import stratified
from flipflow.train.data.files import FileImages
from flipflow.train.data.folder import CIFAR10_CLASSES, Layout, read_folder, read_image
from flipflow.train.data.idx import read_idx, read_idx_folder


def idx_bytes(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, train: int = 20, test: int = 6) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 4, 5), dtype=np.uint8)
        labels = (np.arange(count) % 2).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


def test_digits_split_is_fixed_and_stratified() -> None:
    data = load_dataset(DataConfig(validation=0.1))
    other = load_dataset(DataConfig(validation=0.1, split_seed=7))
    assert data.input_shape == (1, 8, 8)
    assert (len(data.train_labels), len(data.val_labels), len(data.test_labels)) == (1295, 143, 359)
    assert np.array_equal(data.test_images, other.test_images)
    assert not np.array_equal(data.val_images, other.val_images)
    assert data.train_images.dtype == np.uint8 and data.train_labels.dtype == np.int64
    assert data.train_images.max() == 255
    # 174 to 183 images a class, a fifth of which is 35 to 37.
    counts = np.bincount(data.test_labels)
    assert counts.min() >= 34 and counts.max() <= 37


def test_stratified_by_hand() -> None:
    labels = np.array([0] * 10 + [1] * 20 + [2] * 2)
    rest, part = stratified(labels, 0.2, seed=3)
    assert np.bincount(labels[part]).tolist() == [2, 4, 1]
    assert np.array_equal(np.sort(np.concatenate([rest, part])), np.arange(32))
    again = stratified(labels, 0.2, seed=3)
    assert np.array_equal(part, again[1])


def test_idx_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + bytes([1, 2, 3, 4, 5, 6]))
    assert read_idx(path).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_idx_folder(tmp_path: Path) -> None:
    write_idx(tmp_path)
    data = load_dataset(DataConfig(dataset="idx", path=tmp_path, validation=0.2))
    assert data.train_images.shape == (16, 1, 4, 5) and data.val_images.shape == (4, 1, 4, 5)
    assert data.test_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.classes == ("0", "1")


def truncate(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("train-images-idx3-ubyte.gz", None, "E150"),
        ("train-images-idx3-ubyte.gz", "cut", "E151"),
        ("train-labels-idx1-ubyte", "cut", "E151"),
        ("train-labels-idx1-ubyte", b"\0\0", "E151"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0", "E151"),
        ("train-labels-idx1-ubyte", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "E151"),  # floats
        ("train-labels-idx1-ubyte", idx_bytes(np.zeros(19, np.uint8)), "E151"),  # one label short
        ("t10k-labels-idx1-ubyte", b"<html>not here</html>", "E151"),
        ("t10k-images-idx3-ubyte.gz", idx_bytes(np.zeros((6, 4, 4), np.uint8)), "E151"),  # other size
    ],
)
def test_bad_idx_files(tmp_path: Path, file: str, content: bytes | str | None, code: str) -> None:
    write_idx(tmp_path)
    path = tmp_path / file
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        truncate(path, path.stat().st_size - 5)
    else:
        path.write_bytes(content)
    with pytest.raises(FlipflowError) as caught:
        read_idx_folder(tmp_path, "idx")
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.where
    assert caught.value.fix


def test_too_few_images(tmp_path: Path) -> None:
    write_idx(tmp_path, train=1)
    with pytest.raises(FlipflowError, match="E154"):
        load_dataset(DataConfig(dataset="idx", path=tmp_path))


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Pickles bytes and ASCII text as Python 2 pickled its strings, as the official files have them."""

    def save_string(self, value: bytes | str) -> None:
        data = value if isinstance(value, bytes) else value.encode("ascii")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # type: ignore[attr-defined]


def python2_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


def write_cifar(path: Path, batches: dict[str, Any]) -> Archive:
    """An archive laid out as the official one, and its description with the right MD5 sum."""
    with tarfile.open(path, "w:gz") as tar:
        for name, value in batches.items():
            data = python2_pickle(value)
            info = tarfile.TarInfo(f"{CIFAR10.folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return replace(CIFAR10, md5=hashlib.md5(path.read_bytes()).hexdigest())


def cifar_batches(count: int = 3) -> dict[str, Any]:
    batches: dict[str, Any] = {}
    for index, name in enumerate((*CIFAR10.train, CIFAR10.test)):
        pixels = np.full((count, 3072), index, np.uint8)
        pixels[:, 1024 + 33] = 200 + index  # green, row 1, column 1
        batches[name] = {b"data": pixels, b"labels": [index % 2] * count}
    batches[CIFAR10.meta] = {b"label_names": [b"plane", b"car"]}
    return batches


def test_cifar(tmp_path: Path) -> None:
    archive = write_cifar(tmp_path / CIFAR10.file, cifar_batches())
    source = read_cifar(tmp_path, archive)
    assert source.images.shape == (15, 3, 32, 32) and source.test_images.shape == (3, 3, 32, 32)
    assert source.images[4, 1, 1, 1] == 201 and source.images[4, 0, 1, 1] == 1
    assert source.labels.tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3 + [0] * 3
    assert source.classes == ("plane", "car")


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


def test_cifar_pickle_cannot_run_code(tmp_path: Path) -> None:
    batches = cifar_batches()
    batches["test_batch"] = _Evil(tmp_path / "evil")
    archive = write_cifar(tmp_path / CIFAR10.file, batches)
    with pytest.raises(FlipflowError, match="E151") as caught:
        read_cifar(tmp_path / CIFAR10.file, archive)
    assert "mkdir" in caught.value.what
    assert not (tmp_path / "evil").exists()


def test_bad_cifar_archives(tmp_path: Path) -> None:
    path = tmp_path / CIFAR10.file
    with pytest.raises(FlipflowError, match="E150"):
        read_cifar(tmp_path, CIFAR10)
    archive = write_cifar(path, cifar_batches())
    with pytest.raises(FlipflowError, match="E152"):
        read_cifar(path, CIFAR10)
    missing = cifar_batches()
    del missing["data_batch_3"]
    with pytest.raises(FlipflowError, match="E151"):
        read_cifar(path, write_cifar(path, missing))
    beyond = cifar_batches()
    beyond["data_batch_1"][b"labels"] = [2, 2, 2]
    with pytest.raises(FlipflowError, match="E151"):
        read_cifar(path, write_cifar(path, beyond))
    archive = write_cifar(path, cifar_batches())
    truncate(path, path.stat().st_size // 2)
    with pytest.raises(FlipflowError, match="E152"):
        read_cifar(path, archive)
    cut = replace(archive, md5=hashlib.md5(path.read_bytes()).hexdigest())
    with pytest.raises(FlipflowError, match="E151"):
        read_cifar(path, cut)


def write_folder(root: Path) -> None:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(4):
                Image.new("RGB", (6, 5), (label * 100, index, 7)).save(folder / f"{index}.png")


def test_image_folder(tmp_path: Path) -> None:
    write_folder(tmp_path)
    source = read_folder(tmp_path, Layout())
    assert source.images.shape == (8, 3, 5, 6)
    assert source.images[6, :, 0, 0].tolist() == [100, 2, 7]
    assert source.labels.tolist() == [0] * 4 + [1] * 4
    assert source.classes == ("cat", "dog")
    grey = load_dataset(DataConfig(dataset="folder", path=tmp_path, grey=True, image_size=(4, 4), validation=0.25))
    assert grey.input_shape == (1, 4, 4)


def test_centre_fit_by_hand(tmp_path: Path) -> None:
    # 8 rows and 16 columns to 7 x 7: 7/8 of the shorter side is 7, so pixels keep their size. The centre's columns begin at
    # 16/2 - 7/2 = 4.5, half a pixel off, and bilinear sampling takes the mean of columns 4 + i and 5 + i of 10, 20, 30, ...
    columns = np.broadcast_to(10 * np.arange(16, dtype=np.uint8), (8, 16))
    Image.fromarray(columns).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", Layout((7, 7), grey=True, fit="centre"))
    np.testing.assert_array_equal(image[0], np.broadcast_to(45 + 10 * np.arange(7), (7, 7)))
    stretched = read_image(tmp_path / "a.png", Layout((8, 8), grey=True))
    assert stretched[0, 0, 0] < 15  # the first columns are still there


def test_images_left_in_their_files_are_the_same_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, name, index in product(("train", "test"), ("cat", "dog"), range(12)):
        (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (6, 7 + index, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / part / name / f"{index:02}.png")
    config = DataConfig(dataset="folder", path=tmp_path, image_size=(5, 6), validation=0.25, limit=20)
    held, left = (load_dataset(config.model_copy(update={"resident": resident})) for resident in (True, False))
    assert isinstance(left.train_images, FileImages) and isinstance(held.train_images, np.ndarray)
    assert left.train_images.shape == held.train_images.shape == (len(held.train_labels), 3, 5, 6)
    np.testing.assert_array_equal(left.train_images[:], held.train_images)
    order = np.array([3, 0, 7])
    np.testing.assert_array_equal(left.train_images[order], held.train_images[order])
    np.testing.assert_array_equal(left.val_images, held.val_images)
    np.testing.assert_array_equal(left.train_labels, held.train_labels)
    before = left.train_images.digest()
    victim = left.train_images.paths[4]
    victim.write_bytes(b"no image")
    assert left.train_images.digest() != before
    with pytest.raises(FlipflowError, match="E151") as caught:
        left.train_images[:]
    assert caught.value.where == str(victim)


def test_jpeg_copy_of_cifar10_is_called_one(tmp_path: Path) -> None:
    for part, name in product(("train", "test"), CIFAR10_CLASSES):
        folder = tmp_path / part / name
        folder.mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (6, 5), (index, 50, 7)).save(folder / f"{index}.jpg", quality=75)
    assert read_folder(tmp_path, Layout()).name == "CIFAR-10 (JPEG-75 copy)"
    Image.new("RGB", (6, 5)).save(tmp_path / "train" / "airplane" / "0.jpg", quality=40)
    assert read_folder(tmp_path, Layout()).name == "CIFAR-10 (JPEG-40 copy)"
    for part in ("train", "test"):  # other classes: somebody's own photographs
        (tmp_path / part / "frog").rename(tmp_path / part / "toad")
    assert read_folder(tmp_path, Layout()).name == tmp_path.name


def test_bad_image_folders(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E150"):
        read_folder(tmp_path, Layout())
    write_folder(tmp_path)
    odd = tmp_path / "train" / "dog" / "9.png"
    Image.new("RGB", (3, 3)).save(odd)
    with pytest.raises(FlipflowError, match="E153"):
        read_folder(tmp_path, Layout())
    truncate(odd, 40)
    with pytest.raises(FlipflowError, match="E151"):
        read_folder(tmp_path, Layout())
    odd.unlink()
    (tmp_path / "test" / "eel").mkdir()
    with pytest.raises(FlipflowError, match="eel"):
        read_folder(tmp_path, Layout())
    (tmp_path / "train" / "eel").mkdir()
    with pytest.raises(FlipflowError, match="no images"):
        read_folder(tmp_path, Layout())
