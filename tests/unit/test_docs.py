"""The documentation against what it speaks of: links, commands, keys, codes, snippets, generated parts."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from flipflow.catalogue import CATALOGUE
from flipflow.cli.main import app
from flipflow.config import load_config
from flipflow.config.load import parse_config, parse_overrides
from flipflow.sweep import read_sweep

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [path for room in ("flipflow", "train", "export", "hw", "sim") for path in (ROOT / room).rglob("*.py")]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def _snippets(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _commands(text: str) -> list[list[str]]:
    """`flipflow ...` in code spans and shell snippets, split into words; without comments."""
    spans = re.findall(r"`(flipflow [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [line.strip() for part in _snippets(text, "sh") for line in part.splitlines()]
    found = [one for span in spans for one in re.split(r" && |; ", span)] + lines
    return [shlex.split(line, comments=True) for line in found if re.match(r"flipflow( |$)", line)]


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_generated_parts_are_up_to_date() -> None:
    script = ROOT / "scripts" / "generate_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@by_page
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        assert path.is_relative_to(ROOT), f"{page.name}: {target} leaves the repository"
        if anchor:
            assert anchor in _anchors(path), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
def test_commands_and_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":
        text = "```sh\n" + "\n".join(re.split(r"  +", line.strip())[0] for line in text.splitlines()) + "\n```"
    for words in _commands(text):
        verb = words[1]
        assert verb in COMMANDS, f"{page.name}: {' '.join(words)}"
        known = {option for parameter in COMMANDS[verb].params for option in parameter.opts} | {"--help"}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, f"{page.name}: {' '.join(words)} has {given - known}"


def test_every_command_is_in_the_readme() -> None:
    named = {words[1] for words in _commands((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert set(COMMANDS) - named <= {"version"}


@by_page
def test_overrides_and_configurations_are_valid(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in _commands(text):
        values = tuple(after for word, after in pairwise(words) if word == "--set")
        parse_overrides(values)
    for snippet in _snippets(text, "toml"):
        document = tomllib.loads(snippet)
        if "base" in document:
            (tmp_path / "sweep.toml").write_text(snippet)
            read_sweep(tmp_path / "sweep.toml", base=ROOT / "configs" / Path(document["base"]).name)
            continue
        if not any(isinstance(value, dict) for value in document.values()):
            # Bare keys are those of [model], as configuration.md lists the networks' defaults.
            default = {"network": "resnet"} if "widths" in document else {"network": "cnn", "layers": [{"channels": 1}]}
            document = {"model": {**default, **document}}
        parse_config(document, page.name)


@by_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_every_error_code_in_the_code_is_explained() -> None:
    raised = {code for path in SOURCES for code in re.findall(r'"(E[1-5]\d\d)"', path.read_text(encoding="utf-8"))}
    assert not raised - set(CATALOGUE), "add these to flipflow/catalogue.py"


@by_page
def test_error_codes_in_the_docs_exist(page: Path) -> None:
    named = set(re.findall(r"\bE[1-5]\d\d\b", page.read_text(encoding="utf-8")))
    assert not named - set(CATALOGUE), f"{page.name} names codes that flipflow/catalogue.py does not have"


def test_every_configuration_key_is_described() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    bare = [line for line in page.splitlines() if line.startswith("| `") and line.rstrip().endswith("|  |")]
    assert not bare, "say in the model's docstring what these keys mean"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert load_config(path).model is not None


def test_the_hook_snippet_runs() -> None:
    (snippet,) = _snippets((ROOT / "docs" / "ovsw.md").read_text(encoding="utf-8"), "python")
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "never_flipped=" in done.stdout


def test_no_paths_of_a_machine_in_the_docs() -> None:
    kept = [*PAGES, *EXAMPLES, *(ROOT / "docs" / "results").glob("*.json")]
    for path in kept:
        for found in re.findall(r"(?<![\w.~$}>])/(?:work|tmp|root|home|opt|mnt)/\S*", path.read_text(encoding="utf-8")):
            pytest.fail(f"{path.name}: {found}")
