"""Says in one message what a machine lacks before `make setup`; runs on any Python 3."""

import importlib.util
import shutil
import sys

OLDEST = (3, 11)


def missing():
    """Lines of what is missing, each with its Debian and Ubuntu package."""
    lines = []
    if sys.version_info < OLDEST:
        oldest, this = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:2]))
        lines.append("Python " + oldest + " or newer (this is " + this + "); name another with PYTHON=...")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        lines.append("the venv module: apt install python3-venv")
    for program, package in (("g++", "g++"), ("make", "make")):
        if shutil.which(program) is None:
            lines.append(program + ": apt install " + package)
    return lines


if __name__ == "__main__":
    found = missing()
    if found:
        sys.exit("flipflow cannot be set up; this machine lacks\n  " + "\n  ".join(found))
