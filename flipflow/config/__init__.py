"""Configuration: one TOML file a network, checked key by key."""

from flipflow.config.deployment import (
    LEVELS,
    BenchConfig,
    ExportConfig,
    FoldConfig,
    LayerFold,
    LevelName,
    TargetConfig,
    VerifyConfig,
)
from flipflow.config.load import Config, load_config, save_config
from flipflow.config.model import ModelConfig
from flipflow.config.training import DataConfig, OvswConfig, TrainConfig

__all__ = [
    "LEVELS",
    "BenchConfig",
    "Config",
    "DataConfig",
    "ExportConfig",
    "FoldConfig",
    "LayerFold",
    "LevelName",
    "ModelConfig",
    "OvswConfig",
    "TargetConfig",
    "TrainConfig",
    "VerifyConfig",
    "load_config",
    "save_config",
]
