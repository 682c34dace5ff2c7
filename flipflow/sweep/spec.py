"""What a sweep's TOML file says, and the trainings (cells) that it comes to.

    title = "AGS and SAD on Fashion-MNIST"
    base = "../fashion-cnn.toml"            # relative to this file
    seeds = [0, 1, 2]                       # train.seed of the cells of each point

    [set.train]                             # over the base, in every cell
    epochs = 6

    [variants]                              # named sets of keys
    vanilla = { ovsw.ags = false, ovsw.sad = false }
    AGS = { ovsw.sad = false }

    [axes]                                  # lists of values of any key
    ovsw.lambda_ = [0.01, 0.04]

A point is one variant at one value of every axis; a cell is a point with a seed.
"""

import copy
import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from flipflow.config import Config
from flipflow.config.load import apply_override, explain, parse_complete, read_toml, set_key
from flipflow.errors import FlipflowError

Document = dict[str, Any]
Values = tuple[tuple[str, Any], ...]


class SweepFile(BaseModel):
    """The file's keys as they stand; axes: nested tables as in a configuration, with lists at their ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    base: Path
    seeds: tuple[int, ...] = (0,)
    set: Document = Field(default_factory=dict)
    variants: dict[str, Document] = Field(default_factory=dict)
    axes: Document = Field(default_factory=dict)

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"`seeds` must be different numbers from 0 up, and is {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        for key, values in _leaves(self.axes):
            if not isinstance(values, list) or not values:
                raise ValueError(f"axis {key} must be a list of values, and is {values!r}")
            if len({_text(value) for value in values}) < len(values):
                raise ValueError(f"axis {key} has a value twice: {values!r}")
            if key == "train.seed":
                raise ValueError("seeds are no axis; give them under `seeds`")
        return self


@dataclass(frozen=True)
class Point:
    """One variant at one value of each axis: what becomes a row of the table. variant: None where there are none."""

    variant: str | None
    axes: Values

    @property
    def label(self) -> str:
        """Such as "AGS, lambda_=0.04"; the axes' keys by their last part."""
        parts = [] if self.variant is None else [self.variant]
        parts += [f"{key.rpartition('.')[2].rstrip('_')}={_text(value)}" for key, value in self.axes]
        return ", ".join(parts) or "base"


@dataclass(frozen=True, eq=False)
class Cell:
    """One training. document: its configuration, as read from TOML. folder: its run directory, below the sweep's."""

    point: Point
    seed: int
    document: Document
    config: Config
    folder: Path

    @property
    def label(self) -> str:
        """The point's, and the seed."""
        return f"{self.point.label}, seed {self.seed}"


@dataclass(frozen=True)
class Sweep:
    """All cells, point by point; those of a point follow each other, by seed."""

    title: str
    axes: tuple[str, ...]
    cells: tuple[Cell, ...]

    def points(self) -> list[tuple[Point, list[Cell]]]:
        """Points in order, with their cells."""
        return [(point, list(cells)) for point, cells in itertools.groupby(self.cells, key=lambda cell: cell.point)]


def read_sweep(path: Path, overrides: tuple[str, ...] = (), base: Path | None = None) -> Sweep:
    """Read a sweep's file and check the configuration of every cell.

    overrides: "section.key=value", over the base in every cell; they cannot touch what the sweep itself varies.
    base: another configuration than the file's. Relative data paths are taken from the working directory.
    Raises: FlipflowError E100 to E104 (files, keys, values), E180 (what makes no sweep).
    """
    try:
        file = SweepFile.model_validate(read_toml(path))
    except ValidationError as error:
        raise explain(error, str(path), SweepFile) from error
    root = read_toml(base or path.parent / file.base)
    _merge(root, file.set)
    for override in overrides:
        _refuse_varied(override, file)
        apply_override(root, override)
    axes = [[(key, value) for value in values] for key, values in _leaves(file.axes)]
    cells = []
    variants: dict[str | None, Document] = dict(file.variants.items()) or {None: {}}
    for variant, values, seed in itertools.product(variants, itertools.product(*axes), file.seeds):
        document = copy.deepcopy(root)
        _merge(document, variants[variant])
        cells.append(_cell(path, document, Point(variant, values), seed))
    _require_distinct(path, cells)
    return Sweep(file.title, tuple(key for key, _ in _leaves(file.axes)), tuple(cells))


def _cell(path: Path, document: Document, point: Point, seed: int) -> Cell:
    for key, value in (*point.axes, ("train.seed", seed)):
        set_key(document, key, value, str(path))
    config = parse_complete(document, f"{path}, cell {point.label!r}")
    if config.export.model is not None or config.data is None:
        what = "the base takes its model from a file ([export] model)."
        raise FlipflowError("E180", what, str(path), "Take a base that trains.")
    # Workers may have another working directory.
    for section, key in (("data", "path"), ("train", "init"), ("train", "teacher")):
        if document.get(section, {}).get(key) is not None:
            document[section][key] = str(Path(document[section][key]).expanduser().resolve())
    config = parse_complete(document, str(path))
    return Cell(point, seed, document, config, Path("cells") / _slug(point.label) / f"seed-{seed}")


def _require_distinct(path: Path, cells: list[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        trained = cell.config.model_dump(mode="json", include={"model", "data", "train", "ovsw"})
        for key in (json.dumps(trained, sort_keys=True), cell.folder.as_posix()):
            if key in seen:
                what = f"cells {seen[key].label!r} and {cell.label!r} are the same training, or have the same name."
                raise FlipflowError("E180", what, str(path), "Let them differ in a key and in name, or leave one out.")
            seen[key] = cell


def _refuse_varied(override: str, file: SweepFile) -> None:
    key = override.partition("=")[0].strip()
    documents = [*file.variants.values(), file.axes]
    if key == "train.seed" or any(key == varied for document in documents for varied, _ in _leaves(document)):
        what = f"the sweep varies {key} itself."
        raise FlipflowError("E180", what, f"--set {override}", "Change it in the sweep's file.")


def _merge(document: Document, changes: Document) -> None:
    """Lay `changes` over `document`, table by table; lists are replaced whole."""
    for key, value in changes.items():
        inner = document.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            _merge(inner, value)
        else:
            document[key] = copy.deepcopy(value)


def _leaves(document: Document, start: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in document.items():
        found += _leaves(value, f"{start}{key}.") if isinstance(value, dict) else [(f"{start}{key}", value)]
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _slug(label: str) -> str:
    """A folder's name for a label, with a digest where characters had to go."""
    plain = label.replace(", ", ",")
    slug = re.sub(r"[^\w.,=+-]+", "-", plain)
    return slug if slug == plain and len(slug) < 80 else f"{slug[:60]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
