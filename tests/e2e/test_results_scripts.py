"""From a sweep to the tables, and from a run to an example: what is taken over, and what is refused."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flipflow.cli import work
from flipflow.config import Config, save_config
from flipflow.config.load import parse_config
from flipflow.errors import FlipflowError
from flipflow.plots.draw import plot_run, plot_surface
from flipflow.run.runner import run_stage
from flipflow.run.stages import stages_of
from flipflow.sweep import read_sweep
from flipflow.sweep.cluster import ClusterOptions
from flipflow.sweep.results import write_results
from flipflow.sweep.run import train_cells

ROOT = Path(__file__).resolve().parents[2]
SWEEP_FILE = ROOT / "configs" / "sweeps" / "cifar10-gpu.toml"


class Silent:
    def message(self, text: str) -> None: ...

    def progress(self, task: str, done: float, total: float, note: str = "") -> None: ...


@pytest.fixture(autouse=True, scope="module")
def _scripts() -> Any:
    sys.path.insert(0, str(ROOT / "scripts"))
    yield
    sys.path.remove(str(ROOT / "scripts"))


def _tables() -> ModuleType:
    import accuracy_tables  # noqa: PLC0415

    return accuracy_tables


def _ship() -> ModuleType:
    import ship_example  # noqa: PLC0415

    return ship_example


def _images(root: Path) -> Path:
    """Ten classes of 32x32 JPEG files, 8 to train and 2 to test each."""
    from PIL import Image  # noqa: PLC0415

    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 2)):
        for label in range(10):
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index:04}.jpg", quality=75)
    return root


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The GPU's CIFAR-10 sweep with its recipe, on a CPU: two small stages, 80 images, 1 epoch."""
    from distributed import LocalCluster  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("gpu")
    data = _images(folder / "ten-classes")
    small = (
        "model.widths=[4, 8]",
        "model.blocks=[1, 1]",
        f'data.path="{data}"',
        "data.validation=0.25",
        "train.epochs=1",
    )
    on_cpu = (
        "train.device=cpu",
        "train.compile=false",
        "train.batch_size=30",
        "train.warmup_epochs=0",
        "train.threads=1",
    )
    sweep = read_sweep(SWEEP_FILE, small + on_cpu)
    out = folder / "cifar10-gpu"
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        failed = train_cells(sweep, out, ClusterOptions(scheduler=cluster.scheduler_address), Silent())
    return out, write_results(sweep, out, failed, "flipflow sweep configs/sweeps/cifar10-gpu.toml")


def test_the_gpu_sweep_runs_from_end_to_end(swept: tuple[Path, dict[str, Any]]) -> None:
    out, document = swept
    assert document["failed"] == []
    assert [row["method"] for row in document["rows"]] == ["vanilla", "AGS", "SAD", "AGS+SAD", "ReCU"]
    assert {(row["network"], row["epochs"], tuple(row["seeds"])) for row in document["rows"]} == {
        ("cresnet18", 1, (0, 1))
    }
    assert document["data"] == "ten-classes"
    assert all(0.0 < row["never_flipped"] <= 100.0 for row in document["rows"])
    # A residual network's layers have dots in their names.
    names = {path.name for path in plot_run(out / document["rows"][3]["runs"][0], out / "plots", Silent())}
    assert {"weights.png", "curves.svg"} <= names


def test_collected_results_keep_their_evidence(swept: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, document = swept
    result = _tables().collect(out, tmp_path)
    assert {"title", "data", "command", "rows"} <= result.keys()
    keys = {"method", "network", "epochs", "seeds", "mean", "sd", "never_flipped", "manifest"}
    for row, original in zip(result["rows"], document["rows"], strict=True):
        assert keys <= row.keys()
        assert [record["seed"] for record in _tables().require_evidence(row, tmp_path)] == original["seeds"]
    assert str(out.parent) not in json.dumps(result)
    assert str(out.parent) not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    text = _tables().accuracy(result)
    first = result["rows"][0]
    assert f"| vanilla | cresnet18 | 1 | 2 | {first['mean']:.2f} ± {first['sd']:.2f} |" in text


def test_incomplete_sweeps_are_not_collected(swept: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, document = swept
    copy = tmp_path / "copy"
    copy.mkdir()
    failed = {"cell": "x", "code": "E170", "what": "", "where": "", "fix": ""}
    for changes, reason in (({"failed": [failed]}, "1 cells failed"), ({}, "E185")):
        (copy / "results.json").write_text(json.dumps({**document, **changes}))  # without the manifests
        with pytest.raises(SystemExit, match=reason):
            _tables().collect(copy, tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


CONFIG = {
    "model": {"network": "cnn", "layers": [{"channels": 4, "pool": 2}, {"channels": 4}]},
    "data": {"dataset": "digits", "limit": 200},
    "train": {"epochs": 2, "batch_size": 20, "threads": 1},
    "verify": {"levels": ["torch", "integer"]},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = parse_config(CONFIG, "test")
    _stages(config, tmp_path / "run", "train", "export", "verify")
    return tmp_path / "run"


def _stages(config: Config, run: Path, *names: str) -> None:
    run.mkdir(exist_ok=True)
    save_config(config, run / "config.toml")
    for stage in stages_of(config):
        if stage.name in names:
            run_stage(stage, config, run, Silent())


def test_shipped_examples_can_be_used(run: Path, tmp_path: Path) -> None:
    from flipflow.export.check import check_file  # noqa: PLC0415
    from flipflow.run.files import digest  # noqa: PLC0415

    target = _ship().ship(run, "small", tmp_path / "networks")
    assert {path.name for path in target.iterdir()} == {"config.toml", "manifest.json", "model.qonnx.onnx"}
    manifest = json.loads((target / "manifest.json").read_text())
    assert manifest["model_sha256"] == digest(target / "model.qonnx.onnx")
    assert manifest["training"] == json.loads((run / "training.json").read_text())
    assert manifest["verified_images"] == {"torch": 359, "integer": 359}
    assert check_file(target / "model.qonnx.onnx") == []
    assert str(tmp_path) not in (target / "config.toml").read_text() + (target / "manifest.json").read_text()
    # A run that starts from it knows the test images, and is as accurate on them as the record says.
    started = tmp_path / "started"
    work.export(target, started, (), True)
    work.stage("build", started, ("fold.cycles=100000",), False, True)
    about = work.stage("verify", started, ("verify.levels=['integer', 'qonnx']",), False, True)["verify"]
    assert about["data"] == "digits"
    assert [level["samples"] for level in about["levels"]] == [359, 359]
    assert 100.0 * about["accuracy"] == manifest["accuracy"]
    (target / "model.qonnx.onnx").write_bytes((target / "model.qonnx.onnx").read_bytes() + b"\0")
    with pytest.raises(FlipflowError, match=r"E185.*not the network that manifest.json is about"):
        work.export(target, tmp_path / "other", (), True)
    files = plot_surface(run, tmp_path / "plots", 3, 1.0, 40, Silent())
    assert [file.name for file in files] == ["surface.png", "surface.svg"]


def test_examples_without_evidence_are_refused(run: Path, tmp_path: Path) -> None:
    ship = _ship()

    def refused(reason: str) -> None:
        with pytest.raises(FlipflowError, match=f"E185.*{reason}"):
            ship.ship(run, "small", tmp_path / "networks")
        assert not (tmp_path / "networks").exists()

    other = parse_config({**CONFIG, "verify": {"levels": ["torch", "integer"], "samples": 10}}, "test")
    _stages(other, run, "verify")
    refused("accuracy is")
    _stages(parse_config(CONFIG, "test"), run, "verify")
    model = (run / "model.qonnx.onnx").read_bytes()
    (run / "model.qonnx.onnx").write_bytes(model + b"\0")
    refused("model.qonnx.onnx is not what")
    (run / "model.qonnx.onnx").write_bytes(model)
    (run / "training.json").unlink()
    refused("no record")
