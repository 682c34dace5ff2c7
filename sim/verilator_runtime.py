"""Compiles what Verilator generated; the runtime library and the headers that all simulators share are compiled once.

Of a small simulator's build most is not its own: the runtime library's sources take several times as long as the model, and
every C++ file parses the library's and the standard library's headers anew. Both are kept in the build cache, the headers as a
GCC precompiled header. Clang reads its own only while no header's date changes, which a reinstalled package does: it goes
without. A precompiled header that does not fit is passed over by GCC, and the text of the same name taken instead.
"""

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipflow.sim import cache

_HEADER = "shared_headers.h"
# The harnesses' and the generated code's.
_INCLUDES = (
    *(
        "verilated.h",
        "algorithm",
        "array",
        "chrono",
        "cmath",
        "cstdint",
        "cstdio",
        "cstdlib",
        "deque",
        "functional",
        "map",
    ),
    *("memory", "random", "stdexcept", "string", "type_traits", "utility", "vector"),
)


@dataclass(frozen=True)
class Model:
    """A model that Verilator wrote, and how to compile it.

    objects: the folder, a child of the one that `run` works in. prefix: Verilator's --prefix. tools: versions of Verilator and
    of the compiler. make: the program and its constant arguments, as `make -j 2 CXX=g++`. settings: variables of the makefile
    (OPT_FAST=-O0) that decide what comes out. run: runs a command, and raises where it fails. precompile: use shared
    headers; only for models in one file, where the compiler's time counts.
    """

    objects: Path
    prefix: str
    tools: tuple[str, str]
    make: tuple[str, ...]
    settings: tuple[str, ...]
    run: Callable[[list[str]], None]
    precompile: bool = False

    def compile(self) -> None:
        """Leave the program in `objects`. Raises what `run` does, and FlipflowError E514 (cache)."""
        runtime = self._runtime_key()
        library = cache.entry("verilator-runtime", runtime, self._build_library)
        for item in library.iterdir():
            shutil.copy(item, self.objects)  # newer than its source, so make takes it as it is
        use = []
        if self.precompile and "clang" not in self.tools[1].lower():
            fast = [setting for setting in self.settings if setting.startswith("OPT_FAST=")]
            key = cache.digest([runtime, *fast, *_INCLUDES])
            headers = cache.entry("verilator-headers", key, self._build_headers)
            for item in headers.iterdir():
                _link(self.objects / item.name, item)
            use = [f"USER_CPPFLAGS=-include {_HEADER}"]
        self._make(*use)

    def _make(self, *words: str) -> None:
        command = [*self.make, "-C", self.objects.name, "-f", f"{self.prefix}.mk", f"PYTHON3={sys.executable}"]
        self.run([*command, *self.settings, *words])

    def _runtime_key(self) -> str:
        """What the runtime library depends on: not on OPT_FAST, nor on the model but for its kind (tracing, timing)."""
        settings = [setting for setting in self.settings if not setting.startswith("OPT_FAST=")]
        switches = re.findall(r"^VM_(?!PARALLEL_BUILDS)\w+ = .*$", self._classes(), re.MULTILINE)
        return cache.digest([*self.tools, *settings, *switches, *self._library()])

    def _classes(self) -> str:
        return (self.objects / f"{self.prefix}_classes.mk").read_text()

    def _library(self) -> Sequence[str]:
        """Objects of the runtime library that this kind of model needs, without `.o`."""
        lists = re.findall(r"^VM_GLOBAL_(?:FAST|SLOW) \+= \\\n((?:  \w+ \\\n)*)", self._classes(), re.MULTILINE)
        return re.findall(r"\w+", " ".join(lists))

    def _build_library(self, shelf: Path) -> None:
        names = [f"{name}.o" for name in self._library()]
        self._make(*names)
        for name in names:
            shutil.move(self.objects / name, shelf)

    def _build_headers(self, shelf: Path) -> None:
        text = self.objects / _HEADER
        text.write_text("".join(f"#include <{name}>\n" for name in _INCLUDES))
        # By the makefile's own rule, so that all flags agree; without the model's own macros, on which none of this depends.
        self._make("CFG_CXXFLAGS_PCH=-x c++-header", "VM_USER_CFLAGS=", f"{_HEADER}.fast.gch")
        shutil.move(self.objects / f"{_HEADER}.fast.gch", shelf / f"{_HEADER}.gch")
        shutil.move(text, shelf)


def _link(place: Path, target: Path) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to(target)
