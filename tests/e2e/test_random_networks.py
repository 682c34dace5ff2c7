"""Random networks give the same integers at every level that needs no simulator."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from flipflow.config import ModelConfig
from flipflow.export.host import CanonicalModel
from flipflow.export.torch_export import export_module
from flipflow.train.models import build_model
from tests.e2e.levels import check_levels
from tests.networks import NetPlan, images_for, net_plans, write_network

RELAXED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True
)


def _check(plan: NetPlan, folder: Path) -> None:
    check_levels(write_network(plan), images_for(plan, 3), folder)


@settings(RELAXED, max_examples=90)
@given(plan=net_plans())
def test_random_files(plan: NetPlan, tmp_path: Path) -> None:
    _check(plan, tmp_path)


@settings(RELAXED, max_examples=80)
@given(plan=net_plans(max_convolutions=1, max_hidden=2))
def test_random_shallow_files(plan: NetPlan, tmp_path: Path) -> None:
    _check(plan, tmp_path)


@pytest.mark.slow
@settings(RELAXED, max_examples=2000)
@given(plan=net_plans())
def test_many_random_files(plan: NetPlan, tmp_path: Path) -> None:
    _check(plan, tmp_path)


@st.composite
def model_configs(draw: st.DrawFn) -> ModelConfig:
    """Our own networks in all kinds that the configuration offers."""
    padding = draw(st.sampled_from(["none", "zero", "minus_one", "plus_one"]))
    bits = draw(st.sampled_from([1, 1, 2])) if padding in ("none", "zero") else 1
    layers = [
        {"channels": draw(st.integers(1, 9)), "kernel": 3, "pool": draw(st.sampled_from([1, 2])) if index == 0 else 1}
        for index in range(draw(st.integers(0, 2)))
    ]
    return ModelConfig.model_validate(
        {
            "network": "cnn" if layers else "mlp",
            "layers": layers,
            "hidden": draw(st.lists(st.integers(1, 12), min_size=0 if layers else 1, max_size=2)),
            "padding": padding,
            "order": draw(st.sampled_from(["conv-bn-sign-pool", "conv-bn-pool-sign", "conv-pool-bn-sign"])),
            "first_weight_bits": draw(st.sampled_from([1, 2, 4])),
            "last_weight_bits": draw(st.sampled_from([1, 8])),
            "activation_bits": bits,
        }
    )


def randomize(module: nn.Module, generator: torch.Generator) -> None:
    """Batch norms of both signs, some of gamma 0, some whose thresholds fall on a reachable sum exactly."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            count = part.weight.numel()
            part.weight.data = torch.randn(count, generator=generator)
            part.bias.data = torch.randn(count, generator=generator) * torch.randint(
                0, 2, (count,), generator=generator
            )
            part.running_mean = torch.randint(-4, 5, (count,), generator=generator).float()
            part.running_var = torch.rand(count, generator=generator) * 50
            part.weight.data[0] = 0.0


@settings(RELAXED, max_examples=30)
@given(config=model_configs(), seed=st.integers(0, 2**31 - 1))
def test_random_torch_networks(config: ModelConfig, seed: int, tmp_path: Path) -> None:
    """The trained module, its file, the integer net and FINN's graph agree."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build_model(config, (1, 10, 9), 5).eval()
    randomize(module, torch.Generator().manual_seed(seed))
    exported = export_module(module, (1, 10, 9))
    images = np.random.default_rng(seed).integers(0, 256, (3, 1, 10, 9)).astype(np.float32)
    with torch.no_grad():
        outputs = module(torch.from_numpy(images)).numpy()
    check_levels(exported.model, images, tmp_path)
    loaded = CanonicalModel.load(tmp_path / "canonical.onnx")
    np.testing.assert_array_equal(loaded.outputs(images), outputs)
