"""Files that are whole or not there: atomic writes, hashes, and the lock of a run directory."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flipflow.errors import Exit, FlipflowError

_BLOCK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


def write_json(path: Path, value: Any) -> None:
    """Write `value` in one step: readers see the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def digest(path: Path) -> str | None:
    """sha256 of a file, or of a folder's names and contents; None where there is nothing."""
    if path.is_dir():
        lines = (f"{entry.relative_to(path)} {digest(entry)}" for entry in sorted(path.rglob("*")) if entry.is_file())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    try:
        with path.open("rb") as stream:
            sha = hashlib.sha256()
            while block := stream.read(_BLOCK):
                sha.update(block)
            return sha.hexdigest()
    except FileNotFoundError:
        return None


def replace_tree(source: Path, target: Path) -> None:
    """Move every entry of the folder `source` into `target`, replacing what has the same name."""
    for entry in sorted(source.iterdir()):
        destination = target / entry.name
        if destination.is_dir():
            shutil.rmtree(destination)
        entry.replace(destination)


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold the run directory alone. Raises FlipflowError E501 where another process does, E502 where it cannot be made."""
    with disk_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / ".lock")
    try:
        with disk_errors(run_dir):
            lock.acquire(timeout=0)
    except Timeout as error:
        raise FlipflowError(
            "E501", "another flipflow works on this run.", str(run_dir), "Wait for it, or name another run."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full disk, missing permission and the like into FlipflowError E502."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL + _NOT_WRITABLE:
            raise
        full = error.errno in _FULL
        fix = (
            "Free some space and run the same command again: it resumes."
            if full
            else "Name a folder that can be written."
        )
        name = error.filename or where
        raise FlipflowError("E502", f"{error.strerror}.", str(name), fix, Exit.BAD_INPUT) from error
