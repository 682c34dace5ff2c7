"""Plain twins compute the same, the step benchmark notices where they do not, and compiled steps stay compiled."""

import argparse
import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch._dynamo.testing import CompileCounter

from flipflow.config import ModelConfig, TrainConfig
from flipflow.config.model import ActivationNorm, Estimator, WeightEstimator, Weights
from flipflow.train import bench_step, methods
from flipflow.train import layers as L
from flipflow.train.models import build_model
from flipflow.train.plain import plain_twin

ROOT = Path(__file__).resolve().parents[2]
NAMES = [name for name in get_args(Weights) if name != "float"]


def digits_model(weights: str, deployable: bool) -> nn.Module:
    torch.manual_seed(0)
    document = {"network": "digits-cnn", "weights": weights, "deployable": deployable}
    return build_model(ModelConfig.model_validate(document), (1, 8, 8), 10)


@pytest.mark.parametrize("weights", NAMES)
@pytest.mark.parametrize("deployable", [True, False])
def test_the_plain_twin_computes_the_same_without_brevitas(weights: str, deployable: bool) -> None:
    model = digits_model(weights, deployable)
    methods.begin_epoch(model, 1, 3)
    twin = plain_twin(model)
    assert not [name for name, part in twin.named_modules() if type(part).__module__.startswith("brevitas.nn")]
    assert all(ours is not plain for ours, plain in zip(model.parameters(), twin.parameters(), strict=True))
    images = torch.randint(0, 256, (6, 1, 8, 8)).float()
    for each in (model, twin):
        nn.functional.cross_entropy(each(images), torch.arange(6)).backward()
    assert torch.equal(model(images), twin(images))
    for ours, plain in zip(model.parameters(), twin.parameters(), strict=True):
        assert ours.grad is not None and plain.grad is not None
        assert torch.equal(ours.grad, plain.grad)


def test_the_benchmark_prints_what_it_measured() -> None:
    command = [
        sys.executable,
        "-m",
        "flipflow.train.bench_step",
        "--network",
        "digits-cnn",
        "--batch",
        "8",
        "--steps",
        "1",
    ]
    result = json.loads(subprocess.run([*command, "--threads", "1"], capture_output=True, text=True, check=True).stdout)
    layers, hook = result["layers"], result["hook"]
    assert layers["ratio"] == pytest.approx(layers["seconds"] / layers["plain_seconds"])
    assert hook["share"] == pytest.approx(hook["seconds"] / hook["step_seconds"])
    assert (result["network"], result["batch"], result["device"]) == ("digits-cnn", 8, "cpu, 1 threads")


def test_one_part_of_the_benchmark_alone() -> None:
    keys = {"network": "digits-cnn", "weights": "recu", "paper": True, "batch": 4, "steps": 1}
    options = argparse.Namespace(**keys, device="cpu", threads=0, only="layers")
    assert set(bench_step.measure(options)) >= {"layers"} and "hook" not in bench_step.measure(options)


def test_a_twin_that_computes_something_else_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_estimator(_: nn.Module) -> nn.Module:
        config = ModelConfig.model_validate({"network": "digits-cnn", "estimator": "clipped_identity"})
        torch.manual_seed(0)
        return build_model(config, (1, 8, 8), 10)

    monkeypatch.setattr(bench_step, "plain_twin", other_estimator)
    images = torch.randint(0, 256, (6, 1, 8, 8)).float()
    with pytest.raises(RuntimeError, match="does not compute the same"):
        bench_step.measure_layers(digits_model("vanilla", True), TrainConfig(), images, torch.arange(6), 1)


@pytest.mark.parametrize("weights", ["irnet", "rbnn"])
def test_schedules_do_not_compile_anew(weights: str) -> None:
    torch.compiler.reset()
    model, counter = digits_model(weights, False), CompileCounter()
    compiled = torch.compile(model, backend=counter)
    images = torch.randint(0, 256, (6, 1, 8, 8)).float()
    for epoch in range(3):
        methods.begin_epoch(model, epoch, 3)
        compiled(images).sum().backward()
    assert counter.frame_count == 1


def test_every_combination_that_the_configuration_takes_trains() -> None:
    taken, refused = 0, 0
    base = {"network": "mlp", "hidden": [4]}
    by_weights = product(get_args(Weights), [True, False], get_args(WeightEstimator))
    by_activations = product(get_args(Estimator), [True, False], get_args(ActivationNorm))
    documents = [
        *({**base, "weights": w, "deployable": d, "weight_estimator": e} for w, d, e in by_weights),
        *({**base, "estimator": e, "deployable": d, "activation_norm": n} for e, d, n in by_activations),
    ]
    x = torch.randn(4, 6)
    for document in documents:
        try:
            config = ModelConfig.model_validate(document)
        except ValidationError:
            refused += 1
            continue
        layer = L.linear(6, 3, 1, config)
        model = nn.Sequential(L.activation(1, config), layer, L.scale(layer, config))
        methods.begin_epoch(model, 0, 1)
        model(x).square().sum().backward()
        grads = [parameter.grad for parameter in model.parameters()]
        assert all(grad is not None and torch.isfinite(grad).all() for grad in grads), document
        taken += 1
    # Refused: float (5), mean-std (6), adabin (4, one of them with mean-std) that deploy; adabin with a norm elsewhere (3).
    assert refused == 5 + 6 + 4 - 1 + 3
    assert taken == len(documents) - refused


def test_every_name_has_its_row_in_the_docs() -> None:
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    wanted = [*get_args(Weights), *get_args(Estimator), *get_args(ActivationNorm)]
    assert sorted(rows) == sorted(["weights", *wanted])  # the first is a head of a table
