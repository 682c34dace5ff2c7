"""Stages of a run: skipped where nothing changed, run again where something did, and whole or not there."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flipflow.config import Config
from flipflow.errors import FlipflowError
from flipflow.run.files import digest, disk_errors, locked, write_json
from flipflow.run.manifest import Manifest, settings_digest
from flipflow.run.runner import STAGING, Context, Stage, run_stage


class Silent:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, task: str, done: float, total: float, note: str = "") -> None:
        self.lines.append(task)


class Doubling:
    """A stage that writes twice what it reads, and counts how often it works."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.calls = 0
        self.stage = Stage(
            name="double",
            inputs=("number",),
            outputs=("result", "folder"),
            rooms=("sim",),
            settings=lambda config: config.verify.samples,
            work=self.work,
        )

    def work(self, context: Context) -> None:
        self.calls += 1
        number = int((context.run_dir / "number").read_text())
        (context.out / "result").write_text(str(2 * number))
        (context.out / "folder").mkdir()
        (context.out / "folder" / f"{number}.txt").write_text("x")

    def __call__(self, samples: int = 0, **options: Any) -> bool:
        """Run; whether it was skipped."""
        config = Config.model_validate({"verify": {"samples": samples}})
        return run_stage(self.stage, config, self.run_dir, Silent(), **options).skipped


@pytest.fixture
def double(tmp_path: Path) -> Doubling:
    (tmp_path / "number").write_text("21")
    return Doubling(tmp_path)


def test_unchanged_stages_are_skipped(double: Doubling) -> None:
    assert not double()
    assert (double.run_dir / "result").read_text() == "42"
    assert double() and double.calls == 1
    assert not double(force=True) and double.calls == 2
    record = Manifest(double.run_dir).stages["double"]
    assert record.outputs["result"] == digest(double.run_dir / "result")
    assert set(record.inputs) == {"number"}
    assert not (double.run_dir / STAGING).exists()


def test_what_makes_a_stage_run_again(double: Doubling) -> None:
    double()
    (double.run_dir / "number").write_text("5")
    assert not double() and (double.run_dir / "result").read_text() == "10"
    # The folder was replaced, not filled up.
    assert [path.name for path in (double.run_dir / "folder").iterdir()] == ["5.txt"]
    assert not double(samples=3) and double(samples=3)
    (double.run_dir / "result").write_text("tampered")
    assert not double(samples=3) and (double.run_dir / "result").read_text() == "10"
    (double.run_dir / "folder" / "extra").write_text("")
    assert not double(samples=3)
    (double.run_dir / "result").unlink()
    assert not double(samples=3)
    (double.run_dir / "manifest.json").unlink()
    assert not double(samples=3) and double(samples=3)


def test_files_outside_the_run_count(double: Doubling, tmp_path: Path) -> None:
    outside = tmp_path / "model.onnx"
    outside.write_text("one")
    double.stage = replace(double.stage, outside=lambda config: (outside,))
    assert not double() and double()
    outside.write_text("two")
    assert not double() and double()


def test_other_code_makes_a_stage_run_again(double: Doubling, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not double()
    monkeypatch.setattr("flipflow.run.runner.code_digest", lambda rooms: "another version")
    assert not double() and double()


def test_a_stage_that_dies_half_way_leaves_what_was_there(double: Doubling) -> None:
    double()
    before = (double.run_dir / "manifest.json").read_text()

    def die(context: Context) -> None:
        (context.out / "result").write_text("half")
        raise RuntimeError("power cut")

    (double.run_dir / "number").write_text("4")
    whole, double.stage = double.stage, replace(double.stage, work=die)
    with pytest.raises(RuntimeError, match="power cut"):
        double()
    assert (double.run_dir / "result").read_text() == "42"
    assert (double.run_dir / "manifest.json").read_text() == before
    double.stage = whole
    assert not double() and (double.run_dir / "result").read_text() == "8"
    assert not (double.run_dir / STAGING).exists()


def test_dying_while_outputs_are_moved_is_not_taken_for_done(double: Doubling, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is moved, the result is not: the record is gone before, so that the mixture is never trusted."""
    double()
    (double.run_dir / "number").write_text("4")
    real = os.replace

    def replace_all_but_result(source: Path, target: Path) -> None:
        if Path(target).name == "result":
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", replace_all_but_result)
        with pytest.raises(KeyboardInterrupt):
            double()
    assert "double" not in Manifest(double.run_dir).stages
    (double.run_dir / "number").write_text("21")
    assert not double() and (double.run_dir / "result").read_text() == "42"
    assert [path.name for path in (double.run_dir / "folder").iterdir()] == ["21.txt"]


def test_a_stage_in_place_is_forgotten_while_it_works(double: Doubling) -> None:
    """Training resumes in the run directory itself; its record is dropped before it begins."""
    seen: list[set[str]] = []

    def work(context: Context) -> None:
        seen.append(set(Manifest(context.run_dir).stages))
        (context.run_dir / "result").write_text("1")
        (context.run_dir / "folder").mkdir(exist_ok=True)

    double.stage = replace(double.stage, work=work, in_place=True)
    assert not double() and double() and not double(force=True)
    assert seen == [set(), set()]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\x00",
        b"[]",
        b"null",
        b'{"version": 1}',
        b'{"version": 2, "stages": {}}',
        b'{"version": 1, "stages": []}',
        b'{"version": 1, "stages": {"double": 3}}',
        b'{"version": 1, "stages": {"double": {"inputs": {}}}}',
    ],
)
def test_a_damaged_manifest_counts_as_empty(content: bytes, double: Doubling) -> None:
    double()
    (double.run_dir / "manifest.json").write_bytes(content)
    assert not double() and double()


def test_a_manifest_with_a_hole(double: Doubling) -> None:
    double()
    path = double.run_dir / "manifest.json"
    document = json.loads(path.read_text())
    document["stages"]["double"]["outputs"] = None
    path.write_text(json.dumps(document))
    assert not double() and double()


# --- lock and disk ---


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[Path]:
    """A run directory that another process holds."""
    run_dir = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from flipflow.run.files import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield run_dir
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    process.stdout.close()


def test_a_run_that_another_process_holds(other_process: Path) -> None:
    with pytest.raises(FlipflowError) as caught, locked(other_process):
        pass
    assert (caught.value.code, caught.value.where) == ("E501", str(other_process))


def test_a_lock_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new" / "run"):
            assert (tmp_path / "new" / "run").is_dir()
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    with locked(tmp_path):
        pass


def test_a_run_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for run_dir in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(FlipflowError) as caught, locked(run_dir):
            pass
        assert caught.value.code == "E502" and "folder" in caught.value.fix


@pytest.mark.parametrize("where", ["open", "os.replace", "os.fsync"])
def test_a_full_disk(where: str, double: Doubling, monkeypatch: pytest.MonkeyPatch) -> None:
    """E502 whatever it is that finds no room; the same command then goes on."""
    double()
    (double.run_dir / "number").write_text("4")

    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "result")

    with monkeypatch.context() as patch:
        if where == "open":
            double.stage = replace(double.stage, work=full)
        else:
            patch.setattr(where, full)
        with pytest.raises(FlipflowError) as caught:
            double()
    assert caught.value.code == "E502" and "space" in caught.value.fix and caught.value.where == "result"
    double.stage = Doubling(double.run_dir).stage
    assert not double() and (double.run_dir / "result").read_text() == "8"


@pytest.mark.parametrize(
    ("number", "fix"), [(errno.EACCES, "can be written"), (errno.EROFS, "can be written"), (errno.EDQUOT, "space")]
)
def test_other_refusals_of_the_disk(number: int, fix: str, tmp_path: Path) -> None:
    with pytest.raises(FlipflowError) as caught, disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.code == "E502" and fix in caught.value.fix and caught.value.where == str(tmp_path)


def test_bugs_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "none").read_text()


def test_json_is_written_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": {1, 2}})
    assert json.loads(path.read_text()) == {"a": 1}


def test_digests(tmp_path: Path) -> None:
    """sha256("") by the standard; a folder's digest knows names and contents."""
    (tmp_path / "empty").write_bytes(b"")
    assert digest(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest(tmp_path / "none") is None
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    one = digest(folder)
    (folder / "a").rename(folder / "b")
    two = digest(folder)
    (folder / "b").write_text("2")
    assert len({one, two, digest(folder)}) == 3
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1}) != settings_digest({"a": 2, "b": 1})
