"""A small network in a run directory, and Verilator's model of its Vivado wrapper `flipflow_axi` as a device to talk to."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

import flipflow.hw
from flipflow.hw.vivado.board import VivadoBoard, load_vivado_board
from flipflow.hw.vivado.project import Project, write_project
from flipflow.sim import cache
from flipflow.sim.verilator import find_toolchain
from flipflow.sim.verilator_runtime import Model

HW = Path(flipflow.hw.__path__[0])
MAIN = Path(__file__).parent / "benches" / "axi_main.cpp"
_FLAGS = (
    *("--cc", "--exe", "--top-module", "flipflow_axi", "--prefix", "Vflipflow_axi", "-o", "device", "--threads", "1"),
    *("--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "unique", "--output-split", "0"),
)
_MAKE = (  # as sim/verilator.py builds fast, whose runtime library this then shares
    *("CFG_CXXFLAGS_STD=-std=gnu++17", "CFG_CXXFLAGS_PCH_I=-include", "CFG_LDLIBS_THREADS=-pthread"),
    *("OPT_SLOW=-O0", "OPT_GLOBAL=-O2", "OPT_FAST=-O0"),
)


def small_board(bits: int) -> VivadoBoard:
    """The PYNQ-Z1 with streams of at most `bits` bits, so that a beat may take several words."""
    return load_vivado_board(HW / "boards" / "pynq-z1.toml").model_copy(update={"stream_bits": bits})


def build(project: Project) -> Path:
    """The device program of a written project, from the cache or freshly built."""
    tools = find_toolchain()
    sources = sorted([*(project.folder / "rtl").glob("*.sv"), *(project.folder / "rtl").glob("*.v")])
    texts = {path.name: path.read_text() for path in sources} | {"axi_main.cpp": MAIN.read_text()}
    size = project.geometry
    defines = f"-DIN_BYTES={size.in_word_bits // 8} -DOUT_BYTES={size.out_word_bits // 8}"
    key = cache.digest([*tools.versions, *_FLAGS, *_MAKE, defines, *texts, *texts.values()])

    def fill(place: Path) -> None:
        for name, text in texts.items():
            (place / name).write_text(text)
        environment = os.environ | {"VERILATOR_ROOT": str(tools.root)}
        command = [str(tools.verilator), *_FLAGS, "--Mdir", "objects", "-CFLAGS", defines, *texts]
        _run(command, place, environment)
        Model(
            place / "objects", "Vflipflow_axi", tools.versions, (tools.make, f"CXX={tools.cxx}"), _MAKE,
            lambda words: _run(words, place, environment), precompile=True,
        ).compile()  # fmt: skip

    return cache.entry("axi-device", key, fill) / "objects" / "device"


def _run(command: Sequence[str], place: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


class Device:
    """The running model. Every method is one command of axi_main.cpp; breaches of a protocol end it (see `close`)."""

    def __init__(self, project: Project) -> None:
        self.word_bytes = project.geometry.out_word_bits // 8
        self._process = subprocess.Popen(
            [str(build(project))],
            cwd=project.folder / "rtl",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, complaint = self._process.communicate("q\n")
        if kind is None:
            assert self._process.returncode == 0, complaint

    def _ask(self, command: str) -> list[str]:
        assert self._process.stdin is not None and self._process.stdout is not None and self._process.stderr is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer or answer.startswith("%"):
            self._process.kill()
            raise AssertionError(f"the device stopped at {command[:60]!r}: {answer}{self._process.stderr.read()}")
        return answer.split()

    def stall(self, probability: float, seed: int = 1) -> None:
        """Stall every channel with this probability from now on."""
        self._ask(f"s {probability} {seed}")

    def write(self, address: int, data: int, strobe: int = 15) -> int:
        """Response of a write: 0 okay, 2 slave error."""
        return int(self._ask(f"w {address:x} {data:x} {strobe:x}")[0])

    def read(self, address: int) -> tuple[int, int]:
        """Response and value of a read."""
        response, value = self._ask(f"r {address:x}")
        return int(response), int(value, 16)

    def queue(self, data: bytes, last: bool = True) -> None:
        """Words to send in later cycles."""
        self._ask(f"a {int(last)} {data.hex()}")

    def send(self, limit: int = 100_000) -> int:
        """Step until all words are sent, with results refused; words left after `limit` cycles."""
        return int(self._ask(f"b {limit}")[0])

    def collect(self, words: int, limit: int = 200_000) -> tuple[bytes, list[bool]]:
        """Result words (fewer where `limit` cycles pass), and the tlast of each."""
        count, *rest = self._ask(f"c {words} {limit}")
        if count == "0":
            return b"", []
        return bytes.fromhex(rest[0]), [flag == "1" for flag in rest[1]]

    def drop(self) -> None:
        """Withdraw all words not yet sent, as a DMA does that is reset."""
        self._ask("d")


def write_run(folder: Path, rtl: Path, accel: dict[str, object]) -> Path:
    """A run directory with this accelerator, and files that stand for its integer net (only their hash is used)."""
    sources = sorted(f"rtl/{path.name}" for path in rtl.iterdir())
    about = {"name": "small", "layers": [], **accel, "sources": sources}
    (folder / "accelerator.json").write_text(json.dumps(about))
    (folder / "integer.json").write_text("{}")
    np.savez(folder / "integer.npz", weights=np.arange(6))
    assert rtl.parent == folder
    return folder


def write_small_project(folder: Path, board: VivadoBoard, rtl: Path, accel: dict[str, object]) -> Project:
    """The Vivado project of such a run."""
    return write_project(write_run(folder, rtl, accel), board, 100.0, jobs=1)
