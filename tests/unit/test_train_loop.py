"""The loop: repeatable, resumable to the same bits, and clear about what went wrong."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flipflow.config.training import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train import checkpoint as store
from flipflow.train.augment import crop, flip
from flipflow.train.data import load_dataset
from flipflow.train.loop import TrainResult, load_model, train
from flipflow.train.progress import ProgressEvent
from flipflow.train.trainer import Trainer, learning_rate_factor

MODEL = ModelConfig(network="cnn", layers=({"channels": 4, "pool": 2}, {"channels": 6}, {"channels": 4}))
DATA = DataConfig(limit=240, validation=0.2)
TRAIN = TrainConfig(epochs=4, batch_size=24, augment=("flip", "crop"), crop_pad=1, threads=1)
OVSW = OvswConfig(gamma=9e-3)
Watch = Callable[[ProgressEvent], None]


def run(folder: Path, watch: Watch | None = None, **changes: Any) -> TrainResult:
    return train(MODEL, DATA, TRAIN.model_copy(update=changes), OVSW, folder, watch)


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


def test_divergence_names_the_layer(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E170") as caught:
        # A last layer pushed to infinity: its fixed-point weights stay clipped, so only the latent ones tell.
        train(MODEL, DATA, TRAIN.model_copy(update={"lr": 100.0, "weight_decay": 0.99}), OVSW, tmp_path)
    assert caught.value.where.startswith("layer ")
    assert "E170" in str(caught.value)


def test_batch_larger_than_the_data(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E155"):
        run(tmp_path, batch_size=193)


def test_missing_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FlipflowError, match="E172"):
        run(tmp_path, device="cuda")


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


def test_schedule_by_hand() -> None:
    config = TrainConfig(epochs=3, warmup_epochs=1)
    # 4 steps an epoch: warm-up 1/4, 2/4, 3/4, 1, then 8 steps of half a cosine from 1 (0.5 in its middle).
    factors = [learning_rate_factor(config, step, 4) for step in range(12)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[8] == pytest.approx(0.5)
    assert factors == [*factors[:4], *sorted(factors[4:], reverse=True)]
    linear = TrainConfig(epochs=3, warmup_epochs=1, schedule="linear")
    assert learning_rate_factor(linear, 6, 4) == 0.75


def test_augmentation_moves_whole_images() -> None:
    images = torch.arange(1, 13, dtype=torch.uint8).view(1, 1, 3, 4).repeat(64, 2, 1, 1)
    generator = torch.Generator().manual_seed(0)
    flipped = flip(images, generator)
    kinds = {tuple(image.flatten().tolist()) for image in flipped}
    assert kinds == {tuple(images[0].flatten().tolist()), tuple(images[0].flip(2).flatten().tolist())}
    shifted = crop(images, 1, generator)
    assert shifted.shape == images.shape
    padded = torch.nn.functional.pad(images[0], (1, 1, 1, 1))
    windows = {tuple(padded[:, y : y + 3, x : x + 4].flatten().tolist()) for y in range(3) for x in range(3)}
    assert {tuple(image.flatten().tolist()) for image in shifted} == windows
