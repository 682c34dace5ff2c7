"""The loss around a network's weights, along two random filter-normalised directions (Li et al., NeurIPS 2018; OvSW, Fig. 4).

L(a, b) = loss(W + a*D1 + b*D2). Each D is drawn from a normal distribution and scaled filter by filter (output channel) to the
norm of that filter: D_k <- D_k / |D_k| * |W_k|. Parameters of one dimension (batch norm) stay as they are, and so do running
statistics. The latent weights move, the network binarizes them: the surface is that of the binary network.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Directions = dict[str, tuple[Tensor, Tensor]]
_BATCH = 250


@dataclass(frozen=True)
class SurfaceRequest:
    """points: along each direction, odd to have the centre among them. radius: largest |a| and |b|. seed: of the directions."""

    points: int = 21
    radius: float = 1.0
    seed: int = 0

    def steps(self) -> npt.NDArray[np.float64]:
        """Values of a and of b, float64 [points]."""
        return np.linspace(-self.radius, self.radius, self.points)


def directions(model: nn.Module, seed: int) -> Directions:
    """Two directions for every parameter of more than one dimension, by name."""
    generator = torch.Generator().manual_seed(seed)
    found: Directions = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            first, second = (_filter_normalised(parameter.detach(), generator) for _ in range(2))
            found[name] = first, second
    return found


def _filter_normalised(weight: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(weight.shape, generator=generator)
    shape = (-1, *[1] * (weight.dim() - 1))
    norms = [tensor.flatten(1).norm(dim=1).view(shape) for tensor in (drawn, weight)]
    scaled: Tensor = drawn / norms[0].clamp(min=1e-12) * norms[1]
    return scaled


def loss_at(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy over uint8 images [N, C, H, W] in eval mode."""
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(labels), _BATCH):
            part = slice(start, start + _BATCH)
            total += float(F.cross_entropy(model(images[part].float()), labels[part], reduction="sum"))
    return total / len(labels)


def surface(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    request: SurfaceRequest,
    cache: Path,
    progress: Callable[[int, int], None],
) -> npt.NDArray[np.float64]:
    """Losses float64 [points, points], rows along the first direction. `model` ends as it began.

    Kept in `cache` (.npz) row by row: a call that was stopped goes on there, and one with the same weights, images and request
    computes nothing.
    """
    model.eval()
    key = _key(model, images, labels, request)
    losses = _cached(cache, key, request.points)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    drawn, steps = directions(model, request.seed), request.steps()
    try:
        for row, a in enumerate(steps):
            if np.isnan(losses[row]).any():
                losses[row] = [_loss_off_centre(model, start, drawn, (a, b), images, labels) for b in steps]
                _store(cache, losses, key)
            progress(row + 1, request.points)
    finally:
        _move(model, start, drawn, (0.0, 0.0))
    return losses


def _loss_off_centre(
    model: nn.Module,
    start: dict[str, Tensor],
    drawn: Directions,
    at: tuple[float, float],
    images: Tensor,
    labels: Tensor,
) -> float:
    _move(model, start, drawn, at)
    return loss_at(model, images, labels)


def _move(model: nn.Module, start: dict[str, Tensor], drawn: Directions, at: tuple[float, float]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(start[name])
            if name in drawn and at != (0.0, 0.0):
                parameter.add_(drawn[name][0], alpha=at[0]).add_(drawn[name][1], alpha=at[1])


def _key(model: nn.Module, images: Tensor, labels: Tensor, request: SurfaceRequest) -> str:
    sha = hashlib.sha256(repr(request).encode())
    for tensor in (*model.state_dict().values(), images, labels):
        sha.update(tensor.contiguous().numpy().tobytes())
    return sha.hexdigest()


def _cached(cache: Path, key: str, points: int) -> npt.NDArray[np.float64]:
    empty = np.full((points, points), np.nan)
    try:
        with np.load(cache, allow_pickle=False) as stored:
            same = str(stored["key"]) == key and stored["losses"].shape == empty.shape
            return np.asarray(stored["losses"], dtype=np.float64) if same else empty
    except (OSError, ValueError, KeyError, EOFError):
        return empty


def _store(cache: Path, losses: npt.NDArray[np.float64], key: str) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(".tmp")
    with temporary.open("wb") as stream:
        np.savez(stream, losses=losses, key=np.asarray(key))
    temporary.replace(cache)
