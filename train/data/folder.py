"""Image folders: <root>/train/<class>/<image> and <root>/test/<class>/<image>, in any format that Pillow reads."""

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from flipflow.errors import FlipflowError
from flipflow.train.data.dataset import Images, Labels, Source
from flipflow.train.data.files import FileImages

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})

_BLEED = 1 / 16  # share cut off each side, so that 7/8 remain

CIFAR10_CLASSES = frozenset({"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"})


@dataclass(frozen=True)
class Layout:
    """What images become. size: [H, W], None to leave them. grey: one channel, else RGB. fit: "stretch" or "centre"."""

    size: tuple[int, int] | None = None
    grey: bool = False
    fit: str = "stretch"


def read_image(path: Path, layout: Layout) -> Images:
    """One image as uint8 [C, H, W], resized bilinearly where the layout gives a size.

    Raises: FlipflowError E151 where Pillow cannot read it.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - only folders need it

    size, grey = layout.size, layout.grey

    try:
        with Image.open(path) as raw:
            image = raw.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = f"it is no image that Pillow can read ({error})."
        raise FlipflowError("E151", what, str(path), "Replace or remove the file.") from error
    if size is not None and image.size != (size[1], size[0]):
        wanted, method = (size[1], size[0]), Image.Resampling.BILINEAR
        centre = layout.fit == "centre"
        image = ImageOps.fit(image, wanted, method, bleed=_BLEED) if centre else image.resize(wanted, method)
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


def list_part(folder: Path, classes: tuple[str, ...]) -> tuple[tuple[Path, ...], Labels]:
    """Files folder/<class>/*, by class and then by name, with labels [N]. Raises: FlipflowError E153 for an empty class."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not files:
            raise FlipflowError(
                "E153", "the class has no images.", str(folder / name), "Add some, or remove the folder."
            )
        paths += files
        labels += [label] * len(files)
    return tuple(paths), np.asarray(labels, dtype=np.int64)


def read_part(paths: tuple[Path, ...], layout: Layout) -> Images:
    """All of these images, [N, C, H, W]. Raises: FlipflowError E151, E153 (images of unequal sizes)."""
    images: list[Images] = []
    for file in paths:
        image = read_image(file, layout)
        if images and image.shape != images[0].shape:
            height, width = image.shape[1:]
            what = f"it is {height}x{width}, the first image {images[0].shape[1]}x{images[0].shape[2]}."
            raise FlipflowError("E153", what, str(file), "Give data.image_size = [height, width] to resize all.")
        images.append(image)
    return np.stack(images)


def read_folder(root: Path, layout: Layout, resident: bool = True) -> Source:
    """The whole tree; not `resident`, training images stay in their files. Raises: FlipflowError E150, E151, E153."""
    classes = class_folders(root / "train")
    tested = class_folders(root / "test")
    if tested != classes:
        odd = sorted(set(classes) ^ set(tested))
        what = f"train/ and test/ have different classes: {', '.join(odd[:5])}."
        raise FlipflowError("E153", what, str(root), "Give both the same class folders.")
    paths, labels = list_part(root / "train", classes)
    test_paths, test_labels = list_part(root / "test", classes)
    test_images = read_part(test_paths, layout)
    images: Images | FileImages
    if resident:
        images = read_part(paths, layout)
    else:
        channels, height, width = test_images.shape[1:]
        images = FileImages(paths, (channels, height, width), partial(read_image, layout=layout))
    if images.shape[1:] != test_images.shape[1:]:
        what = f"test images are {test_images.shape[1:]} and training images {images.shape[1:]} (C, H, W)."
        raise FlipflowError("E153", what, str(root), "Give data.image_size = [height, width] to resize all.")
    return Source(_name(paths[0], root, classes), classes, images, labels, test_images, test_labels)


def _name(first: Path, root: Path, classes: tuple[str, ...]) -> str:
    """What results call these data. CIFAR-10's images are lossless, so JPEG files of them are called a copy."""
    quality = jpeg_quality(first) if set(classes) == CIFAR10_CLASSES else None
    if quality is None:
        return root.name
    return f"CIFAR-10 (JPEG-{quality} copy)" if quality else "CIFAR-10 (JPEG copy)"


def jpeg_quality(path: Path) -> int | None:
    """Quality 1..100 of a JPEG file by its quantization tables, 0 where they are not the standard's; None for another format."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(path) as raw:
        if raw.format != "JPEG":
            return None
        tables = raw.quantization  # type: ignore[attr-defined]
    sample = Image.new("RGB", (8, 8))
    for quality in range(100, 0, -1):
        buffer = io.BytesIO()
        sample.save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as other:
            if other.quantization[0] == tables[0]:  # type: ignore[attr-defined]
                return quality
    return 0
