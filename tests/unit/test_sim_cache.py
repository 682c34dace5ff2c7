"""The build cache: whole entries only, one builder a key, nothing left of builders that failed or were killed."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from flipflow.errors import Exit, FlipflowError
from flipflow.sim import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_builds_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(place: Path) -> None:
        calls.append(place)
        (place / "thing").write_text("x")

    first, second = cache.entry("kind", "key", build), cache.entry("kind", "key", build)
    assert first == second == tmp_path / "flipflow" / "kind" / "key"
    assert (first / "thing").read_text() == "x"
    assert len(calls) == 1
    assert calls[0] != first  # never built in place


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(place: Path) -> None:
        (place / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.entry("kind", "key", fail)
    assert [path.name for path in (tmp_path / "flipflow" / "kind").iterdir()] == ["key.lock"]
    assert cache.entry("kind", "key", lambda place: None).is_dir()


def test_what_a_killed_builder_left_is_cleared(tmp_path: Path) -> None:
    partial = tmp_path / "flipflow" / "kind" / "key.tmp"
    partial.mkdir(parents=True)
    (partial / "half").write_text("")
    place = cache.entry("kind", "key", lambda place: (place / "whole").write_text("") and None)
    assert [path.name for path in place.iterdir()] == ["whole"]
    assert not partial.exists()


def _slow_build(place: Path) -> None:
    with (place.parent.parent / "builders").open("a") as stream:
        stream.write("x")
    time.sleep(0.3)
    (place / "thing").write_text("whole")


def _read_entry() -> None:
    place = cache.entry("kind", "key", _slow_build)
    os._exit(0 if (place / "thing").read_text() == "whole" else 1)


def test_builders_of_one_key_wait_for_each_other(tmp_path: Path) -> None:
    workers = [multiprocessing.get_context("fork").Process(target=_read_entry) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert (tmp_path / "flipflow" / "builders").read_text() == "x"


def test_a_killed_builder_does_not_block_the_next(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_read_entry)
    worker.start()
    while not (tmp_path / "flipflow" / "builders").exists():
        time.sleep(0.01)
    worker.kill()
    worker.join()
    assert not (tmp_path / "flipflow" / "kind" / "key").exists()
    assert cache.entry("kind", "key", lambda place: None).is_dir()


def test_old_entries_are_dropped(tmp_path: Path) -> None:
    old, used = (cache.entry("kind", name, lambda place: None) for name in ("old", "used"))
    month = time.time() - 31 * 86_400
    for place in (old, used):
        os.utime(place, (month, month))
    cache.entry("kind", "used", lambda place: None)  # using it keeps it
    cache.entry("kind", "new", lambda place: None)
    assert (old.exists(), used.exists()) == (False, True)


def test_an_unwritable_cache_is_a_coded_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(FlipflowError, match="E514") as caught:
        cache.entry("kind", "key", lambda place: None)
    assert caught.value.exit_code == Exit.TOOL_MISSING


def test_the_key_knows_where_parts_end() -> None:
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])
    assert cache.digest(["ab"]) == cache.digest([b"ab"])


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")  # as the XDG base directory specification demands
    assert cache.root() == Path.home() / ".cache" / "flipflow"
