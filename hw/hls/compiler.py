"""Finds finn-hlslib, ap_types and g++, and compiles a generated program, once for each set of sources."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.hls.codegen import INCLUDE

_LIBRARY = ("bnn-library.h", "mvau.hpp", "activations.hpp", "streamtools.h")
_AP_TYPES = ("ap_int.h", "hls_stream.h")
_HLS4ML = Path("templates") / "vivado" / "ap_types"
# finn-hlslib derives from std::binary_function and compares signed with unsigned; -w keeps that off the log.
_FLAGS = ("-std=gnu++17", "-O2", "-w")
_BINARY = "simulate"
_ERROR_LINES = 6


@dataclass(frozen=True)
class Headers:
    """Folders of finn-hlslib's headers and of ap_int.h."""

    hlslib: Path
    ap_types: Path


def find_headers(hlslib: Path | None, ap_types: Path | None) -> Headers:
    """Folders of the headers: those given, else the environment's FLIPFLOW_HLSLIB and FLIPFLOW_AP_TYPES, else hls4ml's.

    Raises: FlipflowError E396 (finn-hlslib), E397 (ap_types); exit code 2 for a wrong path, 3 where none is given.
    """
    library = hlslib or _from_environment("FLIPFLOW_HLSLIB")
    get = "Clone https://github.com/Xilinx/finn-hlslib, and name the folder with --hlslib or in $FLIPFLOW_HLSLIB."
    if library is None:
        raise FlipflowError("E396", "no path is given.", "finn-hlslib", get, Exit.TOOL_MISSING)
    _check("E396", library, _LIBRARY, get)
    types = ap_types or _from_environment("FLIPFLOW_AP_TYPES") or _of_hls4ml()
    get = "`pip install hls4ml` has them; or name the folder of ap_int.h with --ap-types or in $FLIPFLOW_AP_TYPES."
    if types is None:
        raise FlipflowError(
            "E397", "no path is given, and hls4ml is not installed.", "ap_types", get, Exit.TOOL_MISSING
        )
    _check("E397", types, _AP_TYPES, get)
    return Headers(library.resolve(), types.resolve())


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name, "")
    return Path(value) if value else None


def _of_hls4ml() -> Path | None:
    """The folder in an installed hls4ml; the package itself, which wants TensorFlow, is not imported."""
    spec = importlib.util.find_spec("hls4ml")
    places = list(spec.submodule_search_locations or []) if spec else []
    return next((Path(place) / _HLS4ML for place in places if (Path(place) / _HLS4ML).is_dir()), None)


def _check(code: str, folder: Path, files: tuple[str, ...], fix: str) -> None:
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        what = f"the folder has no {', '.join(missing)}." if folder.is_dir() else "there is no such folder."
        raise FlipflowError(code, what, str(folder), fix)


def build(files: Mapping[str, str], headers: Headers) -> tuple[Path, bool]:
    """Binary of a program (path below a folder -> text, main.cpp among them), and whether it was compiled just now.

    Raises: FlipflowError E398 (no g++: exit code 3; it does not compile: 2).
    """
    from flipflow.sim import cache  # noqa: PLC0415 - sim builds on hw; only its cache is used here

    compiler = _compiler()
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    includes = (INCLUDE, headers.hlslib, headers.ap_types)
    key = cache.digest([
        *(part for name in sorted(files) for part in (name, files[name])),
        *(part for folder in includes for part in _headers_of(folder)),
        *(version, *_FLAGS),
    ])  # fmt: skip
    fresh = False

    def compile_into(folder: Path) -> None:
        nonlocal fresh
        fresh = True
        _compile(compiler, files, includes, folder)

    return cache.entry("hls", key, compile_into) / _BINARY, fresh


def _headers_of(folder: Path) -> list[str | bytes]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".h", ".hpp"))
    return [part for path in paths for part in (path.name, path.read_bytes())]


def _compiler() -> str:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "c++", "clang++"]
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        fix = "Install one (Debian, Ubuntu: apt install g++), or name it in $CXX."
        raise FlipflowError("E398", "no C++ compiler found.", " ".join(names), fix, Exit.TOOL_MISSING)
    return found


def _compile(compiler: str, files: Mapping[str, str], includes: tuple[Path, ...], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    paths = [f"-I{path}" for path in (folder, *includes)]
    command = [compiler, *_FLAGS, *paths, str(folder / "main.cpp"), "-o", str(folder / _BINARY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    from flipflow.sim import cache  # noqa: PLC0415

    log = cache.root() / "hls" / "failed.log"
    log.write_text(" ".join(command) + "\n" + done.stderr + done.stdout)
    lines = done.stderr.replace(f"{folder}/", "").splitlines()
    quoted = "\n".join(([line for line in lines if "error" in line] or lines)[:_ERROR_LINES])
    what = f"the generated C++ does not compile with these headers:\n{quoted}\n"
    fix = f"FINN+ 1.6.1 goes with commit 8d979e2 of finn-hlslib. The whole log is {log}."
    raise FlipflowError("E398", what, str(includes[1]), fix)
