"""The training stage: from configuration to checkpoint.pt and metrics.jsonl, resumable at every epoch."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from flipflow.config import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train import logs
from flipflow.train.data import Dataset, load_dataset
from flipflow.train.data.files import FileImages
from flipflow.train.distributed import Processes, current
from flipflow.train.evaluate import accuracy_on
from flipflow.train.models import build_model
from flipflow.train.progress import Progress
from flipflow.train.trainer import Trainer

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
    any point costs at most the epoch under way. Sets torch's thread count while it runs. In a process group (see
    flipflow.train.distributed) all processes train together and process 0 writes; their number may change from call to call.
    Raises: FlipflowError E101 (sections that contradict each other), E150 to E156 (data), E160 to E165 (checkpoint), E170
    (non-finite), E171 (network), E172, E175 (device, processes), E173 (memory), E174 (teacher, first weights), E176
    (TensorBoard).
    """
    start = perf_counter()
    processes = current()
    path = run_dir / CHECKPOINT
    sections = {"model": config_model, "data": config_data, "train": config_train, "ovsw": config_ovsw}
    saved = _open(run_dir, sections, processes)
    data = load_dataset(config_data)
    fixed = _fixed(_dump(sections), data, config_train.teacher)
    if saved is not None:
        _refuse_other_files(path, saved, fixed, data.name)
    init = config_train.init if saved is None else None
    with _settings(config_train):
        trainer = Trainer(config_model, config_train, config_ovsw, data, _device(config_train), processes, init)
        state = _run(trainer, saved, fixed, run_dir, progress)
        if state["test_accuracy"] is None:
            state["test_accuracy"] = _test(trainer, state["best"], data)
            if processes.first:
                store.save(path, state)
    return _result(trainer, state, path, 0 if saved is None else saved["trainer"]["epoch"], perf_counter() - start)


def _result(trainer: Trainer, state: dict[str, Any], path: Path, resumed_from: int, seconds: float) -> TrainResult:
    best = state["best"]
    return TrainResult(
        checkpoint=path,
        epochs=trainer.epoch,
        best_epoch=best["epoch"],
        val_accuracy=best["val_accuracy"],
        test_accuracy=state["test_accuracy"],
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        seconds=seconds,
        resumed_from=resumed_from,
    )


def _fixed(config: dict[str, Any], data: Dataset, teacher: Path | None) -> dict[str, Any]:
    """What of a checkpoint stays the same from epoch to epoch."""
    return {
        "config": config,
        "input_shape": list(data.input_shape),
        "classes": list(data.classes),
        "data_name": data.name,
        "data_sha256": _data_digest(data),
        "teacher_sha256": _file_digest(teacher),
    }


def _dump(sections: Mapping[str, BaseModel]) -> dict[str, Any]:
    return {name: section.model_dump(mode="json") for name, section in sections.items()}


def _open(run_dir: Path, sections: Mapping[str, BaseModel], processes: Processes) -> dict[str, Any] | None:
    """The checkpoint to go on from, in every process, or None; makes the run's folder."""
    saved = None
    path = run_dir / CHECKPOINT
    if processes.first:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store.write_error(run_dir, error) from error
        saved = store.load(path) if path.exists() else None
    saved = processes.from_first(saved)
    if saved is not None:
        _refuse_other_config(path, _completed(saved["config"], sections), _dump(sections))
    return saved


def _run(
    trainer: Trainer, saved: dict[str, Any] | None, fixed: dict[str, Any], run_dir: Path, progress: Progress | None
) -> dict[str, Any]:
    """Train the epochs that are left; returns the content of the last checkpoint."""
    best: dict[str, Any] = {"epoch": 0, "val_accuracy": -1.0, "model": {}}
    state: dict[str, Any] = saved or {}
    if saved is not None:
        trainer.load_state_dict(saved["trainer"])
        best = saved["best"]
    first = trainer.processes.first
    board = None
    if first:
        logs.trim(run_dir / METRICS, trainer.epoch)
        if trainer.config.tensorboard:
            board = logs.TensorBoard(run_dir / logs.TENSORBOARD, trainer.epoch)
    while trainer.epoch < trainer.config.epochs:
        line = trainer.run_epoch(progress if first else None)
        if line["val_accuracy"] >= best["val_accuracy"]:
            with trainer.evaluated():
                weights = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
            best = {"epoch": trainer.epoch, "val_accuracy": line["val_accuracy"], "model": weights}
        state = {**fixed, "trainer": trainer.state_dict(), "best": best, "test_accuracy": None}
        if first:
            # The line first: a kill between the two leaves a line too many, which resuming trims, and never one too few.
            logs.append(run_dir / METRICS, line)
            store.save(run_dir / CHECKPOINT, state)
        if board is not None:
            board.add(line)
    if board is not None:
        board.close()
    return state


def _test(trainer: Trainer, best: dict[str, Any], data: Dataset) -> float:
    trainer.model.load_state_dict(best["model"])
    images = torch.from_numpy(data.test_images).to(trainer.device)
    labels = torch.from_numpy(data.test_labels).to(trainer.device)
    return accuracy_on(trainer.model, images, labels, trainer.processes)


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
        exact = config.deterministic
        with (
            torch.random.fork_rng(),
            torch.backends.cudnn.flags(enabled=True, benchmark=not exact, deterministic=exact),
        ):
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
        state.update(images.digest() if isinstance(images, FileImages) else images.tobytes())
        state.update(labels.tobytes())
    return state.hexdigest()


def _file_digest(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return None
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _refuse_other_files(path: Path, saved: dict[str, Any], fixed: dict[str, Any], name: str) -> None:
    """Raise E164 where the data or the teacher changed under a run."""
    if saved["data_sha256"] != fixed["data_sha256"]:
        what = f"the data set {name} is not the one that this run was started on."
        raise FlipflowError("E164", what, str(path), "Put the old data back, or train in another folder.")
    if saved.get("teacher_sha256") != fixed["teacher_sha256"]:
        what = "the teacher is missing, or not the one that this run was started with."
        raise FlipflowError("E164", what, str(path), "Put the old checkpoint back, or train in another folder.")


def _completed(saved: dict[str, Any], sections: Mapping[str, BaseModel]) -> dict[str, Any]:
    """A checkpoint's configuration; keys that came after it was written have their defaults.

    Keys that are gone stay, and so do values that are no longer allowed: both differ from any new section.
    """
    return {name: _with_defaults(type(section), saved.get(name, {})) for name, section in sections.items()}


def _with_defaults(kind: type[BaseModel], saved: dict[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in saved.items() if key in kind.model_fields}
    try:
        return kind.model_validate(known).model_dump(mode="json") | saved
    except ValidationError:
        return saved


def _refuse_other_config(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise E163 naming the keys that differ. Where the data lie does not matter: their content is compared instead."""
    changed = [
        f"{section}.{key} is {new[section].get(key)!r} and was {old.get(section, {}).get(key)!r}"
        for section in new
        for key in sorted(new[section].keys() | old.get(section, {}).keys())
        if (section, key) != ("data", "path") and new[section].get(key) != old.get(section, {}).get(key)
    ]
    if changed:
        raise FlipflowError(
            "E163",
            f"the checkpoint belongs to another configuration: {'; '.join(changed)}.",
            str(path),
            "Set these back, take another folder (--out), or start anew (--fresh).",
        )
