"""Image folders: <root>/train/<class>/<image> and <root>/test/<class>/<image>, in any format that Pillow reads."""

from pathlib import Path

import numpy as np

from flipflow.errors import FlipflowError
from flipflow.train.data.dataset import Images, Labels, Source

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})


def read_image(path: Path, size: tuple[int, int] | None, grey: bool) -> Images:
    """One image as uint8 [C, H, W], C = 1 where `grey`, else 3 (RGB); resized to size = [H, W] (bilinear) where given.

    Raises: FlipflowError E151 where Pillow cannot read it.
    """
    from PIL import Image  # noqa: PLC0415 - only folders need it

    try:
        with Image.open(path) as raw:
            image = raw.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = f"it is no image that Pillow can read ({error})."
        raise FlipflowError("E151", what, str(path), "Replace or remove the file.") from error
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the class folders in `folder`, sorted. Raises: FlipflowError E150 (missing), E153 (no classes)."""
    if not folder.is_dir():
        raise FlipflowError(
            "E150", "the folder is missing.", str(folder), "Lay images out as {train,test}/<class>/<image>."
        )
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if not names:
        raise FlipflowError(
            "E153", "it holds no class folders.", str(folder), "Lay images out as {train,test}/<class>/<image>."
        )
    return names


def read_part(
    folder: Path, classes: tuple[str, ...], size: tuple[int, int] | None, grey: bool
) -> tuple[Images, Labels]:
    """Images [N, C, H, W] of folder/<class>/*, by class and then by name, with labels [N].

    Raises: FlipflowError E150, E151, E153 (no images in a class, or images of unequal sizes).
    """
    images: list[Images] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not files:
            raise FlipflowError(
                "E153", "the class has no images.", str(folder / name), "Add some, or remove the folder."
            )
        for file in files:
            image = read_image(file, size, grey)
            if images and image.shape != images[0].shape:
                height, width = image.shape[1:]
                what = f"it is {height}x{width}, the first image {images[0].shape[1]}x{images[0].shape[2]}."
                raise FlipflowError("E153", what, str(file), "Give data.image_size = [height, width] to resize all.")
            images.append(image)
            labels.append(label)
    return np.stack(images), np.asarray(labels, dtype=np.int64)


def read_folder(root: Path, size: tuple[int, int] | None, grey: bool) -> Source:
    """The whole tree. Raises: FlipflowError E150, E151, E153."""
    classes = class_folders(root / "train")
    tested = class_folders(root / "test")
    if tested != classes:
        odd = sorted(set(classes) ^ set(tested))
        what = f"train/ and test/ have different classes: {', '.join(odd[:5])}."
        raise FlipflowError("E153", what, str(root), "Give both the same class folders.")
    images, labels = read_part(root / "train", classes, size, grey)
    test_images, test_labels = read_part(root / "test", classes, size, grey)
    if images.shape[1:] != test_images.shape[1:]:
        what = f"test images are {test_images.shape[1:]} and training images {images.shape[1:]} (C, H, W)."
        raise FlipflowError("E153", what, str(root), "Give data.image_size = [height, width] to resize all.")
    return Source(root.name, classes, images, labels, test_images, test_labels)
