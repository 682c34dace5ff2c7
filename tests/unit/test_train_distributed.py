"""Two gloo processes on one machine against one process: the same training, but for the rounding of sums in another order."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from flipflow.config import DataConfig, OvswConfig, load_config
from flipflow.errors import FlipflowError
from flipflow.train.data import load_dataset
from flipflow.train.distributed import Processes, _buckets
from flipflow.train.loop import load_model, train
from flipflow.train.progress import ProgressEvent
from flipflow.train.trainer import Trainer
from tests.unit import distributed_worker


def torchrun(processes: int, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `command` under torchrun on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words = [*launcher, *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def tensors(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    """Nested content as its tensors by path."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {path: tensor for key, item in items for path, tensor in tensors(item, f"{name}/{key}").items()}


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    done = torchrun(2, distributed_worker.__file__, tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}of2.pt") for rank in (0, 1))
    with torch.random.fork_rng():
        one = distributed_worker.result()
    # Both processes hold the same bits, OvSW's signs, flip rates and counts among them.
    states = [tensors(content["state"]) for content in (first, second, one)]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert first["line"] == second["line"]
    # One process: the same random numbers, the same signs, and floats within the rounding of four steps' sums.
    assert states[0].keys() == states[2].keys()
    for name, tensor in states[0].items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, states[2][name], rtol=2e-4, atol=2e-5, msg=name)
        else:
            assert torch.equal(tensor, states[2][name]), name
    for name in ("conv_1", "conv_2"):
        assert one["line"]["layers"][name]["flip_ratio"] > 0  # there was something to agree about
    assert first["line"]["layers"] == one["line"]["layers"]
    assert first["line"]["val_accuracy"] == one["line"]["val_accuracy"]
    assert first["line"]["train_accuracy"] == one["line"]["train_accuracy"]


CONFIG = """
[model]
network = "cnn"
layers = [{ channels = 4, pool = 2 }, { channels = 4 }]
[data]
limit = 240
[train]
epochs = 2
batch_size = 24
threads = 1
"""


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped(tmp_path: Path) -> None:
    path, run = tmp_path / "small.toml", tmp_path / "run"
    path.write_text(CONFIG)
    config = load_config(path)
    assert config.model is not None and config.data is not None

    def stop(event: ProgressEvent) -> None:
        if (event.epoch, event.step) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config.model, config.data, config.train, config.ovsw, run, stop)
    before = (run / "metrics.jsonl").read_text()
    done = torchrun(2, "-m", "flipflow.train", path, "--out", run)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trained 2 epochs in 2 processes") == 1
    after = (run / "metrics.jsonl").read_text()
    assert after.startswith(before)
    assert [json.loads(line)["epoch"] for line in after.splitlines()] == [1, 2]
    # One process finds all done, and the test accuracy that the two measured together is that of the kept weights.
    result = train(config.model, config.data, config.train, config.ovsw, run)
    assert result.resumed_from == 2
    data = load_dataset(config.data)
    with torch.no_grad():
        classes = load_model(result.checkpoint)(torch.from_numpy(data.test_images).float()).argmax(1).numpy()
    assert (classes == data.test_labels).mean() == result.test_accuracy


def test_batch_that_does_not_go_into_equal_shares() -> None:
    data = load_dataset(DataConfig(limit=240, validation=0.2))
    config = distributed_worker.TRAIN.model_copy(update={"batch_size": 25})
    with pytest.raises(FlipflowError, match=r"E175.*25 images"):
        Trainer(distributed_worker.MODEL, config, OvswConfig(), data, torch.device("cpu"), Processes(0, 2))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_make_up_the_whole(size: int) -> None:
    parts = [Processes(rank, size).share(10) for rank in range(size)]
    assert [index for part in parts for index in range(10)[part]] == list(range(10))


def test_buckets_hold_every_gradient_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flipflow.train.distributed._BUCKET", 10)
    gradients = [torch.zeros(size) for size in (4, 6, 1, 25, 3)] + [torch.zeros(2, dtype=torch.float64)]
    buckets = list(_buckets(gradients))
    assert [[len(tensor) for tensor in bucket] for bucket in buckets] == [[4, 6], [1], [25], [3], [2]]
    assert [id(tensor) for bucket in buckets for tensor in bucket] == [id(tensor) for tensor in gradients]
