"""Checkpoints: written whole or not at all, holding all that a resumed run needs to end in the same bits."""

import errno
import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from flipflow.errors import FlipflowError

FORMAT = "flipflow-checkpoint"
VERSION = 1

# Zip's end record closes with the length of a comment (two bytes, little-endian) and the comment.
_NO_COMMENT, _COMMENT = b"\0\0", b"\x40\0"
_DIGITS = 64


def sealed(archive: bytes) -> bytes:
    """What `torch.save` wrote, with the SHA-256 of all of it as the zip comment.

    torch reads without looking at zip's own checksums, and those leave out headers and padding; so every flipped bit
    is seen, and `torch.load` still reads the file.
    """
    if not archive.endswith(_NO_COMMENT):
        raise RuntimeError("torch.save wrote an archive that already has a comment")
    body = archive[: -len(_NO_COMMENT)] + _COMMENT
    return body + hashlib.sha256(body).hexdigest().encode()


def _intact(data: bytes) -> bool:
    return hashlib.sha256(data[:-_DIGITS]).hexdigest().encode() == data[-_DIGITS:]


def previous(path: Path) -> Path:
    """Where the checkpoint of the epoch before is kept."""
    return path.with_suffix(".prev" + path.suffix)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (tensors and plain values) atomically; the checkpoint that was there becomes `previous(path)`.

    Raises: FlipflowError E165 where the disk is full or not writable; the old checkpoint then still stands.
    """
    archive = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, "content": content}, archive)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(sealed(archive.getvalue()))
            handle.flush()
            os.fsync(handle.fileno())
        if path.exists():
            _keep_previous(path)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> FlipflowError:
    """E165 for a file of the run that could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
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
    data = path.read_bytes()
    if not _intact(data):
        raise _damaged(path, "its bytes do not match its checksum.")
    try:
        outer = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a well sealed file of somebody else: needs code to unpickle, or is no checkpoint
        raise _damaged(path, "it is no flipflow checkpoint.") from error
    if not isinstance(outer, dict) or outer.get("format") != FORMAT:
        raise _damaged(path, "it is no flipflow checkpoint.")
    if outer.get("version") != VERSION:
        what = f"its format has version {outer.get('version')}, and this flipflow reads version {VERSION}."
        raise FlipflowError("E162", what, str(path), "Train again, or use the flipflow that wrote it.")
    content = outer.get("content")
    if not isinstance(content, dict):
        raise _damaged(path, "it holds no content.")
    return content


def _damaged(path: Path, what: str) -> FlipflowError:
    fix = "Delete it to train from the start"
    if previous(path).is_file():
        fix += f", or rename {previous(path).name} to {path.name} to go on from the epoch before"
    return FlipflowError("E161", what, str(path), fix + ".")
