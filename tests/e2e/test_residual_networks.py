"""Residual networks give the same integers as torch, as a QONNX file and as an integer net."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flipflow.config import ModelConfig
from flipflow.export.check import examine
from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model, require_same_outputs
from flipflow.export.integer import lower
from flipflow.export.integer.net import Add, SumPool
from flipflow.export.torch_export import export_module
from flipflow.sim import reference
from flipflow.train.models import build_model
from flipflow.train.resnet import INPUT_SHAPES, random_network, randomize_norms
from tests.e2e.levels import qonnx_outputs
from tests.residual_networks import ResidualPlan, pixels_for, residual_plans, write_residual_network

RELAXED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True
)


def check_file_and_integers(plan: ResidualPlan, folder: Path) -> None:
    """QONNX's own execution of the file == the canonical file == the integer net, loaded again from its own files."""
    model, images = write_residual_network(plan), pixels_for(plan, 5)
    onnx.save(model, folder / "net.onnx")
    source = read_model(folder / "net.onnx")
    canonical, problems = canonicalize(source)
    assert canonical is not None, problems.found
    require_same_outputs(source, canonical, folder / "net.onnx")
    onnx.save(canonical, folder / "canonical.onnx")
    loaded = CanonicalModel.load(folder / "canonical.onnx")
    outputs = loaded.outputs(images)
    np.testing.assert_array_equal(outputs, qonnx_outputs(model, images))
    net = lower(canonical)
    net.save(folder / "net.json", folder / "net.npz")
    net = type(net).load(folder / "net.json", folder / "net.npz")
    assert any(isinstance(operator, Add) for operator in net.operators) and not net.is_chain
    logits = reference.run(net, loaded.integers(images))
    np.testing.assert_array_equal(logits, loaded.logits(images, net.logit_scale))
    # Independent of how the canonical file finds its sums: the outputs are the sums times a power of two.
    np.testing.assert_array_equal(logits * net.logit_scale, outputs)


@settings(RELAXED, max_examples=60)
@given(plan=residual_plans())
def test_random_residual_files(plan: ResidualPlan, tmp_path: Path) -> None:
    check_file_and_integers(plan, tmp_path)


@pytest.mark.slow
@settings(RELAXED, max_examples=1000)
@given(plan=residual_plans())
def test_many_random_residual_files(plan: ResidualPlan, tmp_path: Path) -> None:
    check_file_and_integers(plan, tmp_path)


def compare_with_torch(model: torch.nn.Module, images: np.ndarray, folder: Path) -> CanonicalModel:
    """torch == file == integers; nothing had to be repaired, for the deployable norms are exact."""
    exported = export_module(model, images.shape[1:])
    assert exported.repairs == ()
    onnx.save(exported.model, folder / "model.onnx")
    canonical = CanonicalModel.load(folder / "model.onnx")
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    assert len(np.unique(wanted)) > 1
    np.testing.assert_array_equal(canonical.outputs(images), wanted)
    net = lower(exported.model)
    logits = reference.run(net, canonical.integers(images), batch=4)
    np.testing.assert_array_equal(logits, canonical.logits(images, net.logit_scale))
    np.testing.assert_array_equal(canonical.epilogue((logits * net.logit_scale).astype(np.float32)), wanted)
    kinds = [type(operator) for operator in net.operators]
    assert kinds.count(SumPool) == 1 and Add in kinds
    # Every addition saturates by itself: none is wider than the stream.
    assert all(operator.output.bits <= 8 for operator in net.operators if isinstance(operator, Add))
    return canonical


@settings(RELAXED, max_examples=12)
@given(
    widths=st.lists(st.sampled_from([4, 7, 8, 16]), min_size=1, max_size=3),
    stem=st.sampled_from(["3x3", "7x7-pool"]),
    bits=st.integers(2, 8),
    fraction=st.integers(0, 6),
    first=st.sampled_from([1, 4, 8]),
    seed=st.integers(0, 2**31 - 1),
)
def test_random_deployable_networks(
    widths: list[int], stem: str, bits: int, fraction: int, first: int, seed: int, tmp_path: Path
) -> None:
    keys = {"widths": widths, "stem": stem, "residual_bits": bits, "residual_fraction": fraction}
    config = ModelConfig.model_validate({"network": "resnet", **keys, "first_weight_bits": first})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(config, (1, 16, 15), 5)
    randomize_norms(model, seed)
    images = np.random.default_rng(seed).integers(0, 256, (6, 1, 16, 15)).astype(np.float32)
    compare_with_torch(model.eval(), images, tmp_path)


def test_check_passes_and_says_that_hardware_is_out_of_reach(tmp_path: Path) -> None:
    config = ModelConfig.model_validate({"network": "resnet", "widths": [4, 8]})
    model = build_model(config, (1, 8, 8), 3).eval()
    onnx.save(export_module(model, (1, 8, 8)).model, tmp_path / "model.onnx")
    findings = examine(tmp_path / "model.onnx")
    assert findings.problems == []
    assert findings.off_rtl is not None and findings.off_rtl.code == "E252"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cresnet18", "resnet18", "resnet34"])
def test_named_networks(name: str, tmp_path: Path) -> None:
    shape, _ = INPUT_SHAPES[name]
    images = np.random.default_rng(0).integers(0, 256, (1, *shape)).astype(np.float32)
    compare_with_torch(random_network(name, 3), images, tmp_path)
