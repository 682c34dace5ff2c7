"""Training images on their way to the device: all of them there from the start, or read from files a few batches ahead."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor

from flipflow.train.data.files import FileImages

_AHEAD = 3  # batches that are read while one is trained on


class Pixels(Protocol):
    """Images uint8 [N, C, H, W]."""

    def plan(self, batches: list[Tensor]) -> None:
        """Say which batches (indices, int64 on the CPU) will be taken next, in order."""

    def take(self, indices: Tensor) -> Tensor:
        """These images on the device."""


class Resident:
    """All images on the device."""

    def __init__(self, images: Any, device: torch.device) -> None:
        """`images`: uint8 array [N, C, H, W]."""
        self._images = torch.from_numpy(images).to(device)

    def plan(self, batches: list[Tensor]) -> None:
        """Nothing to prepare."""

    def take(self, indices: Tensor) -> Tensor:
        """As in `Pixels`."""
        return self._images[indices.to(self._images.device)]


class Streamed:
    """Images read from their files by threads, ahead of their turn where they were planned."""

    def __init__(self, images: FileImages, device: torch.device) -> None:
        """`device`: where batches go."""
        self._images = images
        self._device = device
        self._reader = ThreadPoolExecutor(1)  # reads one batch after the other, each with many threads
        self._planned: deque[Tensor] = deque()
        self._reading: deque[tuple[Tensor, Future[Any]]] = deque()

    def plan(self, batches: list[Tensor]) -> None:
        """As in `Pixels`; forgets an earlier plan."""
        for _, future in self._reading:
            future.cancel()
        self._reading.clear()
        self._planned = deque(batches)
        self._read_ahead()

    def _read_ahead(self) -> None:
        while self._planned and len(self._reading) < _AHEAD:
            indices = self._planned.popleft()
            self._reading.append((indices, self._reader.submit(self._images.__getitem__, indices.numpy())))

    def take(self, indices: Tensor) -> Tensor:
        """As in `Pixels`. Raises: FlipflowError E151 where a file cannot be read."""
        if self._reading and torch.equal(self._reading[0][0], indices):
            images = self._reading.popleft()[1].result()
            self._read_ahead()
        else:
            images = self._images[indices.numpy()]
        return torch.from_numpy(images).to(self._device, non_blocking=True)
