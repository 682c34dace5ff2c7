"""A teacher's logits instead of labels, and two-step training: float weights first, then binary ones from their checkpoint."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from flipflow.config import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train.data import load_dataset
from flipflow.train.loop import train
from flipflow.train.teacher import load_teacher, soft_cross_entropy
from flipflow.train.trainer import Trainer

LAYERS = ({"channels": 4, "pool": 2}, {"channels": 4})
CNN = ModelConfig(network="cnn", layers=LAYERS)
DATA = DataConfig(limit=240, validation=0.2)
TRAIN = TrainConfig(epochs=1, warmup_epochs=0, batch_size=24, threads=1)
OVSW = OvswConfig()


def teach(folder: Path, model: ModelConfig = CNN, **changes: Any) -> Path:
    return train(model, DATA, TRAIN.model_copy(update=changes), OVSW, folder).checkpoint


def test_soft_cross_entropy_by_hand() -> None:
    # Teacher 3/4, 1/4; student 1/2, 1/2: -(3/4 + 1/4) ln(1/2). Second image: student 9/10, 1/10.
    wanted = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])
    logits = torch.tensor([[5.0, 5.0], [math.log(9.0), 0.0]])
    second = -(0.75 * math.log(0.9) + 0.25 * math.log(0.1))
    assert float(soft_cross_entropy(logits, wanted)) == pytest.approx((math.log(2.0) + second) / 2)
    logits.requires_grad_(True)
    soft_cross_entropy(logits, wanted).backward()
    # d/dz = (softmax(z) - softmax(wanted)) / N.
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.125, 0.125], [0.075, -0.075]]))


def test_teacher_replaces_the_labels(tmp_path: Path) -> None:
    teacher = teach(tmp_path / "teacher", lr=0.05)
    data = load_dataset(DATA)
    config = TRAIN.model_copy(update={"teacher": teacher})
    with torch.random.fork_rng():
        run = Trainer(CNN, config, OVSW, data, torch.device("cpu"))
    images = run.pixels.take(torch.arange(24)).float()
    with torch.no_grad():
        wanted = soft_cross_entropy(
            run.model(images), load_teacher(teacher, (1, 8, 8), 10, torch.device("cpu"))(images)
        )
    run.labels = torch.zeros_like(run.labels)  # whatever they say
    loss, _ = run._step(torch.arange(24))
    assert loss == pytest.approx(float(wanted), rel=1e-5)
    assert run.teacher is not None and not run.teacher.training
    assert all(parameter.grad is None for parameter in run.teacher.parameters())
    assert not any(key.startswith("teacher") for key in run.state_dict()["model"])


def test_teacher_of_other_data_is_refused(tmp_path: Path) -> None:
    teacher = teach(tmp_path / "teacher")
    with pytest.raises(FlipflowError, match=r"E174.*10 classes.*of 9"):
        load_teacher(teacher, (1, 8, 8), 9, torch.device("cpu"))
    with pytest.raises(FlipflowError, match="E160"):
        teach(tmp_path / "student", teacher=tmp_path / "nowhere.pt")


def test_teacher_changed_under_a_run_is_refused(tmp_path: Path) -> None:
    teacher = teach(tmp_path / "teacher")
    teach(tmp_path / "student", teacher=teacher)
    teach(tmp_path / "other", seed=1).replace(teacher)
    with pytest.raises(FlipflowError, match=r"E164.*teacher"):
        teach(tmp_path / "student", teacher=teacher)


def test_start_takes_the_weights_and_resuming_does_not_need_them(tmp_path: Path) -> None:
    first = teach(tmp_path / "first")
    best = store.load(first)["best"]["model"]
    with torch.random.fork_rng():
        run = Trainer(CNN, TRAIN, OVSW, load_dataset(DATA), torch.device("cpu"), init=first)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, best[name]), name
    # OvSW's first signs are those of the weights that came in.
    for layer, state in run.hook.state_dict()["layers"].items():
        assert torch.equal(state["positive"], best[f"{layer}.weight"] >= 0)
    teach(tmp_path / "second", init=first)
    first.unlink()
    teach(tmp_path / "second", init=first)


def test_start_from_another_network_is_refused(tmp_path: Path) -> None:
    first = teach(tmp_path / "first")
    other = ModelConfig(network="cnn", layers=({"channels": 4, "pool": 2}, {"channels": 6}))
    with pytest.raises(FlipflowError, match=r"E174.*\(4,\).*\(6,\)"):
        teach(tmp_path / "second", other, init=first)
    longer = ModelConfig(network="cnn", layers=(*LAYERS, {"channels": 4}))
    with pytest.raises(FlipflowError, match=r"E174.*missing"):
        teach(tmp_path / "third", longer, init=first)


def test_two_steps(tmp_path: Path) -> None:
    step1 = ModelConfig(network="resnet", widths=(4, 8), deployable=False, weights="float")
    step2 = ModelConfig(network="resnet", widths=(4, 8), deployable=False)
    first = teach(tmp_path / "first", step1, optimizer="adam", lr=1e-2, weight_decay=1e-5, schedule="linear")
    changes = {"init": first, "teacher": first, "optimizer": "adam", "lr": 1e-9, "weight_decay": 0.0}
    second = teach(tmp_path / "second", step2, **changes)
    # A rate of nearly nothing: the signs are those of step 1's weights.
    before, after = (store.load(path)["best"]["model"] for path in (first, second))
    names = list(store.load(second)["trainer"]["ovsw"]["layers"])
    assert len(names) >= 4
    for name in names:
        weight = before[f"{name}.weight"]
        flipped = (weight >= 0) != (after[f"{name}.weight"] >= 0)
        assert int(flipped[weight.abs() > 1e-6].sum()) == 0
    assert store.load(first)["trainer"]["ovsw"]["layers"] == {}  # float weights have no signs to watch
