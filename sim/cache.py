"""Cache of things built once: directories under $XDG_CACHE_HOME/flipflow (~/.cache/flipflow).

An entry is named by what it was built from, and appears by one rename, so whoever sees it sees it whole; a builder
that was killed leaves only a `.tmp` directory that the next builder of the same key clears. Builders of a key wait for
each other on a lock file, which the operating system releases with its owner.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from flipflow.errors import Exit, FlipflowError

_KEEP_DAYS = 30.0


def root() -> Path:
    """Directory of all caches; not created here."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "flipflow"


def digest(parts: Iterable[str | bytes]) -> str:
    """Return sha256 of a sequence of parts, as hex; how the text is cut into parts counts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def entry(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the directory of `key`, building it first where it is not there.

    kind: subdirectory, one for each sort of thing.
    build: fills the empty directory it is given; what it raises is passed on, and nothing is kept then.

    Raises: FlipflowError E514 where the cache cannot be written.
    """
    shelf = root() / kind
    final = shelf / key
    if final.is_dir():
        _touch(final)
        return final
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        lock = (shelf / f"{key}.lock").open("w")
    except OSError as error:
        raise FlipflowError(
            "E514", f"cannot be written ({error.strerror}).", str(shelf), "Set XDG_CACHE_HOME.", Exit.TOOL_MISSING
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            _build(shelf / f"{key}.tmp", final, build)
            _prune(shelf)
    return final


def _build(partial: Path, final: Path, build: Callable[[Path], None]) -> None:
    shutil.rmtree(partial, ignore_errors=True)  # of a builder that was killed
    partial.mkdir()
    try:
        build(partial)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # a read-only cache is still good to read
        return


def _prune(shelf: Path) -> None:
    """Drop entries that nobody used for a month. Lock files stay: another process may be about to take one."""
    oldest = time.time() - _KEEP_DAYS * 86_400
    for path in shelf.iterdir():
        if path.is_dir() and path.suffix != ".tmp" and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)
