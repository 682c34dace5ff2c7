"""The trained networks that are shipped: their records are about them, they deploy, and hardware gives the same integers."""

import json
from pathlib import Path

import pytest

from flipflow.cli import work
from flipflow.errors import FlipflowError
from flipflow.export.check import check_file
from flipflow.run.example import is_example, read_example
from flipflow.train.data import read_source

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "networks"
EXAMPLES = sorted(path.name for path in FOLDER.iterdir())


def test_there_are_some() -> None:
    assert {"digits-cnn", "fashion-resnet"} <= set(EXAMPLES)
    assert not is_example(FOLDER)


@pytest.mark.parametrize("name", EXAMPLES)
def test_they_deploy(name: str) -> None:
    network, data = read_example(FOLDER / name)
    assert check_file(network) == []
    assert data.dataset in {"digits", "fashion-mnist"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_they_give_the_same_integers_as_hardware(name: str, tmp_path: Path) -> None:
    _, data = read_example(FOLDER / name)
    try:
        read_source(data)
    except FlipflowError as error:
        pytest.skip(f"its data set is not here: {error}")
    run = tmp_path / name
    work.export(FOLDER / name, run, (), True)
    work.stage("build", run, ("fold.cycles=30000",), False, True)
    about = work.stage("verify", run, work.verify_overrides(20, "qonnx,finn,cpu,rtl"), False, True)["verify"]
    assert [(level["samples"], level["mismatches"]) for level in about["levels"]] == [(20, 0)] * 5
    assert about["cycles"]["all_completions_equal"]
    assert about["data"] == data.dataset
    # 20 images are as right as a network of the record's accuracy would have them nearly always.
    recorded = json.loads((FOLDER / name / "manifest.json").read_text())["accuracy"]
    assert about["accuracy"] > recorded / 100 - 0.3
