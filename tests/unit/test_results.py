"""Records of trainings and the rows made of them: arithmetic by hand, and no figure without its evidence."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from flipflow.cli.main import app
from flipflow.config import DataConfig, ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.results import make_row, mean_and_sd, read_training, write_manifest, write_training
from flipflow.results.method import method_name, network_name
from flipflow.results.training import REQUIRED, without_paths
from flipflow.train.checkpoint import load
from flipflow.train.loop import train

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
SECTIONS = ("model", "data", "train", "ovsw")


def record(seed: int, accuracy: float, **changes: Any) -> dict[str, Any]:
    """A whole record, as read from training.json."""
    config = {"model": {"network": "cnn"}, "data": {}, "train": {"seed": seed, "epochs": 3}, "ovsw": {}}
    return {
        "method": "AGS",
        "network": "cnn",
        "data": "digits",
        "data_sha256": "00",
        "seed": seed,
        "epochs": 3,
        "accuracy": accuracy,
        "never_flipped": 10.0 * seed,
        "seconds": 1.5,
        "tools": {"torch": "2"},
        "config": config,
        **changes,
    }


def test_mean_and_sd_by_hand() -> None:
    # Deviations of 90, 92 and 97 from 93 are -3, -1, 4: (9 + 1 + 16) / 2 = 13.
    assert mean_and_sd([90.0, 92.0, 97.0]) == (93.0, pytest.approx(13**0.5, rel=1e-15))
    assert mean_and_sd([90.0]) == (90.0, None)


def test_row_of_three_seeds() -> None:
    row = make_row([record(0, 90.0), record(1, 92.0), record(2, 97.0)], "m.json", "mine")
    assert row == {
        "method": "mine",
        "network": "cnn",
        "epochs": 3,
        "seeds": [0, 1, 2],
        "mean": 93.0,
        "sd": pytest.approx(13**0.5, rel=1e-15),
        "never_flipped": 10.0,
        "manifest": "m.json",
    }


@pytest.mark.parametrize("key", REQUIRED)
def test_no_row_without_whole_evidence(key: str) -> None:
    whole = record(0, 90.0)
    with pytest.raises(FlipflowError, match=rf"E185.*m\.json.*lacks {key}"):
        make_row([record(1, 91.0), {name: value for name, value in whole.items() if name != key}], "m.json")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"data_sha256": "11"}, "data_sha256"),
        ({"epochs": 4}, "epochs"),
        ({"config": {**record(1, 0.0)["config"], "ovsw": {"gamma": 1}}}, "config"),
        ({"seed": 0}, "seed"),
    ],
)
def test_seeds_of_different_experiments_are_no_row(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(FlipflowError, match=f"E185.*{named}"):
        make_row([record(0, 90.0), record(1, 91.0) | changes], "m.json")


@pytest.mark.parametrize(
    ("model", "ovsw", "name"),
    [
        ({}, {"ags": False, "sad": False}, "vanilla"),
        ({}, {"ags": True, "sad": False}, "AGS"),
        ({}, {"ags": True, "sad": True, "ags_target": "update"}, "AGS+SAD on updates"),
        ({"weights": "recu"}, {"ags": False, "sad": False}, "ReCU"),
        ({"weights": "rbnn"}, {"ags": True, "sad": True}, "RBNN+AGS+SAD"),
        ({"weights": "float"}, {"ags": True, "sad": True}, "float weights"),
    ],
)
def test_names_of_methods(model: dict[str, Any], ovsw: dict[str, Any], name: str) -> None:
    assert method_name({"model": model, "ovsw": ovsw}) == name


def test_every_method_has_a_name_of_its_own() -> None:
    methods = ModelConfig.model_fields["weights"].annotation.__args__  # type: ignore[union-attr]
    off = {"ags": False, "sad": False}
    names = {method_name({"model": {"weights": method}, "ovsw": off}) for method in methods}
    assert len(names) == len(methods)
    assert not names & set(methods) - {"vanilla"}


def test_the_papers_form_is_named() -> None:
    assert network_name({"model": {"network": "cresnet18", "deployable": True}}) == "cresnet18"
    assert network_name({"model": {"network": "cresnet18", "deployable": False}}) == "cresnet18 (paper's form)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    model = ModelConfig(network="cnn", layers=({"channels": 4, "pool": 2}, {"channels": 6}))
    train(model, DataConfig(limit=200), TrainConfig(epochs=2, batch_size=20, threads=1, seed=3), OvswConfig(), folder)
    return folder


def test_record_of_a_training(run: Path) -> None:
    written = write_training(run)
    assert read_training(run) == written
    content = load(run / "checkpoint.pt")
    flipped = torch.cat([layer["flipped"].flatten() for layer in content["trainer"]["ovsw"]["layers"].values()])
    assert written["never_flipped"] == pytest.approx(100.0 * float((~flipped).double().mean()), rel=1e-12)
    assert 0.0 < written["never_flipped"] < 100.0
    assert written["accuracy"] == 100.0 * content["test_accuracy"]
    assert written["data_sha256"] == content["data_sha256"]
    assert (written["seed"], written["epochs"], written["data"], written["method"]) == (3, 2, "digits", "AGS+SAD")
    seconds = [json.loads(line)["seconds"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert written["seconds"] == pytest.approx(sum(seconds), abs=1e-3)
    assert written["tools"]["torch"] == torch.__version__
    assert ModelConfig.model_validate(written["config"]["model"]).layers[1].channels == 6


def test_records_name_no_place_on_the_machine() -> None:
    config = {
        "model": {},
        "ovsw": {},
        "data": {"dataset": "folder", "path": "/home/x/images"},
        "train": {"seed": 0, "teacher": "/home/x/teacher.pt", "init": None},
    }
    kept = without_paths(config)
    assert kept["data"] == {"dataset": "folder"}
    assert kept["train"] == {"seed": 0, "teacher": "teacher.pt", "init": None}


def test_unfinished_and_damaged_runs_have_no_record(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match=r"E160"):
        write_training(tmp_path)
    with pytest.raises(FlipflowError, match=r"E185.*no record"):
        read_training(tmp_path)
    (tmp_path / "training.json").write_text('{"seed": 0')
    with pytest.raises(FlipflowError, match=r"E185.*cannot be read"):
        read_training(tmp_path)


def _scripts() -> Any:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import accuracy_tables  # noqa: PLC0415
    finally:
        sys.path.pop(0)
    return accuracy_tables


def test_a_row_that_its_records_do_not_give_is_refused(tmp_path: Path) -> None:
    tables = _scripts()
    write_manifest(tmp_path / "m" / "a.json", [record(0, 90.0), record(1, 92.0)])
    row = make_row([record(0, 90.0), record(1, 92.0)], "m/a.json")
    assert len(tables.require_evidence(row, tmp_path)) == 2
    with pytest.raises(FlipflowError, match=r"E185.*mean"):
        tables.require_evidence({**row, "mean": 95.0}, tmp_path)
    with pytest.raises(FlipflowError, match=r"E185.*cannot be read"):
        tables.require_evidence({**row, "manifest": "m/none.json"}, tmp_path)


def test_every_accuracy_in_the_docs_has_its_evidence() -> None:
    tables = _scripts()
    for path in RESULTS.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] == "flipflow-accuracy":
            assert {"title", "data", "command", "rows"} <= document.keys()
            for row in document["rows"]:
                tables.require_evidence(row, RESULTS)
    for path in (RESULTS / "manifests").rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not any(start in text for start in ('"/home', '"/tmp', '"/work', '"/root')), path


def test_train_prints_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(
        '[model]\nnetwork = "cnn"\nlayers = [{channels = 4}]\n[data]\ndataset = "digits"\nlimit = 100\n'
    )
    changes = ("train.epochs=2", "train.batch_size=30", "train.threads=1")
    monkeypatch.chdir(tmp_path)
    app(
        ["train", "a.toml", *(word for change in changes for word in ("--set", change)), "--json"],
        standalone_mode=False,
    )
    result = json.loads(capsys.readouterr().out)
    trained = read_training(tmp_path / "runs" / "a")
    assert {key: result[key] for key in ("method", "network", "epochs", "seeds", "sd")} == {
        "method": "AGS+SAD",
        "network": "cnn",
        "epochs": 2,
        "seeds": [0],
        "sd": None,
    }
    assert result["mean"] == trained["accuracy"]
    assert json.loads((tmp_path / result["manifest"]).read_text()) == trained
