"""Networks from elsewhere: Brevitas' own bnn_pynq models with random batch norms, by both of its exporters."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.command import flipflow

SHAPES = {"tfc_1w1a": (1, 28, 28), "lfc_1w1a": (1, 28, 28), "cnv_1w1a": (3, 32, 32)}


def brevitas_model(name: str) -> nn.Module:
    """Untrained, with batch norms of both signs that leave no channel constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas_examples.bnn_pynq.models import model_with_cfg  # noqa: PLC0415

        module, _ = model_with_cfg(name, False)
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            count = part.num_features
            part.weight.data = torch.randn(count, generator=generator)
            part.bias.data = torch.randn(count, generator=generator)
            part.running_mean = torch.randn(count, generator=generator) * 5
            part.running_var = torch.rand(count, generator=generator) * 100 + 1
    return module.eval()


def export(module: nn.Module, shape: tuple[int, ...], path: Path, opset: int, dynamo: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.export import export_qonnx  # noqa: PLC0415

        image = torch.zeros(1, *shape)
        export_qonnx(module, args=image, export_path=str(path), opset_version=opset, dynamo=dynamo)


def _through_all_levels(name: str, folder: Path, samples: int, opset: int = 13, dynamo: bool = False) -> None:
    module = brevitas_model(name)
    export(module, SHAPES[name], folder / "model.onnx", opset, dynamo)
    assert json.loads(flipflow("check", "model.onnx", "--json", cwd=folder)[0])["problems"] == []
    flipflow("export", "model.onnx", "--out", "run", cwd=folder)
    flipflow("build", "run", cwd=folder)
    out, _ = flipflow("verify", "run", "--samples", str(samples), "--json", cwd=folder)
    result = json.loads(out)["verify"]
    rows = {row["level"]: row for row in result["levels"]}
    assert set(rows) == {"qonnx", "finn", "integer", "rtl", "cpu"}
    assert all(row == {"level": level, "samples": samples, "mismatches": 0} for level, row in rows.items())
    cycles = result["cycles"]
    assert (cycles["predicted_ii"], cycles["predicted_latency"]) == (cycles["measured_ii"], cycles["measured_latency"])
    # The class that torch gives, too: the affine behind the last layer is positive.
    images = np.random.default_rng(1).random((samples, *SHAPES[name]), dtype=np.float32)
    np.savez(folder / "images.npz", images=images)
    flipflow("infer", "run", "--input", "images.npz", "--level", "integer", "--out", "answers.npz", cwd=folder)
    with torch.no_grad():
        expected = module(torch.from_numpy(images)).argmax(1).numpy()
    np.testing.assert_array_equal(np.load(folder / "answers.npz")["class"], expected)


@pytest.mark.parametrize(("opset", "dynamo"), [(13, False), (18, True)])
def test_tfc(tmp_path: Path, opset: int, dynamo: bool) -> None:
    _through_all_levels("tfc_1w1a", tmp_path, 20, opset, dynamo)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lfc_1w1a", "cnv_1w1a"])
def test_larger(name: str, tmp_path: Path) -> None:
    _through_all_levels(name, tmp_path, 20)


@pytest.mark.parametrize("opset", [9, 11])
def test_old_opsets_of_the_exporter(tmp_path: Path, opset: int) -> None:
    """Files as older exporters wrote them; what torch still can write of them."""
    export(brevitas_model("tfc_1w1a"), SHAPES["tfc_1w1a"], tmp_path / "old.onnx", opset, False)
    result = json.loads(flipflow("export", "old.onnx", "--out", "run", "--json", cwd=tmp_path)[0])
    assert [stage["stage"] for stage in result["stages"]] == ["export"]
