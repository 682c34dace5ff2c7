"""The training sections of the configuration: defaults, refusals, and the files in configs/."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from flipflow.config.model import ModelConfig
from flipflow.config.training import DataConfig, OvswConfig, TrainConfig

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (ModelConfig, {"network": "cnn"}, "needs `layers`"),
        (ModelConfig, {"network": "mlp"}, "needs `hidden`"),
        (ModelConfig, {"network": "tfc", "layers": [{"channels": 3}]}, "has no convolutions"),
        (ModelConfig, {"network": "mlp", "hidden": [64, 0]}, "1..65536"),
        (ModelConfig, {"network": "cnn", "layers": [{"channels": 3, "kernel": 4}]}, "even kernel"),
        (ModelConfig, {"network": "digits-cnn", "padding": "minus_one", "activation_bits": 2}, "activation_bits is 2"),
        (ModelConfig, {"network": "tfc", "first_weight_bits": 9}, "first_weight_bits"),
        (ModelConfig, {"network": "tfc", "colour": 1}, "colour"),
        (ModelConfig, {"network": "resnet"}, "network"),
        (DataConfig, {"dataset": "cifar10"}, "needs `path`"),
        (DataConfig, {"validation": 0.0}, "validation"),
        (DataConfig, {"image_size": [8, 8]}, "for dataset 'folder' only"),
        (DataConfig, {"dataset": "folder", "path": "x", "image_size": [0, 8]}, "must be positive"),
        (TrainConfig, {"epochs": 0}, "epochs"),
        (TrainConfig, {"lr": -0.1}, "lr"),
        (TrainConfig, {"epochs": 3, "warmup_epochs": 5}, "must be smaller"),
        (TrainConfig, {"augment": ["flip", "flip"]}, "twice"),
        (TrainConfig, {"amp": "fp16"}, "device = 'cuda'"),
        (TrainConfig, {"schedule": "cosine-epoch", "warmup_epochs": 1.5}, "whole warmup_epochs"),
        (TrainConfig, {"crop_scale": [0.5, 0.1]}, "must rise"),
        (TrainConfig, {"teacher": "t.pt", "label_smoothing": 0.1}, "no effect with a teacher"),
        (TrainConfig, {"ema": 1.0}, "ema"),
        (DataConfig, {"classes": 1}, "classes"),
        (DataConfig, {"resident": False}, "for dataset 'folder' only"),
        (DataConfig, {"dataset": "folder", "path": "x", "resident": False}, "need `image_size`"),
        (OvswConfig, {"momentum": 1.0}, "momentum"),
        (OvswConfig, {"preset": "paper"}, "preset"),
        (OvswConfig, {"gamma": "big"}, 'or "auto"'),
        (OvswConfig, {"gamma": -1.0}, r"0\.\.1000"),
        (OvswConfig, {"gamma": True}, r"0\.\.1000"),
        (OvswConfig, {"lambda": 0.1}, "lambda"),
    ],
)
def test_impossible_values_are_refused(section: type[BaseModel], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        section.model_validate(values)


def test_keys_override_a_named_network() -> None:
    config = ModelConfig.model_validate({"network": "cnv", "padding": "zero", "hidden": [64]})
    assert config.padding == "zero"
    assert config.hidden == (64,)
    assert [layer.channels for layer in config.layers] == [64, 64, 128, 128, 256, 256]


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_shipped_configurations_read_back_as_themselves(path: Path) -> None:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    sections: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "data": DataConfig,
        "train": TrainConfig,
        "ovsw": OvswConfig,
    }
    for name, section in sections.items():
        config = section.model_validate(raw.get(name, {}))
        assert section.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("off", (False, False, 0.04, 9e-4)),
        ("paper-cifar", (True, True, 0.04, 9e-4)),
        ("paper-imagenet", (True, True, 0.02, 2e-5)),
        ("released-imagenet", (True, True, 0.01, 2e-5)),
    ],
)
def test_presets_hold_the_published_values(preset: str, values: tuple[bool, bool, float, float]) -> None:
    config = OvswConfig.model_validate({"preset": preset})
    assert (config.ags, config.sad, config.lambda_, config.gamma) == values
    assert (config.sigma, config.momentum) == (1e-4, 0.999)
    changed = OvswConfig.model_validate({"preset": preset, "ags": True, "gamma": 0.5})
    assert (changed.ags, changed.lambda_, changed.gamma) == (True, values[2], 0.5)
    assert OvswConfig.model_validate(changed.model_dump(mode="json")) == changed
