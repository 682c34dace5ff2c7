"""docs/configuration.md from the pydantic models: every key with its type, range, default and meaning."""

import re
from dataclasses import asdict
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flipflow.config import Config
from flipflow.config.networks import NETWORKS

INTRO = """# Configuration

One TOML file a network. Unknown keys are refused, with the nearest known one named. A key that is left out has its
default. `--set section.key=value` overrides a key on the command line and may be given more than once. The resolved
configuration is saved as `config.toml` in the run directory.

```toml
[model]
network = "cnn"
layers = [{ channels = 16 }, { channels = 32, pool = 2 }]
padding = "zero"

[data]
dataset = "digits"
```

`[model]` and `[data]` are needed, unless `[export] model` names a QONNX file. All other sections may be left out.
"""

# What the docstrings leave out because the name says it.
PLAIN = {
    "train.epochs": "Passes over the training images.",
    "train.optimizer": "The optimizer.",
    "train.lr": "Largest learning rate.",
    "train.weight_decay": "L2 penalty of the optimizer.",
    "train.label_smoothing": "Share of the target spread over all classes.",
    "train.warmup_epochs": "Epochs of linear rise of the learning rate, before the schedule.",
    "train.crop_pad": "Pixels of 0 around the image before a crop.",
    "train.seed": "Of the weights, the order of images and the augmentation.",
    "ovsw.lambda_": "The floor of AGS.",
    "ovsw.sigma": "Flip rate below which SAD calls a weight silent.",
    "ovsw.momentum": "Of the running flip rate.",
    "model.weight_estimator": "See `estimator`.",
    "model.last_weight_bits": "See `first_weight_bits`.",
    "verify.rtl_samples": "See `finn_samples`.",
}
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def page() -> str:
    """The page without its first line."""
    parts = [INTRO]
    for name, field in Config.model_fields.items():
        section = _model_in(field.annotation)
        if section is not None:
            parts.append(_section(name, section))
    parts.append(_networks())
    return "\n".join(parts)


def _section(name: str, model: type[BaseModel]) -> str:
    lead, meanings = _meanings(model)
    lines = [f"## [{name}]\n", f"{lead}\n" if lead else "", "| key | type | default | meaning |", "|---|---|---|---|"]
    after = []
    for key, field in model.model_fields.items():
        nested = _model_in(field.annotation)
        if nested is not None:
            after.append("\n" + _section(f"{name}.{key}", nested))
        meaning = meanings.get(key) or PLAIN.get(f"{name}.{key}", "")
        cells = (f"`{key}`", _type(field.annotation, f"{name}.{key}") + _bounds(field), _default(field), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([line for line in lines if line] + after).rstrip() + "\n"


def _meanings(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """A docstring's opening words, and what it says about each key ("key: text." or "key, key: text.")."""
    text = " ".join((model.__doc__ or "").split())
    names = "|".join(sorted(map(re.escape, model.model_fields), key=len, reverse=True))
    starts = list(re.finditer(rf"(?:^|(?<=[.;:)] ))((?:{names})(?:, (?:{names}))*): ", text))
    meanings: dict[str, str] = {}
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        said = text[start.end() : end.start() if end else None].strip().rstrip(";.") + "."
        for key in start.group(1).split(", "):
            # Words that are themselves values keep their spelling.
            is_value = said.split()[0].strip(",.") in _values(model.model_fields[key].annotation)
            meanings[key] = (said if is_value else said[0].upper() + said[1:]).replace("<", "&lt;")
    lead = text[: starts[0].start()].strip() if starts else text
    return lead, meanings


def _values(annotation: Any) -> set[str]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return set().union(*(_values(part) for part in get_args(annotation)))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _type(annotation: Any, where: str) -> str:
    """A TOML reader's word for a type."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind in (Union, UnionType):
        return " or ".join(_type(part, where) for part in arguments if part is not NoneType)
    if kind is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if kind is tuple:
        return _list_type(arguments, where)
    if kind is dict:
        return f"table of [{where}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table of [{where}]"
    return {int: "integer", float: "number", bool: "true or false", Path: "path", str: "text"}[annotation]


def _list_type(arguments: tuple[Any, ...], where: str) -> str:
    if arguments[-1] is Ellipsis:
        return f"list: {_type(arguments[0], where)}"
    return f"[{', '.join(_type(part, where) for part in arguments)}]"


def _bounds(field: FieldInfo) -> str:
    # pydantic keeps each bound as an object with one attribute of that name (annotated_types.Ge and its kin).
    limits = {name: value for rule in field.metadata for name, value in asdict(rule).items()}
    if set(limits) == {"ge", "le"}:
        return f", {limits['ge']:g} to {limits['le']:g}"
    said = [f"{word} {limits[name]:g}" for name, word in _BOUNDS if name in limits]
    return ", " + ", ".join(said) if said else ""


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    return str(value)


def _networks() -> str:
    lines = [
        "## Networks\n",
        "`[model] network` chooses a set of defaults; any key beside it overrides one of them.\n",
    ]
    for name, defaults in NETWORKS.items():
        needed = [key for key, network in (("layers", "cnn"), ("hidden", "mlp")) if network == name]
        lines += [f"### {name}\n"]
        lines += [f"Give `{needed[0]}`.\n"] if needed else []
        lines += (
            ["```toml", *(f"{key} = {_toml(value)}" for key, value in defaults.items()), "```\n"] if defaults else []
        )
    return "\n".join(lines)
