"""Says in one message what a machine lacks before `make setup`; runs on any Python 3."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

OLDEST = (3, 11)


def missing():
    """Lines of what is missing, each with its Debian and Ubuntu package."""
    lines = []
    if sys.version_info < OLDEST:
        oldest, this = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:2]))
        lines.append("Python " + oldest + " or newer (this is " + this + "); name another with PYTHON=...")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        lines.append("the venv module: apt install python3-venv")
    compiler = os.environ.get("CXX")
    if compiler and shutil.which(compiler) is None:
        lines.append("the C++ compiler $CXX names, " + compiler + ": correct it, or unset it and apt install g++")
    if not compiler and not any(shutil.which(program) for program in ("c++", "g++", "clang++")):
        lines.append("a C++ compiler: apt install g++, or name one in $CXX")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        lines.append("the headers of Python: apt install python3-dev")
    if shutil.which("make") is None:
        lines.append("make: apt install make")
    return lines


if __name__ == "__main__":
    found = missing()
    if found:
        sys.exit("flipflow cannot be set up; this machine lacks\n  " + "\n  ".join(found))
