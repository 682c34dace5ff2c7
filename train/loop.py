"""The training stage: from configuration to checkpoint.pt and metrics.jsonl, resumable at every epoch."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from flipflow.config.training import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train.data import Dataset, load_dataset
from flipflow.train.models import build_model
from flipflow.train.progress import Progress
from flipflow.train.trainer import Trainer, accuracy_on

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class TrainResult:
    """What a training came to; accuracies are shares.

    best_epoch: by validation accuracy, the later of equals; its weights are what `load_model` gives.
    test_accuracy: of those weights, measured once, at the end. parameters: trained numbers in the network.
    resumed_from: epochs found done, 0 for a fresh start. seconds: of this call.
    """

    checkpoint: Path
    epochs: int
    best_epoch: int
    val_accuracy: float
    test_accuracy: float
    parameters: int
    seconds: float
    resumed_from: int


def train(
    config_model: ModelConfig,
    config_data: DataConfig,
    config_train: TrainConfig,
    config_ovsw: OvswConfig,
    run_dir: Path,
    progress: Progress | None = None,
) -> TrainResult:
    """Train to the configured epoch, and measure the test accuracy of the best one.

    Goes on from run_dir/checkpoint.pt where there is one, to the same bits as without the break: Ctrl-C or a kill at
    any point costs at most the epoch under way. Sets torch's thread count while it runs.
    Raises: FlipflowError E150 to E155 (data), E160 to E165 (checkpoint), E170 (non-finite), E171 (network),
    E172 (device).
    """
    start = perf_counter()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store.write_error(run_dir, error) from error
    path = run_dir / CHECKPOINT
    sections: dict[str, BaseModel] = {
        "model": config_model,
        "data": config_data,
        "train": config_train,
        "ovsw": config_ovsw,
    }
    config = {name: section.model_dump(mode="json") for name, section in sections.items()}
    saved = store.load(path) if path.exists() else None
    if saved is not None:
        _refuse_other_config(path, saved["config"], sections)
    data = load_dataset(config_data)
    fixed = {
        "config": config,
        "input_shape": list(data.input_shape),
        "classes": list(data.classes),
        "data_sha256": _data_digest(data),
    }
    if saved is not None and saved["data_sha256"] != fixed["data_sha256"]:
        what = f"the data set {data.name} is not the one that this run was started on."
        raise FlipflowError("E164", what, str(path), "Put the old data back, or train in another folder.")
    with _settings(config_train):
        trainer = Trainer(config_model, config_train, config_ovsw, data, _device(config_train))
        state = _run(trainer, saved, fixed, run_dir, progress)
        if state["test_accuracy"] is None:
            state["test_accuracy"] = _test(trainer, state["best"], data)
            store.save(path, state)
    best = state["best"]
    count = sum(parameter.numel() for parameter in trainer.model.parameters())
    return TrainResult(
        checkpoint=path,
        epochs=trainer.epoch,
        best_epoch=best["epoch"],
        val_accuracy=best["val_accuracy"],
        test_accuracy=state["test_accuracy"],
        parameters=count,
        seconds=perf_counter() - start,
        resumed_from=0 if saved is None else saved["trainer"]["epoch"],
    )


def _run(
    trainer: Trainer, saved: dict[str, Any] | None, fixed: dict[str, Any], run_dir: Path, progress: Progress | None
) -> dict[str, Any]:
    """Train the epochs that are left; returns the content of the last checkpoint."""
    best: dict[str, Any] = {"epoch": 0, "val_accuracy": -1.0, "model": {}}
    state: dict[str, Any] = saved or {}
    if saved is not None:
        trainer.load_state_dict(saved["trainer"])
        best = saved["best"]
    _trim_metrics(run_dir / METRICS, trainer.epoch)
    while trainer.epoch < trainer.config.epochs:
        line = trainer.run_epoch(progress)
        if line["val_accuracy"] >= best["val_accuracy"]:
            weights = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
            best = {"epoch": trainer.epoch, "val_accuracy": line["val_accuracy"], "model": weights}
        state = {**fixed, "trainer": trainer.state_dict(), "best": best, "test_accuracy": None}
        # The line first: a kill between the two leaves a line too many, which resuming trims, and never one too few.
        _append(run_dir / METRICS, json.dumps(line) + "\n")
        store.save(run_dir / CHECKPOINT, state)
    return state


def _test(trainer: Trainer, best: dict[str, Any], data: Dataset) -> float:
    trainer.model.load_state_dict(best["model"])
    images = torch.from_numpy(data.test_images).to(trainer.device)
    return accuracy_on(trainer.model, images, torch.from_numpy(data.test_labels).to(trainer.device))


def load_model(path: Path) -> nn.Sequential:
    """The trained network of a checkpoint, best weights by validation, on the CPU and in eval mode.

    Raises: FlipflowError E160, E161, E162 as `checkpoint.load`.
    """
    content = store.load(path)
    config = ModelConfig.model_validate(content["config"]["model"])
    channels, height, width = content["input_shape"]
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, (channels, height, width), len(content["classes"]))
    model.load_state_dict(content["best"]["model"])
    return model.eval()


def _device(config: TrainConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise FlipflowError("E172", "torch sees no CUDA device.", "train.device", "Take 'cpu' or 'auto'.")
    return torch.device(config.device)


@contextmanager
def _settings(config: TrainConfig) -> Iterator[None]:
    """Threads, generator and cuDNN mode of the training, put back afterwards."""
    threads = torch.get_num_threads()
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        torch.set_num_threads(threads)


def _data_digest(data: Dataset) -> str:
    state = hashlib.sha256()
    for images, labels in (
        (data.train_images, data.train_labels),
        (data.val_images, data.val_labels),
        (data.test_images, data.test_labels),
    ):
        state.update(repr(images.shape).encode())
        state.update(images.tobytes())
        state.update(labels.tobytes())
    return state.hexdigest()


def _refuse_other_config(path: Path, saved: dict[str, Any], sections: Mapping[str, BaseModel]) -> None:
    """Raise E163 naming the keys that differ. Where the data lie does not matter: their content is compared instead."""
    new = {name: section.model_dump(mode="json") for name, section in sections.items()}
    old = {name: _with_defaults(type(section), saved.get(name, {})) for name, section in sections.items()}
    changed = [
        f"{name}.{key} is {new[name].get(key)!r} and was {old[name].get(key)!r}"
        for name in new
        for key in sorted(new[name].keys() | old[name].keys())
        if (name, key) != ("data", "path") and new[name].get(key) != old[name].get(key)
    ]
    if changed:
        raise FlipflowError(
            "E163",
            f"the checkpoint belongs to another configuration: {'; '.join(changed)}.",
            str(path),
            "Set these back, take another folder (--out), or start anew (--fresh).",
        )


def _with_defaults(kind: type[BaseModel], saved: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's section of a configuration; keys that came after it was written have their defaults.

    Keys that are gone stay, and so do values that are no longer allowed: both differ from any new section.
    """
    known = {key: value for key, value in saved.items() if key in kind.model_fields}
    try:
        return kind.model_validate(known).model_dump(mode="json") | saved
    except ValidationError:
        return saved


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(line)
    except OSError as error:
        raise store.write_error(path, error) from error


def _trim_metrics(path: Path, epochs: int) -> None:
    """Keep the lines of the first `epochs` epochs, each once; a line cut short by a kill goes too."""
    if not path.is_file():
        return
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            epoch = json.loads(line)["epoch"]
        except (ValueError, KeyError, TypeError):
            continue
        if epoch == len(kept) + 1 and epoch <= epochs:
            kept.append(line)
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise store.write_error(path, error) from error
