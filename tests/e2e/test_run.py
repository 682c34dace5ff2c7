"""Whole runs from the command line: equal levels, skipped stages, interruptions that lose nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flipflow.train.loop import load_model
from tests.command import INTERRUPTIBLE, flipflow

SMALL = """
[model]
network = "cnn"
layers = [{channels = 8, pool = 2}, {channels = 8}]
padding = "zero"
order = "conv-bn-pool-sign"
first_weight_bits = 4

[data]
dataset = "digits"

[train]
epochs = 4
threads = 1

[fold]
cycles = 1200

[verify]
samples = 40
rtl_samples = 12
stalled_samples = 4
"""
RESULTS = ("checkpoint.pt", "model.qonnx.onnx", "integer.json", "integer.npz", "accelerator.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with small.toml and the run made from it, and what `run --json` printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "small.toml").write_text(SMALL)
    command = [sys.executable, "-m", "flipflow", "run", "small.toml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_all_levels_equal(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    verified = json.loads((folder / "runs/small/verify.json").read_text())
    assert verified == result["verify"]
    rows = {row["level"]: row for row in verified["levels"]}
    assert set(rows) == {"torch", "qonnx", "finn", "integer", "rtl", "cpu"}
    assert all(row["mismatches"] == 0 for row in rows.values())
    assert rows["rtl"]["samples"] == 12 and rows["torch"]["samples"] == 40
    cycles = verified["cycles"]
    assert cycles["predicted_ii"] == cycles["measured_ii"] > 0
    assert cycles["predicted_latency"] == cycles["measured_latency"] > 0
    assert verified["stalled"]["mismatches"] == 0
    description = json.loads((folder / "runs/small/accelerator.json").read_text())
    assert cycles["measured_ii"] == max(layer["cycles"] for layer in description["layers"])


def test_second_run_skips(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, first = finished
    assert [stage["skipped"] for stage in first["stages"]] == [False] * 4
    out, _ = flipflow("run", "small.toml", "--json", cwd=folder)
    assert [stage["skipped"] for stage in json.loads(out)["stages"]] == [True] * 4


def test_infer_and_diff(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    np.savez(folder / "mine.npz", images=images, labels=np.arange(5))
    answers = {}
    for level in ("torch", "qonnx", "finn", "integer", "rtl", "cpu", "cpu:scalar"):
        words = ("infer", "runs/small", "--input", "mine.npz", "--level", level, "--out", f"{level}.npz", "--json")
        out, _ = flipflow(*words, cwd=folder)
        assert json.loads(out)["images"] == 5 and 0 <= json.loads(out)["accuracy"] <= 1
        answers[level] = dict(np.load(folder / f"{level}.npz"))
    for level in ("torch", "qonnx", "finn", "rtl", "cpu"):
        np.testing.assert_array_equal(answers[level]["logits"], answers["integer"]["logits"])
        np.testing.assert_array_equal(answers[level]["class"], answers["integer"]["class"])
    for level in ("torch", "qonnx", "finn"):
        out, _ = flipflow("diff", "runs/small", "integer", level, "--samples", "3", "--json", cwd=folder)
        assert json.loads(out)["equal"]


def test_diff_names_the_broken_layer(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """One weight ROM with all bits flipped: verify fails, and diff points behind that layer."""
    folder, _ = finished
    subprocess.run(["cp", "-r", str(folder / "runs/small"), str(tmp_path / "broken")], check=True)
    rom = tmp_path / "broken/rtl/conv1_weights.mem"
    words = rom.read_text().split()
    digits = len(words[0])
    flipped = [f"{int(word, 16) ^ (16**digits - 1):0{digits}x}" for word in words]
    # Bits above the word's width would be refused by the simulator's $readmemh.
    width = max(int(word, 16) for word in words).bit_length()
    rom.write_text("\n".join(f"{int(word, 16) & ((1 << width) - 1):0{digits}x}" for word in flipped) + "\n")
    _, err = flipflow("verify", "broken", "--levels", "rtl", cwd=tmp_path, check=1)
    assert "E453" in err
    out, _ = flipflow("diff", "broken", "integer", "rtl", "--samples", "2", "--json", cwd=tmp_path, check=1)
    assert json.loads(out)["first"]["layer"] == "input of linear_0"


def test_kill_at_any_time_ends_in_the_same_bits(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Stopped within each stage, by SIGKILL and by Ctrl-C; the run then finishes with the results of the undisturbed one."""
    folder, _ = finished
    (tmp_path / "small.toml").write_text(SMALL)
    command = [*INTERRUPTIBLE, "run", "small.toml"]
    for reached, seconds, how in (
        ("train: started", 0.0, signal.SIGKILL),
        ("export: started", 0.0, signal.SIGINT),
        ("build: started", 0.3, signal.SIGKILL),
        ("verify rtl: started", 0.0, signal.SIGKILL),
    ):
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith(reached):
            assert line, f"ended before {reached!r} was said"
        while not (tmp_path / "runs/small/checkpoint.pt").exists():  # of the first epoch
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(seconds)
        os.killpg(process.pid, how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (130 if how is signal.SIGINT else -how)
        assert "Traceback" not in err
    flipflow("run", "small.toml", cwd=tmp_path)
    for name in RESULTS:
        ours, theirs = (base / "runs/small" / name for base in (tmp_path, folder))
        if name == "checkpoint.pt":  # its container holds dates
            one, other = (load_model(path).state_dict() for path in (ours, theirs))
            assert all(torch.equal(one[key], other[key]) for key in other)
        elif name == "integer.npz":
            one, other = np.load(ours), np.load(theirs)
            assert all(np.array_equal(one[key], other[key]) for key in other.files)
        else:
            assert ours.read_bytes() == theirs.read_bytes(), name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("train.epoch=3", "E100"),
        ("train.epochs=-1", "E101"),
        ("data.dataset=idx", "E101"),
        ("fold.fps=1e12", "E305"),
        ("fold.layers.conv9.pe=1", "E303"),
        ("fold.layers.conv1.pe=3", "E304"),
        ("nonsense", "E104"),
    ],
)
def test_bad_settings(finished: tuple[Path, dict[str, Any]], change: str, code: str) -> None:
    folder, _ = finished
    target = ("build", "runs/small") if "fold" in change else ("run", "small.toml")
    _, err = flipflow(*target, "--set", change, cwd=folder, check=2)
    assert code in err


def test_bad_files(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = finished
    _, err = flipflow("run", "missing.toml", cwd=tmp_path, check=2)
    assert "E103" in err
    (tmp_path / "broken.toml").write_text("[model\n")
    _, err = flipflow("run", "broken.toml", cwd=tmp_path, check=2)
    assert "E102" in err
    _, err = flipflow("verify", "nowhere", cwd=tmp_path, check=2)
    assert "E112" in err
    (tmp_path / "cut.onnx").write_bytes((folder / "runs/small/model.qonnx.onnx").read_bytes()[:500])
    _, err = flipflow("export", "cut.onnx", "--out", "cut", cwd=tmp_path, check=2)
    assert "E201" in err
    (tmp_path / "none.npz").write_bytes(b"PK")
    _, err = flipflow("infer", str(folder / "runs/small"), "--input", "none.npz", cwd=tmp_path, check=2)
    assert "E454" in err
    _, err = flipflow("nonsense", cwd=tmp_path, check=2)
    assert "No such command" in err
    subprocess.run(["cp", "-r", str(folder / "runs/small"), str(tmp_path / "torn")], check=True)
    checkpoint = tmp_path / "torn/checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    _, err = flipflow("export", "torn", cwd=tmp_path, check=2)
    assert "E161" in err


def test_damaged_accelerator_description(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = finished
    subprocess.run(["cp", "-r", str(folder / "runs/small"), str(tmp_path / "torn")], check=True)
    (tmp_path / "torn/accelerator.json").write_text('{"format": ')
    _, err = flipflow("verify", "torn", cwd=tmp_path, check=2)
    assert "E452" in err and "--force" in err


def test_missing_compiler(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """No compiler: exit code 3, and the message says what to install."""
    folder, _ = finished
    environment = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "flipflow", "verify", "runs/small", "--levels", "rtl", "--force"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "E511" in done.stderr and "apt install g++" in done.stderr
