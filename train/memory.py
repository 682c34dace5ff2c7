"""What to do about a training step that does not fit into memory: find the batch that would."""

import gc
import math
from collections.abc import Callable

import torch

from flipflow.errors import FlipflowError

SMALLEST_BATCH = 2  # batch norm needs two images


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device, or the machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # torch's allocator on the CPU raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)


def explain_out_of_memory(batch: int, accumulate: int, attempt: Callable[[int], None] | None) -> FlipflowError:
    """E173, naming a batch that does fit, found by trying halves of `batch` with attempt(images).

    attempt: runs a forward and a backward pass of so many images; None where it cannot be tried, and half is a guess.
    accumulate: the configuration's, scaled so that the optimizer's step stays as large as configured.
    """
    size = batch // 2
    while attempt is not None and size >= SMALLEST_BATCH and not _fits(attempt, size):
        size //= 2
    where = "train.batch_size"
    if size < SMALLEST_BATCH:
        what = f"a batch of {batch} images does not fit into memory, and neither does one of {SMALLEST_BATCH}."
        return FlipflowError("E173", what, where, "Take a smaller network or smaller images, or a larger device.")
    steps = math.ceil(batch * accumulate / size)
    fix = f"Take train.batch_size = {size} with train.accumulate = {steps}, which makes as large an optimizer step."
    if torch.cuda.is_available():
        fix += ' train.amp = "bf16" takes less memory, too.'
    found = f"; of its halves, {size} is the largest that does." if attempt is not None else "."
    return FlipflowError("E173", f"a batch of {batch} images does not fit into memory{found}", where, fix)


def _fits(attempt: Callable[[int], None], size: int) -> bool:
    gc.collect()  # the failed step's graph hangs on the traceback's cycles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        attempt(size)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            return False
        raise
    return True
