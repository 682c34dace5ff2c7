"""What test_train_distributed trains. As a program: saves what it comes to as OUT/<rank>of<size>.pt."""

import sys
from pathlib import Path
from typing import Any

import torch

from flipflow.config import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.train.data import load_dataset
from flipflow.train.distributed import current, joined
from flipflow.train.trainer import Trainer

MODEL = ModelConfig(network="cnn", layers=({"channels": 4, "pool": 2}, {"channels": 6}, {"channels": 4}))
TRAIN = TrainConfig(
    epochs=3,
    batch_size=24,
    accumulate=2,
    lr=0.2,
    warmup_epochs=0,
    augment=("flip",),
    clip_norm=2.0,
    ema=0.9,
    channels_last=True,
)
OVSW = OvswConfig(gamma=9e-3, sigma=5e-4)


def result() -> dict[str, Any]:
    """Train the fixed configuration for an epoch in the processes there are: state and line of metrics."""
    data = load_dataset(DataConfig(limit=240, validation=0.2))
    trainer = Trainer(MODEL, TRAIN, OVSW, data, torch.device("cpu"), current())
    line = trainer.run_epoch(None)
    del line["seconds"], line["hook_share"]
    return {"state": trainer.state_dict(), "line": line}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu") as processes:
        torch.save(result(), Path(sys.argv[1]) / f"{processes.rank}of{processes.size}.pt")
