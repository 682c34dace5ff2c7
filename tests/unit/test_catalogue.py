"""Every error code that is raised is explained, and every explained code is raised."""

import ast
import re
from pathlib import Path

import pytest

from flipflow.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
ROOMS = ("train", "export", "hw", "sim", "cpu", "flipflow")
CODE = re.compile(r"E\d{3}")


def codes_in(path: Path) -> set[str]:
    """String constants that are an error code and nothing else (prose about codes does not count)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in strings if CODE.fullmatch(text)}


def used() -> set[str]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.name != "catalogue.py"]
    assert len(files) > 50
    return set().union(*(codes_in(path) for path in files))


def test_every_code_that_is_raised_is_explained() -> None:
    assert sorted(used() - set(CATALOGUE)) == []


def test_every_explained_code_is_raised() -> None:
    assert sorted(set(CATALOGUE) - used()) == []


def test_codes_are_in_order() -> None:
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_no_code_is_listed_twice() -> None:
    """A second entry would silently replace the first."""
    tree = ast.parse((ROOT / "flipflow" / "catalogue.py").read_text(encoding="utf-8"))
    (table,) = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    keys = [key.value for key in table.keys if isinstance(key, ast.Constant)]
    assert len(keys) == len(set(keys)) == len(CATALOGUE)


@pytest.mark.parametrize("code", CATALOGUE)
def test_explanations_are_whole_sentences(code: str) -> None:
    text = CATALOGUE[code]
    assert CODE.fullmatch(code) and text.endswith(".") and len(text) > 20
    assert text[0].isupper() or text[0] == "`" or text.startswith("accelerator.json")
