"""Checkpoints: written whole or not at all, holding all that a resumed run needs to end in the same bits."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flipflow.errors import FlipflowError

FORMAT = "flipflow-checkpoint"
VERSION = 1


def digest(value: Any) -> str:
    """SHA-256 of nested dicts, lists, tuples, tensors and plain values: of types, keys in order, shapes and bits."""
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        state.update(f"tensor {value.dtype} {tuple(value.shape)}".encode())
        state.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        state.update(f"dict {len(value)}".encode())
        for key, item in value.items():
            _feed(state, key)
            _feed(state, item)
    elif isinstance(value, list | tuple):
        state.update(f"{type(value).__name__} {len(value)}".encode())
        for item in value:
            _feed(state, item)
    else:
        state.update(f"{type(value).__name__} {value!r}".encode())


def previous(path: Path) -> Path:
    """Where the checkpoint of the epoch before is kept."""
    return path.with_suffix(".prev" + path.suffix)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (tensors and plain values) atomically; the checkpoint that was there becomes `previous(path)`.

    Raises: FlipflowError E165 where the disk is full or not writable; the old checkpoint then still stands.
    """
    content = {"format": FORMAT, "version": VERSION, "sha256": digest(content), "content": content}
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as handle:
            torch.save(content, handle)
            handle.flush()
            os.fsync(handle.fileno())
        if path.exists():
            _keep_previous(path)
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch reports some failed writes as RuntimeError
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError | RuntimeError) -> FlipflowError:
    """E165 for a file of the run that could not be written."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full." if full else f"it cannot be written ({error})."
    fix = "Make room or give write access, and start the run again: it goes on from the last whole checkpoint."
    return FlipflowError("E165", what, str(path), fix)


def _keep_previous(path: Path) -> None:
    keep = path.with_suffix(".keep")
    keep.unlink(missing_ok=True)
    try:
        keep.hardlink_to(path)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, keep)
    keep.replace(previous(path))


def _sync_folder(folder: Path) -> None:
    # Makes the rename itself durable.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path) -> dict[str, Any]:
    """The content given to `save`, tensors on the CPU. Reads tensors and plain values only, so a file cannot run code.

    Raises: FlipflowError E160 (missing), E161 (damaged or no checkpoint of ours), E162 (written by another version).
    """
    if not path.is_file():
        raise FlipflowError("E160", "there is no checkpoint.", str(path), "Train first: flipflow train CONFIG.")
    try:
        outer = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged zip, pickle or tensor fails in many ways, all with one remedy
        raise _damaged(path, "it is cut short or damaged.") from error
    if not isinstance(outer, dict) or outer.get("format") != FORMAT:
        raise _damaged(path, "it is no flipflow checkpoint.")
    if outer.get("version") != VERSION:
        what = f"its format has version {outer.get('version')}, and this flipflow reads version {VERSION}."
        raise FlipflowError("E162", what, str(path), "Train again, or use the flipflow that wrote it.")
    content = outer.get("content")
    if not isinstance(content, dict) or digest(content) != outer.get("sha256"):
        raise _damaged(path, "its content does not match its checksum.")
    return content


def _damaged(path: Path, what: str) -> FlipflowError:
    fix = "Delete it to train from the start"
    if previous(path).is_file():
        fix += f", or rename {previous(path).name} to {path.name} to go on from the epoch before"
    return FlipflowError("E161", what, str(path), fix + ".")
