"""Reading a run's TOML file, with overrides, and writing it back as resolved."""

import difflib
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from flipflow.config.deployment import BenchConfig, ExportConfig, FoldConfig, TargetConfig, VerifyConfig
from flipflow.config.model import ModelConfig
from flipflow.config.training import DataConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError


class Config(BaseModel):
    """All sections of a run. [model] and [data] may be missing only where [export] names a model from elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelConfig | None = None
    data: DataConfig | None = None
    train: TrainConfig = Field(default_factory=TrainConfig)
    ovsw: OvswConfig = Field(default_factory=OvswConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    fold: FoldConfig = Field(default_factory=FoldConfig)
    target: TargetConfig = Field(default_factory=TargetConfig)
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    bench: BenchConfig = Field(default_factory=BenchConfig)


def load_config(path: Path, overrides: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> Config:
    """Read `path`, leave out the keys `drop`, and apply `overrides` ("section.key=value", value in TOML; bare words are strings).

    Raises: FlipflowError E100 (unknown key), E101 (impossible value), E102 (not TOML), E103 (missing file), E104 (bad override).
    """
    document = read_toml(path)
    for key in drop:
        section, _, name = key.partition(".")
        table = document.get(section)
        if isinstance(table, dict):
            table.pop(name, None)
    for override in overrides:
        apply_override(document, override)
    return parse_complete(document, str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file. Raises: FlipflowError E102 (not TOML), E103 (missing file)."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FlipflowError(
            "E103", f"{error.strerror or error}.", str(path), "Name an existing configuration file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FlipflowError("E102", f"it is not valid TOML ({error}).", str(path), "Correct the line named.") from error


def parse_complete(document: dict[str, Any], where: str) -> Config:
    """As `parse_config`, and E101 where there is nothing to work on: no [model] and [data], and no [export] model."""
    config = parse_config(document, where)
    if config.export.model is None and (config.model is None or config.data is None):
        missing = "model" if config.model is None else "data"
        raise FlipflowError(
            "E101",
            f"the section [{missing}] is missing.",
            where,
            "Add it, or name a QONNX file under [export] model.",
        )
    return config


def parse_overrides(overrides: tuple[str, ...]) -> Config:
    """A configuration made of overrides alone; the rest are defaults."""
    document: dict[str, Any] = {}
    for override in overrides:
        apply_override(document, override)
    return parse_config(document, "--set")


def parse_config(document: dict[str, Any], where: str) -> Config:
    """Validate a document; errors name the key, as in `load_config`."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise explain(error, where) from error


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration, replacing `path` in one step."""
    document = config.model_dump(mode="json", exclude_none=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(tomli_w.dumps(document), encoding="utf-8")
    temporary.replace(path)


def apply_override(document: dict[str, Any], override: str) -> None:
    """Set one key of `document` from "section.key=value". Raises: FlipflowError E104."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise FlipflowError("E104", f"{override!r} is no override.", "--set", "Write section.key=value.")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    set_key(document, key.strip(), value, f"--set {override}")


def set_key(document: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set "section.key" of `document`. Raises: FlipflowError E104 where what should be a section is a value."""
    *tables, name = key.split(".")
    table = document
    for part in tables:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise FlipflowError("E104", f"{part!r} is a value, not a section.", where, "Name a key in it.")
        table = inner
    table[name] = value


def explain(error: ValidationError, where: str, root: type[BaseModel] = Config) -> FlipflowError:
    """What pydantic found in a document of `root`, as E100 (unknown key, with the nearest known one) or E101."""
    details = error.errors()
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
    detail = (unknown or details)[0]
    key = ".".join(str(part) for part in detail["loc"])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    if unknown:
        near = _nearest(detail, root)
        fix = (
            f"Did you mean {near!r}?" if near else "Remove it; docs/configuration.md and docs/sweeps.md list all keys."
        )
        return FlipflowError("E100", f"unknown key {key!r}{more}.", where, fix)
    reason = detail["msg"].removeprefix("Value error, ")
    given = "" if isinstance(detail["input"], dict) else f" (given: {detail['input']!r})"
    return FlipflowError("E101", f"{reason}{given}{more}.", f"{where}, key {key!r}", "Correct the value.")


def _nearest(detail: ErrorDetails, root: type[BaseModel]) -> str | None:
    """The known key closest to the unknown one in the same section."""
    *path, key = (str(part) for part in detail["loc"])
    section: type[BaseModel] | None = root
    for part in (part for part in path if not part.isdigit()):
        field = section.model_fields.get(part) if section else None
        # What is no field is a key that the user chose, such as a layer's name: the section stays.
        section = _section_of(field.annotation) if field else section
    names = list(section.model_fields) if section else []
    matches = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, UnionType, tuple, dict):
        found = [_section_of(argument) for argument in get_args(annotation)]
        return next((section for section in found if section is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
