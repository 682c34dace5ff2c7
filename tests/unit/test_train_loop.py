"""The loop: repeatable, resumable to the same bits, and clear about what went wrong."""

import io
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flipflow.config.model import ModelConfig
from flipflow.config.training import DataConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train.data import load_dataset
from flipflow.train.layers import PixelNorm
from flipflow.train.loop import TrainResult, load_model, train
from flipflow.train.progress import ProgressEvent
from flipflow.train.trainer import Trainer

MODEL = ModelConfig(network="cnn", layers=({"channels": 4, "pool": 2}, {"channels": 6}, {"channels": 4}))
DATA = DataConfig(limit=240, validation=0.2)
TRAIN = TrainConfig(epochs=4, batch_size=24, augment=("flip", "crop"), crop_pad=1, threads=1)
OVSW = OvswConfig(gamma=9e-3)
Watch = Callable[[ProgressEvent], None]


def run(folder: Path, watch: Watch | None = None, **changes: Any) -> TrainResult:
    """Train with these keys of [model], [train] and [ovsw] changed."""
    of_model = {key: changes.pop(key) for key in list(changes) if key in ModelConfig.model_fields}
    of_ovsw = {key: value for key, value in changes.items() if key in OvswConfig.model_fields and key != "momentum"}
    of_train = {key: value for key, value in changes.items() if key not in of_ovsw}
    ovsw, config = OVSW.model_copy(update=of_ovsw), TRAIN.model_copy(update=of_train)
    return train(MODEL.model_copy(update=of_model), DATA, config, ovsw, folder, watch)


def interrupt_in(epoch: int, step: int) -> Watch:
    """Ctrl-C after this step of the epoch with this many epochs done."""

    def watch(event: ProgressEvent) -> None:
        if (event.epoch, event.step) == (epoch, step):
            raise KeyboardInterrupt

    return watch


def lines(folder: Path) -> list[dict[str, Any]]:
    """Metrics without what a clock measured."""
    content = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "hook_share")} for line in content]


def bits(value: Any) -> Any:
    """Nested content with every tensor as its type, shape and bytes, so that == compares bits (NaN equals NaN)."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list | tuple) else value


VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adam-bf16-accumulated-clipped": {
        "optimizer": "adam",
        "lr": 0.01,
        "amp": "bf16",
        "accumulate": 2,
        "clip_norm": 1.0,
    },
    "lars-ema-channels-last": {
        "optimizer": "lars",
        "lr": 10.0,
        "ema": 0.9,
        "channels_last": True,
        "schedule": "cosine-epoch",
        "augment": ("resized-crop",),
    },
    "rotated": {"weights": "rbnn", "weight_estimator": "rbnn", "estimator": "rbnn"},  # learned and accumulated state
    "adamw-on-the-update": {"optimizer": "adamw", "lr": 0.01, "ags_target": "update", "gamma": "auto"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_resume_is_bit_equal(tmp_path: Path, variant: str) -> None:
    changes = VARIANTS[variant]
    whole = run(tmp_path / "whole", **changes)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", interrupt_in(epoch=2, step=2), **changes)
    assert len(lines(tmp_path / "parts")) == 2
    # What a kill between the line of metrics and its checkpoint, and one while writing, leave behind.
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as handle:
        handle.write('{"epoch": 3, "loss": 0}\n{"epoch": 4, "lo')
    (tmp_path / "parts" / "checkpoint.tmp").write_bytes(b"half")
    parts = run(tmp_path / "parts", **changes)
    assert parts.resumed_from == 2
    contents = [store.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts")]
    for key in contents[0]:
        assert bits(contents[0][key]) == bits(contents[1][key]), key
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")
    assert (whole.test_accuracy, whole.best_epoch) == (parts.test_accuracy, parts.best_epoch)


def test_seeds_repeat_and_differ(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    run(tmp_path / "a", epochs=2)
    assert torch.equal(torch.get_rng_state(), before)  # the caller's generator is left alone
    torch.manual_seed(2)
    run(tmp_path / "b", epochs=2)
    run(tmp_path / "c", epochs=2, seed=1)
    a, b, c = (bits(store.load(tmp_path / name / "checkpoint.pt")["trainer"]) for name in "abc")
    assert a == b != c


def test_result_is_what_load_model_gives(tmp_path: Path) -> None:
    result = run(tmp_path)
    model = load_model(result.checkpoint)
    data = load_dataset(DATA)
    assert not model.training
    for images, labels, expected in (
        (data.val_images, data.val_labels, result.val_accuracy),
        (data.test_images, data.test_labels, result.test_accuracy),
    ):
        with torch.no_grad():
            classes = model(torch.from_numpy(images).float()).argmax(1).numpy()
        assert (classes == labels).mean() == expected
    metrics = lines(tmp_path)
    assert result.val_accuracy == max(line["val_accuracy"] for line in metrics)
    assert result.val_accuracy == metrics[result.best_epoch - 1]["val_accuracy"]
    assert set(metrics[0]["layers"]) == {"conv_1", "conv_2"}
    assert set(metrics[0]["layers"]["conv_1"]) == {"flip_ratio", "never_flipped", "ags_rate", "silent"}
    # A finished run is not trained again, and its test accuracy is not measured again.
    assert run(tmp_path).resumed_from == 4


def test_other_configuration_is_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path, epochs=2)
    with pytest.raises(FlipflowError, match="E163") as caught:
        run(tmp_path, epochs=2, lr=0.05)
    assert "train.lr is 0.05 and was 0.1" in caught.value.what


def test_keys_newer_than_the_checkpoint_have_their_defaults(tmp_path: Path) -> None:
    path = run(tmp_path, epochs=2).checkpoint
    content = store.load(path)
    for key in ("widths", "blocks", "stem", "residual_bits", "residual_fraction", "estimator"):
        del content["config"]["model"][key]
    del content["config"]["train"]["label_smoothing"]
    store.save(path, content)
    assert run(tmp_path, epochs=2).resumed_from == 2
    with pytest.raises(FlipflowError, match="E163") as caught:
        run(tmp_path, epochs=2, label_smoothing=0.1)
    assert caught.value.what.endswith("configuration: train.label_smoothing is 0.1 and was 0.0.")
    # A key that a later version dropped may have changed what was trained.
    content["config"]["train"]["mixup"] = 0.2
    store.save(path, content)
    with pytest.raises(FlipflowError, match="E163") as caught:
        run(tmp_path, epochs=2)
    assert caught.value.what.endswith("configuration: train.mixup is None and was 0.2.")


@pytest.mark.parametrize("damage", ["cut", "empty", "bit", "other"])
def test_damaged_checkpoint(tmp_path: Path, damage: str) -> None:
    path = run(tmp_path, epochs=2).checkpoint
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "cut": data[:middle],
            "empty": b"",
            "bit": data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :],
            "other": b"PK not a checkpoint",
        }[damage]
    )
    with pytest.raises(FlipflowError, match="E161") as caught:
        run(tmp_path, epochs=2)
    assert "checkpoint.prev.pt" in caught.value.fix
    store.previous(path).replace(path)
    assert run(tmp_path, epochs=2).epochs == 2


def test_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E160"):
        load_model(tmp_path / "checkpoint.pt")


def test_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    archive = io.BytesIO()
    torch.save({"format": "flipflow-checkpoint", "content": Path("x")}, archive)  # needs a global to unpickle
    path.write_bytes(store.sealed(archive.getvalue()))
    with pytest.raises(FlipflowError, match=r"E161.*no flipflow checkpoint"):
        store.load(path)


def test_every_byte_of_a_checkpoint_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    store.save(path, {"epoch": 1, "weights": torch.arange(3)})
    data = path.read_bytes()
    assert torch.load(path, weights_only=True)["content"]["epoch"] == 1  # it stays a file that torch reads
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        with pytest.raises(FlipflowError, match="E161"):
            store.load(path)


def test_unwritable_folder_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    store.save(path, {"epoch": 1})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(FlipflowError, match="E165") as caught:
        store.save(path, {"epoch": 2})
    assert "full" in caught.value.what
    assert store.load(path) == {"epoch": 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["checkpoint.pt"]


def test_batch_larger_than_the_data(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E155"):
        run(tmp_path, batch_size=193)


def test_missing_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FlipflowError, match="E172"):
        run(tmp_path, device="cuda")


def test_the_papers_form_normalises_with_the_training_images() -> None:
    model = ModelConfig(network="resnet", widths=(4,), deployable=False)
    data = load_dataset(DATA)
    with torch.random.fork_rng():
        trainer = Trainer(model, TRAIN, OVSW, data, torch.device("cpu"))
    norms = [module for module in trainer.model.modules() if isinstance(module, PixelNorm)]
    assert len(norms) == 1
    pixels = data.train_images.astype(np.float64)
    np.testing.assert_allclose(norms[0].mean.numpy(), pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(norms[0].std.numpy(), pixels.std((0, 2, 3)), rtol=1e-6)


def test_gradient_floor_comes_after_clipping() -> None:
    config = TRAIN.model_copy(update={"clip_norm": 1e-3, "lr": 1e-9, "weight_decay": 0.0})
    with torch.random.fork_rng():
        trainer = Trainer(MODEL, config, OvswConfig(sad=False), load_dataset(DATA), torch.device("cpu"))
        trainer.run_epoch(None)
    for name in ("conv_1", "conv_2"):
        weight = trainer.model.get_parameter(f"{name}.weight")
        assert weight.grad is not None
        # Clipped to 1e-3 in all, every channel lies below its floor of 0.04 |W_k|, to which AGS raises it.
        ratio = weight.grad.flatten(1).norm(dim=1) / weight.detach().flatten(1).norm(dim=1)
        torch.testing.assert_close(ratio, torch.full_like(ratio, 0.04), rtol=1e-4, atol=0.0)


def test_images_in_files_train_to_the_same_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, name, index in product(("train", "test"), ("cat", "dog", "eel"), range(20)):
        (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / part / name / f"{index:02}.png")
    config = DataConfig(dataset="folder", path=tmp_path, image_size=(8, 8), grey=True, validation=0.2)
    changed = TRAIN.model_copy(update={"epochs": 2, "batch_size": 8, "accumulate": 2})
    for resident in (True, False):
        data = config.model_copy(update={"resident": resident})
        train(MODEL, data, changed, OVSW, tmp_path / f"run{resident}")
    states = [bits(store.load(tmp_path / f"run{resident}" / "checkpoint.pt")["trainer"]) for resident in (True, False)]
    assert states[0] == states[1]
    # Other files under the same names are noticed without reading them.
    Image.new("L", (8, 8), 3).save(tmp_path / "train" / "cat" / "00.png")
    with pytest.raises(FlipflowError, match="E164"):
        train(MODEL, config.model_copy(update={"resident": False}), changed, OVSW, tmp_path / "runFalse")


@pytest.mark.slow
def test_compiled_training_is_the_same_training(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", epochs=2)
    torch._dynamo.utils.counters.clear()
    compiled = run(tmp_path / "compiled", epochs=2, compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1  # something was compiled
    assert not torch._dynamo.utils.counters["graph_break"]
    # Fused operations may round otherwise; on this network and machine they do not, and a few flipped answers would be no fault.
    assert abs(plain.val_accuracy - compiled.val_accuracy) <= 0.1
    names = [store.load(result.checkpoint)["best"]["model"].keys() for result in (plain, compiled)]
    assert names[0] == names[1]
