"""Images that stay in their files until they are looked at, for sets larger than the memory."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_THREADS = min(16, os.cpu_count() or 1)  # Pillow decodes outside Python's lock


@dataclass(frozen=True, eq=False)
class FileImages:
    """Stands where an array uint8 [N, C, H, W] stands, and reads what it is indexed with.

    shape: of that array. read: gives one file as [C, H, W]; it raises a FlipflowError for a file that is no such image.
    """

    paths: tuple[Path, ...]
    image_shape: tuple[int, int, int]
    read: Callable[[Path], npt.NDArray[np.uint8]]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[N, C, H, W]."""
        return (len(self.paths), *self.image_shape)

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: npt.NDArray[np.int64]) -> "FileImages":
        """These images, unread."""
        return FileImages(tuple(self.paths[index] for index in indices), self.image_shape, self.read)

    def __getitem__(self, index: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """These images, read by several threads. Raises: FlipflowError E151 for the first file that cannot be read."""
        chosen = self.paths[index] if isinstance(index, slice) else [self.paths[int(number)] for number in index]
        result = np.empty((len(chosen), *self.image_shape), np.uint8)
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, image in enumerate(pool.map(self.read, chosen)):
                result[number] = image
        return result

    def digest(self) -> bytes:
        """SHA-256 of the files' names and sizes, in order; their contents would take a pass over the whole set."""
        state = hashlib.sha256()
        for path in self.paths:
            state.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
        return state.digest()
