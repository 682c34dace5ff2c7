"""Named networks: sizes and MACs of the papers, what a form is made of, what is refused, and how close the two forms are."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from brevitas.nn import QuantConv2d
from pydantic import ValidationError
from torch import nn

from flipflow.cli import work
from flipflow.config import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L
from flipflow.train.models import binary_weights, build_model, count

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)


def config_of(network: str, **keys: Any) -> ModelConfig:
    return ModelConfig.model_validate({"network": network, **keys})


# --- counts ---


@pytest.mark.parametrize("deployable", [True, False])
@pytest.mark.parametrize(
    ("network", "shape", "classes", "weights_millions", "macs_millions"),
    [
        # 64*64*9*4, then for 128, 256, 512: 3x3 layers and a 1x1 shortcut. Published: 11.16 M weights, 555 M MACs.
        ("cresnet18", CIFAR, 10, 11.16, 555),
        ("vggsmall", CIFAR, 10, 4.57, 608),
    ],
)
def test_published_counts(
    network: str,
    shape: tuple[int, int, int],
    classes: int,
    weights_millions: float,
    macs_millions: int,
    deployable: bool,
) -> None:
    counts = count(config_of(network, deployable=deployable), shape, classes)
    assert round(counts.binary_weights / 1e6, 2) == weights_millions
    assert round(counts.macs / 1e6) == macs_millions


def test_counts_by_hand() -> None:
    # cResNet20: 3x3 layers of 16, 32, 64 channels on maps of 32, 16, 8. Published: 41 M MACs.
    stages = [(6 * 16 * 16, 32), (16 * 32 + 5 * 32 * 32, 16), (32 * 64 + 5 * 64 * 64, 8)]
    counts = count(config_of("cresnet20", deployable=False), CIFAR)
    assert counts.binary_weights == 9 * sum(weights for weights, _ in stages)
    assert counts.binary_macs == 9 * sum(weights * side**2 for weights, side in stages)
    assert counts.other_macs == 9 * 3 * 16 * 32**2 + 64 * 10
    assert round(counts.macs / 1e6) == 41
    # Batch norms of the stem, 18 layers and the head, scale and bias; first layer; classifier.
    assert counts.other_parameters == 2 * (16 + 6 * (16 + 32 + 64) + 64) + 27 * 16 + 64 * 10 + 10
    # Its deployable form averages with two convolutions of 2x2, and has no bias.
    deployable = count(config_of("cresnet20"), CIFAR)
    assert deployable.other_macs - counts.other_macs == 4 * (16 * 32 * 16**2 + 32 * 64 * 8**2)
    assert deployable.other_parameters == counts.other_parameters - 10


def test_counts_of_the_imagenet_networks() -> None:
    counts = count(config_of("resnet18"), IMAGENET, 1000)
    assert counts.binary_weights == 10_985_472
    # 7x7 stem on 112x112, 1x1 shortcuts on 28, 14 and 7, classifier.
    others = 147 * 64 * 112**2 + 64 * 128 * 28**2 + 128 * 256 * 14**2 + 256 * 512 * 7**2 + 512 * 1000
    assert counts.other_macs == others
    more = count(config_of("resnet34"), IMAGENET, 1000)
    blocks = {64: 1, 128: 2, 256: 4, 512: 1}  # that ResNet34 has more, of two layers each
    assert more.binary_weights - counts.binary_weights == sum(2 * 9 * width**2 * n for width, n in blocks.items())
    assert more.other_macs == others


@pytest.mark.parametrize("weights", ["recu", "irnet", "rbnn", "adabin", "xnor", "xnor++"])
def test_methods_keep_the_counts_of_weights(weights: str) -> None:
    for deployable in (True, False):
        plain, given = (
            count(config_of("resnet", widths=[4, 8], weights=name, deployable=deployable), CIFAR)
            for name in ("vanilla", weights)
        )
        assert (given.binary_weights, given.macs) == (plain.binary_weights, plain.macs)
        assert given.other_parameters >= plain.other_parameters


def test_float_weights_are_not_binary() -> None:
    binary = count(config_of("cresnet20", deployable=False), CIFAR)
    floats = count(config_of("cresnet20", deployable=False, weights="float"), CIFAR)
    assert (floats.binary_weights, floats.binary_macs) == (0, 0)
    assert floats.macs == binary.macs
    assert floats.other_parameters == binary.binary_weights + binary.other_parameters


def test_counting_draws_nothing() -> None:
    before = torch.random.get_rng_state()
    count(config_of("resnet", widths=[4]), CIFAR)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- forms ---

NARROW: dict[str, dict[str, Any]] = {
    "cresnet18": {"widths": [8, 8, 12, 16]},
    "cresnet20": {"widths": [8, 12, 16]},
    "resnet18": {"widths": [8, 8, 12, 16]},
    "vggsmall": {"layers": [{"channels": 8, "pool": 1 + index % 2} for index in range(6)]},
}


@pytest.mark.parametrize("network", NARROW)
def test_forms_share_names_and_shapes_of_latent_weights(network: str) -> None:
    deployable, papers = (
        build_model(config_of(network, deployable=form, **NARROW[network]), (3, 64, 64), 4) for form in (True, False)
    )
    shapes = [(name, weight.shape) for name, weight in binary_weights(deployable)]
    assert shapes == [(name, weight.shape) for name, weight in binary_weights(papers)]
    # Step one of two-step training has the same names.
    first = build_model(config_of(network, deployable=False, weights="float", **NARROW[network]), (3, 64, 64), 4)
    assert {f"{name}.weight" for name, _ in shapes} <= set(first.state_dict())
    assert not binary_weights(first)
    # The paper's form has nothing of fixed point, the deployable form no float layer.
    assert not any(isinstance(module, QuantConv2d) and not L.is_binary(module) for module in papers.modules())
    assert all(hasattr(module, "weight_quant") for module in deployable.modules() if L.is_weight_layer(module))


def unit_pair(network: str, place: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """A unit in the paper's and in the deployable form with the same weights and statistics, and a stream of steps of 1/128."""
    torch.manual_seed(7)
    # A method whose scale is a parameter, and can be 1 as in the deployable form.
    keys = {**NARROW[network], "weights": "xnor++"}
    papers, deployable = (
        build_model(config_of(network, deployable=form, **keys), (3, 64, 64), 4).get_submodule(place)
        for form in (False, True)
    )
    channels = next(module.in_channels for module in papers.modules() if isinstance(module, nn.Conv2d))
    stream = torch.randint(-128, 128, (8, channels, 16, 16)) / 128
    for name, parameter in papers.named_parameters():
        if "scale" in name:
            nn.init.constant_(parameter, 1.0)
        elif "bn" in name and name.endswith("weight"):
            # Nothing of what is added to the stream leaves -2 .. 2, where the deployable form clips it.
            nn.init.constant_(parameter, 0.3)
    for module in papers.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    papers.train()(stream)
    deployable.load_state_dict(papers.state_dict(), strict=False)
    return papers.eval(), deployable.eval(), stream


@pytest.mark.parametrize(
    ("network", "place", "rounded"),
    [
        ("cresnet18", "stage0_0", 1),
        ("cresnet18", "stage2_0", 2),  # branch and shortcut
        ("cresnet20", "stage0_1", 1),
        ("cresnet20", "stage1_0", 2),
        ("resnet18", "stage3_1", 1),
    ],
)
def test_the_deployable_form_is_the_papers_on_a_grid(network: str, place: str, rounded: int) -> None:
    """The stream behind a unit differs by no more than the rounding of its quantizers, half a step each, from the hardtanh."""
    papers, deployable, stream = unit_pair(network, place)
    with torch.no_grad():
        wanted, given = papers(stream), deployable(stream)
    assert torch.equal(given * 128, (given * 128).round())
    assert float((wanted.abs() == 1).float().mean()) > 0.001
    # The largest step is 127/128. Slopes of the deployable norms are rounded, too.
    difference = (given - wanted.clamp(max=127 / 128)).abs() * 128
    assert 0.1 < float(difference.max()) <= 0.5 * rounded + 0.05


def test_gradients_reach_every_parameter_that_is_trained() -> None:
    for network, keys in NARROW.items():
        model = build_model(config_of(network, **keys), (3, 32, 32), 4)
        model(torch.randint(0, 256, (4, 3, 32, 32)).float()).square().sum().backward()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, (network, name)


@pytest.mark.parametrize("network", ["cresnet18", "vggsmall"])
def test_full_precision_computes_with_floats(network: str) -> None:
    """The derivative is the true one: a small step along the gradient changes the output as it says."""
    keys = {"deployable": False, "weights": "float", "activation_bits": 32, **NARROW[network]}
    torch.manual_seed(1)
    model = build_model(config_of(network, **keys), (3, 32, 32), 4).train().double()
    images = torch.randint(0, 256, (6, 3, 32, 32)).double()
    aim = torch.randn(6, 4, dtype=torch.float64)
    before = (model(images) * aim).sum()
    before.backward()
    step = 1e-6
    slope = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            slope += float(parameter.grad.square().sum())
            parameter.add_(parameter.grad, alpha=step)
        after = (model(images) * aim).sum()
    assert float((after - before).detach()) == pytest.approx(step * slope, rel=0.05)


def test_a_chain_in_the_papers_form() -> None:
    config = config_of("cnn", layers=[{"channels": 4}, {"channels": 5, "pool": 2}], hidden=[6], deployable=False)
    names = [name for name, _ in build_model(config, (3, 8, 8), 2).named_children()]
    block = ["conv_1", "scale_1", "bn_1", "htanh_1", "act_1", "pool_1"]
    last = ["fc_2", "scale_2", "bn_2", "htanh_2", "act_2", "fc_3"]
    assert names == ["input", "conv_0", "bn_0", "htanh_0", "act_0", *block, "flatten", *last]


# --- configuration ---


def test_recipes_follow_from_weights_and_form() -> None:
    def recipe(**keys: Any) -> tuple[str, str, str]:
        config = config_of("cresnet20", **keys)
        return config.weight_estimator, config.estimator, config.activation_norm

    assert recipe() == ("identity", "bireal", "std")
    assert recipe(weights="recu") == ("identity", "bireal", "std-attached")
    assert recipe(weights="rbnn") == ("rbnn", "rbnn", "none")
    assert recipe(weights="rbnn", deployable=False) == ("rbnn", "rbnn", "mean-std")
    assert recipe(weights="adabin") == ("ede", "bireal", "none")
    assert recipe(weights="adabin", deployable=False) == ("ede", "adabin", "none")
    assert recipe(weights="irnet", estimator="bireal") == ("ede", "bireal", "none")
    assert config_of("digits-cnn").activation_norm == "none"


@pytest.mark.parametrize("network", ["digits-cnn", "tfc", *NARROW])
@pytest.mark.parametrize("deployable", [True, False])
def test_a_resolved_configuration_reads_back_as_itself(network: str, deployable: bool) -> None:
    config = config_of(network, deployable=deployable, weights="irnet")
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"estimator": "adabin"}, "window"),
        ({"weights": "float"}, "does not deploy"),
        ({"activation_bits": 32}, "does not deploy"),
        ({"deployable": False, "activation_bits": 4}, "leave out"),
        ({"activation_norm": "mean-std"}, "statistics of each image"),
        ({"deployable": False, "weights": "adabin", "activation_norm": "std"}, "scale of its own"),
        ({"first_weight_bits": 32}, "deployable = false"),
        ({"last_weight_bits": 12}, "at most 8"),
        ({"deployable": False, "residual_bits": 8}, "float residuals"),
        ({"shortcut": "pool", "widths": [16, 8, 32]}, "cannot drop"),
        ({"weights": "binary"}, "vanilla"),
        ({"deployable": "perhaps"}, "boolean"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config_of("cresnet20", **keys)


def test_an_odd_map_has_no_2x2_average() -> None:
    with pytest.raises(FlipflowError, match="E171") as caught:
        build_model(config_of("cresnet20"), (3, 30, 30), 10)  # 30, then 15
    assert caught.value.where == "model.shortcut"


def test_the_papers_form_is_refused_before_hours_of_training(tmp_path: Path) -> None:
    file, run = tmp_path / "papers.toml", tmp_path / "run"
    file.write_text('[model]\nnetwork = "digits-cnn"\ndeployable = false\n[data]\ndataset = "digits"\n')
    with pytest.raises(FlipflowError, match=r"E114.*model\.deployable"):
        work.run(file, (), run, fresh=False, quiet=True)
    assert not run.exists()
    run.mkdir()
    shutil.copyfile(file, run / "config.toml")
    with pytest.raises(FlipflowError, match="E114"):
        work.export(run, None, (), quiet=True)
