"""What a wheel of flipflow holds, and that it works without the checkout; the setup's own check of a machine."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flipflow.sim
from flipflow.errors import Exit, FlipflowError
from flipflow.sim import cycles

ROOT = Path(__file__).resolve().parents[2]
ROOMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]["wheel"]["packages"]
# What scikit-build-core leaves out of a wheel, besides what .gitignore names (its documentation, "Configuring your build").
IGNORED = {line.strip("/ ") for line in (ROOT / ".gitignore").read_text().splitlines()}


def _native(path: Path) -> bool:
    """Whether `path` is a source of the compiled part, which a wheel holds compiled (wheel.exclude in pyproject.toml)."""
    inside = path.relative_to(ROOT).parts
    return inside[0] == "cpu" and (path.suffix != ".py" or inside[1] == "arm")


def _kept(path: Path) -> bool:
    return path.is_file() and path.suffix not in {".so", ".pyc"} and not IGNORED & set(path.relative_to(ROOT).parts)


def _ships(path: Path) -> bool:
    return _kept(path) and not _native(path)


def _sources(room: str, kept: Callable[[Path], bool] = _ships) -> list[str]:
    """Paths of a room's files, relative to it: those that a wheel holds, or all that are `kept`."""
    return [str(path.relative_to(ROOT / room)) for path in (ROOT / room).rglob("*") if kept(path)]


def _own_folders(source: str) -> Iterator[tuple[int, str]]:
    """(n, "X/Y") of each `Path(__file__).parents[n] / "X" / "Y"` in Python source; `.parent` is `.parents[0]`."""
    within: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):  # outer expressions come first
        fit = isinstance(node, ast.BinOp | ast.Attribute | ast.Subscript) and node not in within
        text = ast.unparse(node) if fit else ""
        shape = r"Path\(__file__\)(?:\.resolve\(\))?\.parent(?:s\[(\d)\])?((?: / '[^']+')*)"
        if found := re.fullmatch(shape, text):
            within |= set(ast.walk(node))
            yield int(found[1] or 0), "/".join(re.findall(r"'([^']+)'", found[2]))


@pytest.mark.parametrize("room", ROOMS.values())
def test_what_the_code_opens_beside_itself_lies_in_a_shipped_room(room: str) -> None:
    for path in filter(_ships, (ROOT / room).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        folders = list(_own_folders(source))
        assert source.count("__file__") == len(folders), f"{path}: a use of __file__ that this test cannot follow"
        for above, folder in folders:
            target = path.parents[above] / folder
            assert target.exists(), f"{path}: {folder}"
            held = [file for file in target.rglob("*") if file.is_file()] if target.is_dir() else [target]
            held = [file for file in held if file.suffix != ".pyc"]
            for file in held:
                assert _ships(file), f"{file} would be left out of the wheel"


def test_pyproject_ships_every_room_with_code() -> None:
    imported = {
        name
        for room in ROOMS.values()
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"(?:from|import) flipflow\.(\w+)", path.read_text(encoding="utf-8"))
    }
    inside = {path.stem for path in (ROOT / "flipflow").iterdir()}
    assert imported - inside == {name.split("/")[1] for name in ROOMS if "/" in name}


def test_the_headers_that_the_build_needs_are_named_wherever_a_machine_is_set_up() -> None:
    assert "Development.Module" in (ROOT / "CMakeLists.txt").read_text()
    for place in ("Dockerfile", "README.md", "scripts/check_machine.py"):
        assert "python3-dev" in (ROOT / place).read_text(), place


def test_what_the_build_needs_is_pinned() -> None:
    lock = (ROOT / "requirements.lock").read_text().lower().replace("_", "-")
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for name in [*(re.match(r"[\w-]+", line)[0] for line in requires), "cmake", "ninja"]:  # type: ignore[index]
        assert re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE), name


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(flipflow.sim, "__path__", [str(tmp_path)])
    with pytest.raises(FlipflowError, match=rf"E411.*{re.escape(str(tmp_path))}.*make setup") as caught:
        cycles.library_path()
    assert caught.value.exit_code is Exit.TOOL_MISSING


@pytest.mark.parametrize("content", [b"no library", b""])
def test_broken_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    (tmp_path / cycles.LIBRARY).write_bytes(content)
    monkeypatch.setattr(flipflow.sim, "__path__", [str(tmp_path)])
    with pytest.raises(FlipflowError, match=r"E411.*does not load") as caught:
        cycles._load.__wrapped__()
    assert caught.value.exit_code is Exit.TOOL_MISSING


def _check_machine(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "check_machine.py"
    variables = {"PATH": str(path), **environment}
    return subprocess.run([sys.executable, script], env=variables, capture_output=True, text=True, check=False)


def test_setup_says_what_a_machine_lacks(tmp_path: Path) -> None:
    bare = _check_machine(tmp_path)
    assert bare.returncode == 1
    assert "apt install g++" in bare.stderr
    assert "apt install make" in bare.stderr
    for program in ("g++", "make", "mine"):
        (tmp_path / program).symlink_to(sys.executable)
    assert _check_machine(tmp_path).returncode == 0
    assert _check_machine(tmp_path, CXX="mine").returncode == 0
    wrong = _check_machine(tmp_path, CXX="theirs")
    assert wrong.returncode == 1
    assert "$CXX names, theirs" in wrong.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the checkout, so that no build folder is shared."""
    if importlib.util.find_spec("scikit_build_core") is None:
        pytest.skip("scikit-build-core is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for room in ROOMS.values():
        for path in _sources(room, _kept):
            (source / room / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / room / path, source / room / path)
    for name in ("CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source / name)
    for name in ("tests", "runs", "docs"):  # must stay out
        (source / name).mkdir()
        (source / name / "stray.py").touch()
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    (built,) = folder.glob("*.whl")
    return built


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command away from this checkout's import path; return its output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheel_is_complete_and_holds_nothing_else(wheel: Path) -> None:
    assert re.fullmatch(r"flipflow-[\d.]+-cp3\d+-cp3\d+-[\w.]+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"{name}/{path}" for name, room in ROOMS.items() for path in _sources(room)}
    compiled = {f"flipflow/sim/{cycles.LIBRARY}", f"flipflow/cpu/_core{sysconfig.get_config_var('EXT_SUFFIX')}"}
    assert held == expected | compiled
    for name in ("flipflow/py.typed", "flipflow/hw/rtl/fifo.sv", "flipflow/sim/harness/stall.h"):
        assert name in held
    assert any(name.endswith(".j2") for name in held)


@pytest.mark.slow
def test_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    # What flipflow needs comes from this environment; lines of a .pth file do not run that folder's own .pth files, so
    # an editable flipflow there stays out.
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    where = _run(python, "-c", "import flipflow.sim.cycles as c; print(c.__file__, c.library_path())", cwd=tmp_path)
    assert [Path(path).parent for path in where.split()] == [site / "flipflow" / "sim"] * 2
    flipflow_command = python.with_name("flipflow")
    assert "verilator" in _run(flipflow_command, "doctor", "--json", cwd=tmp_path)
    assert "E100" in _run(flipflow_command, "explain", "E100", "--json", cwd=tmp_path)
    shutil.copy(ROOT / "configs" / "digits-cnn.toml", tmp_path)
    short = ("--set", "train.epochs=2", "--set", "verify.samples=4", "--out", tmp_path / "run")
    _run(flipflow_command, "run", "digits-cnn.toml", *short, cwd=tmp_path)
    assert (tmp_path / "run" / "verify.json").is_file()
