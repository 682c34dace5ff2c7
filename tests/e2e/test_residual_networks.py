"""Residual networks give the same integers as torch, as a QONNX file and as an integer net."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from qonnx.core.modelwrapper import ModelWrapper

from flipflow.config import ModelConfig
from flipflow.cpu import Engine
from flipflow.export.check import check_file
from flipflow.export.finn.execute import execute
from flipflow.export.finn.streamline import lower as lower_with_finn
from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model, require_same_outputs
from flipflow.export.integer import lower
from flipflow.export.integer.net import Add, IntegerNet, SumPool
from flipflow.export.torch_export import export_module
from flipflow.hw.build import execute_folded
from flipflow.hw.convert import convert
from flipflow.sim import reference
from flipflow.sim.levels import Network
from flipflow.sim.taps import layer_names, taps
from flipflow.train.models import build_model
from flipflow.train.random_networks import INPUT_SHAPES, random_network, settle
from flipflow.train.resnet import ResidualUnit
from tests.e2e.levels import qonnx_outputs
from tests.e2e.steady_state import FOLDS, check_steady_state
from tests.residual_networks import BlockPlan, ResidualPlan, pixels_for, residual_plans, write_residual_network

RELAXED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True
)

# The sum saturates to 2 bits, and a quantizer of 6 bits follows at once: the second must not take the first one's place.
TWO_QUANTIZERS = ResidualPlan(
    input_shape=(1, 8, 9),
    bits=2,
    fraction=0,
    signed=True,
    stem_pool=True,
    blocks=(BlockPlan(0, 2, "sign", "pool", swap=False), BlockPlan(0, 1, "sign", "quant", swap=False)),
    head="AveragePool",
    classes=2,
    seed=0,
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


@settings(RELAXED, max_examples=30)
@given(plan=residual_plans())
def test_random_residual_files(plan: ResidualPlan, tmp_path: Path) -> None:
    check_file_and_integers(plan, tmp_path)


@pytest.mark.slow
@settings(RELAXED, max_examples=1000)
@given(plan=residual_plans())
def test_many_random_residual_files(plan: ResidualPlan, tmp_path: Path) -> None:
    check_file_and_integers(plan, tmp_path)


def check_random_hardware(plan: ResidualPlan, folder: Path) -> None:
    onnx.save(write_residual_network(plan), folder / "net.onnx")
    canonical, problems = canonicalize(read_model(folder / "net.onnx"))
    assert canonical is not None, problems.found
    onnx.save(canonical, folder / "model.onnx")
    check_hardware(lower(canonical), pixels_for(plan, 5), folder)


@settings(RELAXED, max_examples=8)
@given(plan=residual_plans())
@example(plan=TWO_QUANTIZERS)
def test_random_residual_files_as_hardware(plan: ResidualPlan, tmp_path: Path) -> None:
    check_random_hardware(plan, tmp_path)


@pytest.mark.slow
@settings(RELAXED, max_examples=300)
@given(plan=residual_plans())
def test_many_random_residual_files_as_hardware(plan: ResidualPlan, tmp_path: Path) -> None:
    check_random_hardware(plan, tmp_path)


def compare_with_torch(model: torch.nn.Module, images: np.ndarray, folder: Path) -> IntegerNet:
    """torch == file == integers == CPU engine."""
    exported = export_module(model, images.shape[1:])
    onnx.save(exported.model, folder / "model.onnx")
    canonical = CanonicalModel.load(folder / "model.onnx")
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    assert len(np.unique(wanted)) > 1
    np.testing.assert_array_equal(canonical.outputs(images), wanted)
    net = lower(exported.model)
    integers = canonical.integers(images)
    logits = reference.run(net, integers, batch=4)
    np.testing.assert_array_equal(logits, canonical.logits(images, net.logit_scale))
    np.testing.assert_array_equal(canonical.epilogue((logits * net.logit_scale).astype(np.float32)), wanted)
    np.testing.assert_array_equal(Engine(net)(integers), logits)
    if any(isinstance(module, ResidualUnit) for module in model.modules()):
        # Norms before a quantizer of many levels are exact: no tie of theirs had to be repaired.
        assert all("bn1" in repair.node for repair in exported.repairs)
        kinds = [type(operator) for operator in net.operators]
        assert kinds.count(SumPool) == 1 and Add in kinds
        # Every addition saturates by itself: none is wider than the stream.
        assert all(operator.output.bits <= 8 for operator in net.operators if isinstance(operator, Add))
    return net


def random_model(config: ModelConfig, shape: tuple[int, int, int], seed: int) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(config, shape, 5)
    return settle(model, shape, seed)


def random_images(shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.float32)


def check_hardware(net: IntegerNet, images: np.ndarray, folder: Path) -> ModelWrapper:
    """FINN's streamlined graph and the graph of kernels give the integer net's logits; that graph, not folded."""
    integers = CanonicalModel.load(folder / "model.onnx").integers(images)
    logits = reference.run(net, integers)
    lower_with_finn(folder / "model.onnx", folder / "streamlined.onnx")
    np.testing.assert_array_equal(execute(folder / "streamlined.onnx", integers), logits)
    kernels = convert(ModelWrapper(str(folder / "streamlined.onnx")))
    np.testing.assert_array_equal(execute_folded(kernels, integers), logits)
    return kernels


def check_taps(net: IntegerNet, images: np.ndarray, folder: Path) -> None:
    """What enters every layer is the same in the file, the integer net and the streamlined graph, in one order."""
    (folder / "model.onnx").rename(folder / "model.qonnx.onnx")
    net.save(folder / "integer.json", folder / "integer.npz")
    network = Network(folder)
    wanted = taps(network, "integer", images)
    for level in ("qonnx", "finn"):
        for name, one, other in zip(layer_names(network), wanted, taps(network, level, images), strict=True):
            np.testing.assert_array_equal(other.reshape(one.shape), one, err_msg=f"{level}: {name}")


@st.composite
def deployable_networks(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "network": "resnet",
        "widths": sorted(draw(st.lists(st.sampled_from([4, 7, 8, 16]), min_size=1, max_size=3))),
        "stem": draw(st.sampled_from(["3x3", "3x3-linear", "7x7-pool"])),
        "skip": draw(st.sampled_from(["convolution", "block"])),
        "shortcut": draw(st.sampled_from(["fixed-point", "binary", "pool"])),
        "residual_bits": draw(st.integers(2, 8)),
        "residual_fraction": draw(st.integers(0, 7)),
        "first_weight_bits": draw(st.sampled_from([1, 4, 8])),
        "weights": draw(st.sampled_from(["vanilla", "recu", "irnet", "rbnn", "adabin", "xnor"])),
    }


@settings(RELAXED, max_examples=8)
@given(keys=deployable_networks(), seed=st.integers(0, 2**31 - 1))
def test_random_deployable_networks(keys: dict[str, Any], seed: int, tmp_path: Path) -> None:
    config = ModelConfig.model_validate(keys)
    shape = (1, 16, 16 if config.shortcut == "pool" else 15)
    compare_with_torch(random_model(config, shape, seed), random_images(shape, 6, seed), tmp_path)


NARROW: dict[str, dict[str, Any]] = {
    "cresnet18": {"widths": [8, 12, 16, 20]},
    "cresnet20": {"widths": [6, 10, 16]},
    "resnet18": {"widths": [8, 12, 16, 20]},
    "vggsmall": {
        "layers": [{"channels": count, "pool": 1 + index % 2} for index, count in enumerate([8, 8, 12, 12, 16, 16])]
    },
}


@pytest.mark.parametrize("name", NARROW)
def test_narrow_forms_of_the_papers_networks(name: str, tmp_path: Path) -> None:
    shape = (3, 64, 64) if name == "resnet18" else (3, 32, 32)
    config = ModelConfig.model_validate({"network": name, **NARROW[name]})
    net = compare_with_torch(random_model(config, shape, 1), random_images(shape, 3, 2), tmp_path)
    full = ModelConfig.model_validate({"network": name})
    assert [len(config.layers), *config.blocks] == [len(full.layers), *full.blocks]
    assert net.is_chain == (name == "vggsmall")
    if name == "cresnet20":
        assert check_file(tmp_path / "model.onnx") == []
    kernels = check_hardware(net, random_images(shape, 2, 3), tmp_path)
    check_steady_state(kernels, FOLDS[name] // 10)
    check_taps(net, random_images(shape, 2, 3), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUT_SHAPES)
def test_named_networks(name: str, tmp_path: Path) -> None:
    shape, _ = INPUT_SHAPES[name]
    net = compare_with_torch(random_network(name, 3), random_images(shape, 1, 0), tmp_path)
    assert check_file(tmp_path / "model.onnx") == []
    check_steady_state(check_hardware(net, random_images(shape, 1, 4), tmp_path), FOLDS[name])


def test_the_pool_shortcut_averages(tmp_path: Path) -> None:
    """2x2 windows of a stream in steps of 1/128: a quarter of their sum, ties to even, between channels of 0."""
    config = ModelConfig.model_validate({"network": "resnet", "widths": [3, 6], "shortcut": "pool"})
    shortcut = build_model(config, (1, 8, 8), 2).get_submodule("stage1_0.shortcut").eval()
    steps = np.random.default_rng(3).integers(-128, 128, (20, 3, 8, 8))
    with torch.no_grad():
        given = shortcut(torch.from_numpy(steps / 128).float()).numpy()
    sums = steps.reshape(20, 3, 4, 2, 4, 2).sum(axis=(3, 5))
    wanted = np.zeros((20, 6, 4, 4))
    wanted[:, 1:4] = np.rint(sums / 4) / 128
    np.testing.assert_array_equal(given, wanted)
    # It is no part of what training changes.
    assert not any(parameter.requires_grad for parameter in shortcut.parameters())
