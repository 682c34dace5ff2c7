"""Training in several processes, on one machine or many: sums over processes that do nothing where there is only one.

The batch of the configuration is that of all processes together, and each works on its share. Gradients are averaged after the
backward pass, before clipping and the optimizer's step, and batch norm's statistics are those of the whole batch. So a run comes
to the same result with any number of processes, but for the rounding of sums taken in another order. Every process holds the
whole model and the whole state, to the same bits; process 0 alone writes files.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from flipflow.errors import FlipflowError

_BUCKET = 1 << 23  # numbers a message: large enough to be worth its latency, small enough not to double the memory


T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among all. rank: its number, 0..size-1."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` equal things are this process's; all shares together are all, in order of rank."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def total(self, value: Tensor) -> Tensor:
        """Sum of `value` over the processes, in place; not for autograd."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Mean of each gradient over the processes. A parameter without a gradient here has none elsewhere either."""
        if self.size == 1:
            return
        for bucket in _buckets([parameter.grad for parameter in parameters if parameter.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            flat /= self.size
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def agree(self, module: nn.Module) -> None:
        """Give every process the parameters and buffers of process 0."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                sent = tensor.contiguous()  # a copy where the memory order is channels_last
                dist.broadcast(sent, src=0)
                tensor.copy_(sent)

    def from_first(self, value: T) -> T:
        """What process 0 passes, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (size + gradient.numel() > _BUCKET or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket


def current() -> Processes:
    """The processes of torch's default group, or this one alone where there is none."""
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Within, this process belongs to the group that torchrun started it in; without torchrun it stays alone.

    device: "cpu", "cuda" or "auto", which decides between gloo and NCCL; on CUDA this process gets the device LOCAL_RANK.
    Raises: FlipflowError E175 where torchrun started more processes on a machine than it has CUDA devices.
    """
    if "RANK" not in os.environ or not dist.is_available():
        yield Processes()
        return
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if cuda and torch.cuda.is_available():
        _take_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda and torch.cuda.is_available() else "gloo")
    try:
        yield current()
    finally:
        dist.destroy_process_group()


def _take_device(local: int) -> None:
    count = torch.cuda.device_count()
    if local >= count:
        raise FlipflowError(
            "E175",
            f"this is process {local + 1} on a machine with {count} CUDA devices.",
            "torchrun --nproc-per-node",
            f"Start at most {count} processes a machine.",
        )
    torch.cuda.set_device(local)
