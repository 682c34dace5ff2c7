"""Images that a user brings: arrays, pictures and folders, good and bad; never a traceback."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from flipflow.config import Config
from flipflow.errors import FlipflowError
from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import IntegerNet, lower
from flipflow.sim import images as source
from flipflow.sim.infer import infer, level_name
from tests.onnx_files import GraphWriter, save, signs

CONFIG = Config()


class Silent:
    def message(self, text: str) -> None: ...

    def progress(self, task: str, done: float, total: float, note: str = "") -> None: ...


def canonical(folder: Path, *shape: int, preamble: bool = False) -> CanonicalModel:
    """A model of images [N, *shape]: an 8-bit input and one binary layer; its files are in `folder`."""
    graph = GraphWriter("batch", *shape)
    if preamble:
        graph.node("Mul", graph.constant(255.0))
    graph.quant(8, signed=0)
    graph.node("Flatten", axis=1)
    graph.node("MatMul", graph.constant(signs(np.random.default_rng(0), int(np.prod(shape)), 3)))
    model, _ = canonicalize(read_model(save(graph.model(), folder)))
    assert model is not None
    onnx.save(model, folder / "model.qonnx.onnx")
    lower(model).save(folder / "integer.json", folder / "integer.npz")
    return CanonicalModel.load(folder / "model.qonnx.onnx")


@pytest.fixture
def model(tmp_path: Path) -> CanonicalModel:
    return canonical(tmp_path, 3, 4, 5)


def read(path: Path, model: CanonicalModel) -> source.Images:
    return source.read_images(path, model, CONFIG)


def refused(path: Path, model: CanonicalModel, reason: str = "") -> None:
    with pytest.raises(FlipflowError) as caught:
        read(path, model)
    assert caught.value.code == "E454" and reason in caught.value.what and caught.value.fix


# --- arrays ---


def test_arrays_with_and_without_labels(model: CanonicalModel, tmp_path: Path) -> None:
    values = np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    np.savez(tmp_path / "both.npz", images=values, labels=np.array([2, 0], np.uint8))
    images = read(tmp_path / "both.npz", model)
    np.testing.assert_array_equal(images.values, values)
    assert images.labels is not None and images.labels.dtype == np.int64 and images.labels.tolist() == [2, 0]
    np.savez(tmp_path / "alone.npz", images=values)
    assert read(tmp_path / "alone.npz", model).labels is None
    np.save(tmp_path / "plain.npy", values)
    first = read(tmp_path / "plain.npy", model).first(1)
    assert first.values.shape == (1, 3, 4, 5) and first.name == "plain.npy"
    assert images.first(1).labels is not None and len(images.first(0).values) == 2


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"pictures": np.zeros((2, 3))}, "pictures"),
        ({"images": np.zeros(3)}, "(3,)"),
        ({"images": np.float32(1)}, "()"),
        ({"images": np.zeros((0, 3))}, "(0, 3)"),
        ({"images": np.array([["a", "b"]])}, "type"),
        ({"images": np.zeros((1, 2), complex)}, "complex"),
        ({"images": np.array([[1.0, np.nan]])}, "not finite"),
        ({"images": np.array([[None, 1]], object)}, "no NumPy archive of numbers"),
        ({"images": np.zeros((2, 3)), "labels": np.zeros(3, int)}, "labels"),
        ({"images": np.zeros((2, 3)), "labels": np.zeros(2)}, "labels"),
    ],
)
def test_arrays_that_will_not_do(
    arrays: dict[str, np.ndarray], reason: str, model: CanonicalModel, tmp_path: Path
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(tmp_path / "bad.npz", model, reason)


@pytest.mark.parametrize("name", ["none.npz", "none.npy", "none.png", "none"])
def test_missing(name: str, model: CanonicalModel, tmp_path: Path) -> None:
    refused(tmp_path / name, model, "o such file")


@pytest.mark.parametrize("suffix", ["npz", "npy", "png"])
def test_damaged_files(suffix: str, model: CanonicalModel, tmp_path: Path) -> None:
    """Cut short anywhere, or with flipped bits: read as other values or refused, never anything else."""
    draw = np.random.default_rng(2)
    values = draw.integers(0, 256, (1, 3, 4, 5), np.uint8)
    path = tmp_path / f"image.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, images=values)
    elif suffix == "npy":
        np.save(path, values)
    else:
        Image.fromarray(values[0].transpose(1, 2, 0)).save(path)
    whole = path.read_bytes()
    outcomes = []
    for attempt in range(150):
        copy = bytearray(whole[: attempt * len(whole) // 75] if attempt < 75 else whole)
        if attempt >= 75:
            copy[int(draw.integers(len(copy)))] ^= 1 << int(draw.integers(8))
        path.write_bytes(copy)
        try:
            read(path, model)
            outcomes.append("read")
        except FlipflowError as error:
            outcomes.append(error.code)
    # The last bytes of a PNG only say that it ends.
    assert set(outcomes[:60]) == {"E454"} and set(outcomes) == {"E454", "read"}


# --- shapes ---


def test_shapes_that_the_model_takes(model: CanonicalModel, tmp_path: Path) -> None:
    values = np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    for given in (values, values.reshape(2, 60), values.astype(np.float64), values[:, None]):
        accepted = model.accept(given)
        assert accepted.dtype == np.float32 and accepted.shape == (2, 3, 4, 5)
        np.testing.assert_array_equal(accepted, values)
    grey = canonical(tmp_path, 1, 4, 5)
    assert grey.accept(np.zeros((7, 4, 5), np.uint8)).shape == (7, 1, 4, 5)


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (2, 3, 5, 4), (2, 3, 4, 4), (2, 12, 5), (60,), ()])
def test_shapes_that_it_does_not_take(shape: tuple[int, ...], model: CanonicalModel) -> None:
    """Channels last has the right number of elements, in the wrong order."""
    with pytest.raises(FlipflowError) as caught:
        model.accept(np.zeros(shape, np.uint8))
    assert caught.value.code == "E450" and "[N, 3, 4, 5]" in caught.value.what


# --- pictures ---


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (5, 4), value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (value, 2 * value, 3 * value) if mode == "RGB" else value).save(path)
    return path


def test_one_picture(model: CanonicalModel, tmp_path: Path) -> None:
    images = read(picture(tmp_path / "one.png"), model)
    assert images.values.shape == (1, 3, 4, 5) and images.labels is None
    assert images.values[0, :, 0, 0].tolist() == [7, 14, 21]


def test_grey_pictures(tmp_path: Path) -> None:
    grey = canonical(tmp_path, 1, 4, 5)
    assert read(picture(tmp_path / "one.png", "L"), grey).values.tolist() == [[[[7] * 5] * 4]]
    colour = read(picture(tmp_path / "two.png", "RGB", value=50), grey)
    # ITU-R 601: 0.299 * 50 + 0.587 * 100 + 0.114 * 150 = 90.75
    assert colour.values.shape == (1, 1, 4, 5) and abs(int(colour.values[0, 0, 0, 0]) - 90.75) < 1


def test_folders_name_classes_in_alphabetical_order(model: CanonicalModel, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name, value in (("dog/b.png", 1), ("cat/a.png", 2), ("dog/a.png", 3)):
        picture(folder / name, value=value)
    (folder / ".hidden").write_text("no picture")
    images = read(folder, model)
    assert images.values[:, 0, 0, 0].tolist() == [2, 3, 1]
    assert images.labels is not None and images.labels.tolist() == [0, 1, 1]


def test_a_flat_folder_has_no_labels(model: CanonicalModel, tmp_path: Path) -> None:
    picture(tmp_path / "set" / "a.png")
    picture(tmp_path / "set" / "b.bmp")
    images = read(tmp_path / "set", model)
    assert images.labels is None and len(images.values) == 2


def test_pictures_that_will_not_do(model: CanonicalModel, tmp_path: Path) -> None:
    refused(picture(tmp_path / "big.png", size=(6, 4)), model, "6x4 pixels, and the model takes 5x4")
    (tmp_path / "text.png").write_text("not a picture")
    refused(tmp_path / "text.png", model, "no picture")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", model, "no pictures")
    vector = canonical(tmp_path, 20)
    refused(picture(tmp_path / "one.png"), vector, "no picture; give an .npz")


def test_a_picture_that_claims_to_be_enormous(
    model: CanonicalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow refuses to decode more than twice MAX_IMAGE_PIXELS."""
    path = picture(tmp_path / "one.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    refused(path, model, "no picture")


# --- random ones, and levels ---


def test_random_images_visit_what_the_input_takes(model: CanonicalModel, tmp_path: Path) -> None:
    config = Config.model_validate({"verify": {"seed": 3}})
    images = source.test_images(config, model, 50)
    assert images.values.shape == (50, 3, 4, 5) and images.labels is None
    assert images.values.min() == 0.0 and images.values.max() == 255.0
    np.testing.assert_array_equal(images.values, source.test_images(config, model, 50).values)
    behind = source.test_images(config, canonical(tmp_path, 4, preamble=True), 0).values
    assert behind.shape == (20, 4) and 0 <= behind.min() < behind.max() <= 1


def test_inference_of_a_users_images(model: CanonicalModel, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (9, 3, 4, 5), np.uint8)
    weights = signs(np.random.default_rng(0), 60, 3)
    logits = values.reshape(9, 60).astype(np.int64) @ weights.astype(np.int64)
    np.savez(tmp_path / "in.npz", images=values, labels=np.argmax(logits, axis=1))
    for level in ("integer", "qonnx"):
        result = infer(CONFIG, tmp_path, tmp_path / "in.npz", level, tmp_path / "out.npz", Silent())
        assert result["accuracy"] == 1.0 and result["images"] == 9
        with np.load(tmp_path / "out.npz") as answers:
            np.testing.assert_array_equal(answers["logits"], logits)
            np.testing.assert_array_equal(answers["class"], np.argmax(logits, axis=1))
    assert not list(tmp_path.glob("*.tmp*"))


def test_inference_that_cannot_be(model: CanonicalModel, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", images=np.zeros((1, 60)))
    codes = []
    for level, out in (
        ("silicon", None),
        ("rtl", None),
        ("integer", tmp_path),
        ("integer", tmp_path / "none" / "out.npz"),
    ):
        with pytest.raises(FlipflowError) as caught:
            infer(CONFIG, tmp_path, tmp_path / "in.npz", level, out, Silent())
        codes.append(caught.value.code)
    assert codes == ["E455", "E452", "E456", "E456"]
    assert level_name("rtl") == "rtl"


# --- the files behind it ---


@pytest.mark.parametrize(
    ("name", "code"), [("integer.json", "E220"), ("integer.npz", "E220"), ("model.qonnx.onnx", "E200")]
)
def test_damaged_files_of_a_run(name: str, code: str, model: CanonicalModel, tmp_path: Path) -> None:
    """Cut short anywhere; a bit flipped anywhere."""

    def load() -> object:
        if code == "E200":
            return CanonicalModel.load(tmp_path / name)
        return IntegerNet.load(tmp_path / "integer.json", tmp_path / "integer.npz")

    whole, draw = (tmp_path / name).read_bytes(), np.random.default_rng(4)
    copies = [whole[:end] for end in range(0, len(whole) - 2, max(1, len(whole) // 60))]
    for _ in range(100):
        copy = bytearray(whole)
        copy[int(draw.integers(len(copy)))] ^= 1 << int(draw.integers(8))
        copies.append(bytes(copy))
    codes = set()
    for copy in copies:
        (tmp_path / name).write_bytes(copy)
        try:
            load()
        except FlipflowError as error:
            codes.add(error.code)
    assert codes == {code}
    (tmp_path / name).unlink()
    with pytest.raises(FlipflowError, match=code):
        load()
