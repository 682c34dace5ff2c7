"""What a sweep's file comes to: cells in order, with the right keys; and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from flipflow.errors import FlipflowError
from flipflow.sweep import read_sweep
from flipflow.sweep.spec import Sweep

ROOT = Path(__file__).resolve().parents[2]
BASE = """
[model]
network = "cnn"
layers = [{channels = 4}]
[data]
dataset = "digits"
[train]
epochs = 7
augment = ["flip"]
"""
FULL = """
title = "T"
base = "base.toml"
seeds = [5, 3]
[set]
train = { lr = 0.2, augment = [] }
[variants]
vanilla = { ovsw.ags = false, ovsw.sad = false }
"AGS+SAD" = {}
[axes]
ovsw.lambda_ = [0.01, 0.04]
train.epochs = [2, 3, 4]
"""


def read(folder: Path, text: str, *overrides: str, base: str = BASE) -> Sweep:
    (folder / "base.toml").write_text(base)
    (folder / "sweep.toml").write_text(text)
    return read_sweep(folder / "sweep.toml", overrides)


def test_cells_are_variants_by_axes_by_seeds(tmp_path: Path) -> None:
    sweep = read(tmp_path, FULL)
    expected = [
        (variant != "vanilla", variant == "AGS+SAD", lambda_, epochs, seed)
        for variant in ("vanilla", "AGS+SAD")
        for lambda_ in (0.01, 0.04)
        for epochs in (2, 3, 4)
        for seed in (5, 3)
    ]
    found = [
        (c.config.ovsw.ags, c.config.ovsw.sad, c.config.ovsw.lambda_, c.config.train.epochs, c.config.train.seed)
        for c in sweep.cells
    ]
    assert found == expected
    assert {(cell.config.train.lr, cell.config.train.augment) for cell in sweep.cells} == {(0.2, ())}
    assert sweep.axes == ("ovsw.lambda_", "train.epochs")
    assert len({cell.folder for cell in sweep.cells}) == 24
    assert sweep.cells[0].label == "vanilla, lambda=0.01, epochs=2, seed 5"
    assert [len(cells) for _, cells in sweep.points()] == [2] * 12


def test_overrides_hold_in_every_cell(tmp_path: Path) -> None:
    sweep = read(tmp_path, FULL, "train.lr=0.5", "model.layers=[{channels = 8}]")
    assert {cell.config.train.lr for cell in sweep.cells} == {0.5}
    assert {cell.config.model.layers[0].channels for cell in sweep.cells if cell.config.model} == {8}


def test_paths_do_not_depend_on_where_a_worker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = read(tmp_path, 'title = "T"\nbase = "base.toml"\n', "data.dataset=folder", "data.path=images")
    assert sweep.cells[0].config.data is not None
    assert sweep.cells[0].config.data.path == tmp_path / "images"


def test_odd_labels_get_folders_of_their_own(tmp_path: Path) -> None:
    text = 'title = "T"\nbase = "base.toml"\n[variants]\n"a/b" = {}\n"a b" = { train.lr = 0.3 }\n"../c" = { train.lr = 0.4 }\n'
    folders = [cell.folder for cell in read(tmp_path, text).cells]
    assert len(set(folders)) == 3
    for folder in folders:
        assert len(folder.parts) == 3 and not folder.is_absolute()
        assert folder.parts[0] == "cells" and folder.parts[1] not in ("..", ".")


HEAD = 'title = "T"\nbase = "base.toml"\n'


@pytest.mark.parametrize(
    ("text", "overrides", "code", "named"),
    [
        ("seeds = [0]\n", (), "E101", "title"),
        (HEAD + "sedes = [0]\n", (), "E100", "seeds"),
        (HEAD + "seeds = []\n", (), "E101", "different numbers"),
        (HEAD + "seeds = [1, 1]\n", (), "E101", "different numbers"),
        (HEAD + "[axes]\ntrain.lr = 0.1\n", (), "E101", "list of values"),
        (HEAD + "[axes]\ntrain.lr = []\n", (), "E101", "list of values"),
        (HEAD + "[axes]\ntrain.lr = [0.1, 0.1]\n", (), "E101", "twice"),
        (HEAD + "[axes]\ntrain.seed = [0, 1]\n", (), "E101", "seeds"),
        (HEAD + "[axes]\ntrain.lrr = [0.1, 0.2]\n", (), "E100", "mean 'lr'"),
        (HEAD + "[axes]\ntrain.lr = [0.1, -1]\n", (), "E101", "lr=-1"),
        (HEAD + "[variants]\na = {}\nb = {}\n", (), "E180", "same training"),
        (HEAD + "[axes]\ntrain.lr = [0.1]\n", ("train.lr=0.3",), "E180", "varies train.lr"),
        (HEAD + "[variants]\na = { ovsw.ags = false }\n", ("ovsw.ags=true",), "E180", "varies ovsw.ags"),
        (HEAD, ("train.seed=3",), "E180", "varies train.seed"),
        (HEAD, ("train.lr",), "E104", "no override"),
        ('title = "T"\nbase = "none.toml"\n', (), "E103", "none.toml"),
        ("title = ", (), "E102", "TOML"),
        (HEAD + '[set.export]\nmodel = "m.onnx"\n', (), "E180", "export"),
    ],
)
def test_refusals(tmp_path: Path, text: str, overrides: tuple[str, ...], code: str, named: str) -> None:
    with pytest.raises(FlipflowError) as caught:
        read(tmp_path, text, *overrides)
    assert caught.value.code == code
    assert named in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "sweeps").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_sweeps_are_valid(path: Path) -> None:
    assert len(read_sweep(path).cells) > 1


def test_the_fashion_sweep_differs_in_its_parts_alone() -> None:
    def rest(config: Any) -> Any:
        return config.model_dump(exclude={"ovsw": {"ags", "sad"}, "train": {"seed"}})

    cells = read_sweep(ROOT / "configs" / "sweeps" / "fashion.toml").cells
    assert len(cells) == 12
    assert all(rest(cell.config) == rest(cells[0].config) for cell in cells)
    parts = {cell.point.variant: (cell.config.ovsw.ags, cell.config.ovsw.sad) for cell in cells}
    assert parts == {"vanilla": (False, False), "SAD": (False, True), "AGS": (True, False), "AGS+SAD": (True, True)}
