"""The configuration file: reading, overriding, writing back, and what is said about mistakes."""

from pathlib import Path

import pytest

from flipflow.config import Config, load_config, save_config
from flipflow.config.load import parse_overrides
from flipflow.errors import FlipflowError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
SMALL = """
[model]
network = "mlp"
hidden = [8, 4]
[data]
dataset = "digits"
[fold]
cycles = 500
layers.fc_0 = {pe = 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def error_of(path: Path, *overrides: str) -> FlipflowError:
    with pytest.raises(FlipflowError) as caught:
        load_config(path, overrides)
    assert caught.value.where and caught.value.fix
    return caught.value


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_what_is_saved_reads_back_as_the_same(path: Path, tmp_path: Path) -> None:
    config = load_config(
        path, ("fold.layers.conv_0.pe=4", "train.augment=['flip']", "verify.levels=['integer', 'rtl']")
    )
    save_config(config, tmp_path / "config.toml")
    again = load_config(tmp_path / "config.toml")
    assert again == config
    save_config(again, tmp_path / "again.toml")
    assert (tmp_path / "again.toml").read_text() == (tmp_path / "config.toml").read_text()
    assert not list(tmp_path.glob("*.tmp"))


def test_values_and_defaults(file: Path) -> None:
    config = load_config(file)
    assert config.model is not None and config.data is not None
    assert config.model.hidden == (8, 4)
    assert (config.fold.cycles, config.fold.fps, config.fold.layers["fc_0"].pe) == (500, None, 2)
    assert config.target.clock_mhz == 100.0


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("[modle]", "modle", "model"),
        ("[model]\nnetwrok = 'tfc'", "model.netwrok", "network"),
        ("[model]\nnetwork = 'cnn'\nlayers = [{channels = 3, kernal = 3}]", "model.layers.0.kernal", "kernel"),
        ("[fold.layers.fc_0]\nsmid = 3", "fold.layers.fc_0.smid", "simd"),
        ("[verify]\nsample = 3", "verify.sample", "samples"),
        ("[export]\nmodell = 'x.onnx'", "export.modell", "model"),
    ],
)
def test_unknown_keys_with_the_nearest_known_one(text: str, key: str, suggestion: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    error = error_of(path)
    assert (error.code, error.where) == ("E100", str(path))
    assert repr(key) in error.what
    assert error.fix == f"Did you mean {suggestion!r}?"


def test_unknown_key_that_is_near_to_nothing(file: Path) -> None:
    error = error_of(file, "train.zzzz=1")
    assert error.code == "E100" and "'train.zzzz'" in error.what and "Did you mean" not in error.fix


@pytest.mark.parametrize(
    ("override", "key", "reason"),
    [
        ("train.epochs=0", "train.epochs", "greater than or equal to 1 (given: 0)"),
        ("train.epochs=many", "train.epochs", "'many'"),
        ("model.hidden=[0]", "model", "1..65536"),
        ("fold.fps=100", "fold", "both name the goal"),
        ("verify.levels=['rtl']", "verify.levels", "must hold 'integer'"),
        ("verify.levels=['integer', 'integer']", "verify.levels", "twice"),
        ("verify.levels=['integer', 'silicon']", "verify.levels.1", "'silicon'"),
        ("target.clock_mhz=0", "target.clock_mhz", "greater than 0"),
        ("model=3", "model", "3"),
    ],
)
def test_impossible_values(override: str, key: str, reason: str, file: Path) -> None:
    if override == "model=3":
        file.write_text("model = 3")
        error = error_of(file)
    else:
        error = error_of(file, override)
    assert error.code == "E101"
    assert f"key {key!r}" in error.where
    assert reason in error.what


def test_several_mistakes_are_counted(file: Path) -> None:
    assert "(and 1 more)" in error_of(file, "train.epochs=0", "train.lr=-1.0").what


@pytest.mark.parametrize("section", ["model", "data"])
def test_missing_sections(section: str, tmp_path: Path) -> None:
    path = tmp_path / "part.toml"
    path.write_text({"model": "[data]\n", "data": "[model]\nnetwork = 'tfc'\n"}[section])
    error = error_of(path)
    assert error.code == "E101" and f"[{section}]" in error.what and "[export] model" in error.fix
    path.write_text("[export]\nmodel = 'net.onnx'\n")
    assert load_config(path).export.model == Path("net.onnx")


@pytest.mark.parametrize("content", [b"[model", b"network = ", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_not_toml(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    error = error_of(file)
    assert (error.code, error.where) == ("E102", str(file))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.toml").code == "E103"
    assert error_of(tmp_path).code == "E103"


@pytest.mark.parametrize("override", ["train.epochs", "epochs=3", "=3", "train.=3", ".epochs=3", "train..epochs=3", ""])
def test_overrides_that_are_none(override: str, file: Path) -> None:
    error = error_of(file, override)
    assert (error.code, error.where) == ("E104", "--set")
    assert repr(override) in error.what


def test_override_into_a_value(file: Path) -> None:
    error = error_of(file, "model.network.depth=3")
    assert error.code == "E104" and "'network'" in error.what


def test_overrides(file: Path) -> None:
    """TOML values; what is no TOML is a string; later ones win; sections are made where they are missing."""
    overrides = (
        "train.epochs=3",
        "train.epochs = 5",
        "train.optimizer=adam",
        'train.schedule="linear"',
        "train.decay_1d=true",
        "train.augment=['flip', 'crop']",
        "data.path=some/where=else",
        "fold.layers.fc_1.simd=4",
    )
    config = load_config(file, overrides)
    train = config.train
    assert (train.epochs, train.optimizer, train.schedule, train.decay_1d) == (5, "adam", "linear", True)
    assert train.augment == ("flip", "crop")
    assert config.data is not None and config.data.path == Path("some/where=else")
    assert (config.fold.layers["fc_0"].pe, config.fold.layers["fc_1"].simd) == (2, 4)


def test_dropped_keys_make_room_for_overrides(file: Path) -> None:
    """The file names cycles; asking for a rate instead must not name both."""
    assert error_of(file, "fold.fps=100").code == "E101"
    config = load_config(file, ("fold.fps=100",), drop=("fold.cycles",))
    assert (config.fold.cycles, config.fold.fps) == (None, 100.0)
    assert load_config(file, drop=("fold.fps", "bench.images", "nothing.here")) == load_config(file)
    file.write_text("fold = 3")
    with pytest.raises(FlipflowError, match="E101"):
        load_config(file, drop=("fold.cycles",))


def test_overrides_alone() -> None:
    config = parse_overrides(("export.model=net.onnx", "verify.samples=7"))
    assert config == Config.model_validate({"export": {"model": "net.onnx"}, "verify": {"samples": 7}})
    with pytest.raises(FlipflowError, match="E100"):
        parse_overrides(("nothing.here=1",))
