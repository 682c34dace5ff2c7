"""What goes wrong in training, and what is said about it."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from flipflow.config import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import Exit, FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train.data import load_dataset
from flipflow.train.loop import train
from flipflow.train.memory import is_out_of_memory
from flipflow.train.trainer import Trainer

CNN = ModelConfig(network="cnn", layers=({"channels": 4, "pool": 2}, {"channels": 4}))
RESNET = ModelConfig(network="resnet", widths=(4, 8))
DATA = DataConfig(limit=240, validation=0.2)
TRAIN = TrainConfig(epochs=2, batch_size=24, threads=1)


def trainer(model: ModelConfig = CNN, **changes: Any) -> Trainer:
    with torch.random.fork_rng():
        config = TRAIN.model_copy(update=changes)
        return Trainer(model, config, OvswConfig(), load_dataset(DATA), torch.device("cpu"))


def poison(model: nn.Module, name: str) -> None:
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] = float("nan")


def test_divergence_names_a_layer(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E170") as caught:
        # Decay alone multiplies weights by -98 a step: quantized ones stay clipped, so only the latent ones tell.
        train(CNN, DATA, TRAIN.model_copy(update={"lr": 100.0, "weight_decay": 0.99}), OvswConfig(), tmp_path)
    assert caught.value.where in {"layer conv_0", "layer conv_1", "layer fc_2"}


def test_divergence_in_a_residual_unit_names_its_innermost_module() -> None:
    run = trainer(RESNET)
    unit = next(name for name, _ in run.model.named_modules() if name.endswith(".bn") and "." in name)
    later = [name for name, _ in run.model.named_modules() if name.endswith(".bn")][-1]
    assert later != unit
    poison(run.model, f"{later}.weight")
    poison(run.model, f"{unit}.weight")
    with pytest.raises(FlipflowError, match="E170") as caught:
        run.run_epoch(None)
    assert caught.value.where == f"layer {unit}"


def test_dead_latent_weight_is_found_behind_its_sign() -> None:
    run = trainer(RESNET)
    conv = next(name for name, module in run.model.named_modules() if name.endswith(".conv"))
    run.run_epoch(None)
    poison(run.model, f"{conv}.weight")
    with pytest.raises(FlipflowError, match=r"E170.*epoch 2") as caught:
        run.run_epoch(None)
    assert caught.value.where == f"layer {conv}"
    assert "checkpoint of epoch 1 still stands" in caught.value.what


def test_divergence_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer._step

    def broken(self: Trainer, indices: Tensor) -> tuple[float, int]:
        if self.epoch == 1:
            poison(self.model, "bn_0.weight")
        return step(self, indices)

    monkeypatch.setattr(Trainer, "_step", broken)
    with pytest.raises(FlipflowError, match="E170"):
        train(CNN, DATA, TRAIN, OvswConfig(), tmp_path)
    content = store.load(tmp_path / "checkpoint.pt")
    assert content["trainer"]["epoch"] == 1
    assert all(torch.isfinite(tensor).all() for tensor in content["trainer"]["model"].values())


def out_of_memory_beyond(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose memory holds the forward pass of `limit` images."""
    forward = nn.Sequential.forward

    def small(self: nn.Sequential, x: Tensor) -> Tensor:
        if len(x) > limit and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x)

    monkeypatch.setattr(nn.Sequential, "forward", small)


def test_out_of_memory_names_a_batch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(accumulate=2)
    out_of_memory_beyond(7, monkeypatch)
    with pytest.raises(FlipflowError, match="E173") as caught:
        run.run_epoch(None)
    assert "train.batch_size = 6 with train.accumulate = 8" in caught.value.fix  # 24 x 2 = 6 x 8
    assert all(parameter.grad is None for parameter in run.model.parameters())


def test_out_of_memory_for_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer()
    out_of_memory_beyond(1, monkeypatch)
    with pytest.raises(FlipflowError, match=r"E173.*neither does one of 2"):
        run.run_epoch(None)


def test_the_allocators_own_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_classes_that_are_not_there() -> None:
    with pytest.raises(FlipflowError, match=r"E156.*10 classes.*not 100"):
        load_dataset(DATA.model_copy(update={"classes": 100}))
    assert len(load_dataset(DATA.model_copy(update={"classes": 10})).classes) == 10


def test_auto_gamma_needs_sgd(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match=r"E101.*ovsw\.gamma"):
        train(CNN, DATA, TRAIN.model_copy(update={"optimizer": "adam"}), OvswConfig(gamma="auto"), tmp_path)


def test_tensorboard_logs_every_epoch_once(tmp_path: Path) -> None:
    result = train(CNN, DATA, TRAIN.model_copy(update={"tensorboard": True}), OvswConfig(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = events.Scalars("val_accuracy")
    assert [point.step for point in points] == [1, 2]
    assert max(point.value for point in points) == pytest.approx(result.val_accuracy)
    assert {"loss", "lr", "flip_ratio/conv_1", "never_flipped/conv_1"} <= set(events.Tags()["scalars"])


def test_missing_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(FlipflowError, match="E176") as caught:
        train(CNN, DATA, TRAIN.model_copy(update={"tensorboard": True}), OvswConfig(), tmp_path)
    assert caught.value.exit_code is Exit.TOOL_MISSING


def test_checkpoint_from_before_a_key_existed_is_resumed(tmp_path: Path) -> None:
    result = train(CNN, DATA, TRAIN, OvswConfig(), tmp_path)
    content = store.load(result.checkpoint)
    del content["config"]["train"]["ema"]
    store.save(result.checkpoint, content)
    assert train(CNN, DATA, TRAIN, OvswConfig(), tmp_path).resumed_from == 2
    with pytest.raises(FlipflowError, match=r"E163.*train\.ema is 0\.5 and was 0\.0"):
        train(CNN, DATA, TRAIN.model_copy(update={"ema": 0.5}), OvswConfig(), tmp_path)
