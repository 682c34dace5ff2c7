"""The compiled tests of the CPU path: as built for this machine, under sanitizers, for ARM under qemu, and NEON through SIMDe.

Builds go to the cache (sim/cache.py), named by their sources and compiler, so that only the first run after a change compiles.
Where SIMDe's headers are, the build for this machine holds the NEON kernels too, behind the machine's own.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from flipflow.sim import cache

CPU = Path(__file__).parents[2] / "cpu"
TOOLCHAIN = CPU / "arm" / "toolchain-aarch64.cmake"
SANITIZED = ("-DFLIPFLOW_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1")
ARM = (f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN}",)
SIMDE = platform.machine() == "x86_64" and Path("/usr/include/simde").is_dir()
HERE = ("-DFLIPFLOW_SIMDE=ON",) if SIMDE else ()
QEMU = ("qemu-aarch64", "-cpu", "max", "-L", "/usr/aarch64-linux-gnu")


def need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def run(*command: str, timeout: float = 900.0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def build(target: str, *options: str) -> Path:
    """The program `target` of cpu/CMakeLists.txt. All test programs are built at once, and once for these options."""
    need("cmake", "c++", "make")
    sources = sorted(
        path for path in CPU.rglob("*") if path.suffix in (".cpp", ".h", ".cmake") or path.name == "CMakeLists.txt"
    )
    compiler = run("c++", "--version")
    key = cache.digest([*options, compiler, *(part for path in sources for part in (str(path), path.read_bytes()))])

    def make(folder: Path) -> None:
        run("cmake", "-S", str(CPU), "-B", str(folder), "-G", "Unix Makefiles", "-DFLIPFLOW_TESTS=ON", *options)
        run("cmake", "--build", str(folder), "--parallel", "2")

    return next(path for path in cache.entry("cpu-tests", key, make).rglob(target) if path.is_file())


def test_kernels() -> None:
    assert run(str(build("kernel_test", *HERE)), "--cases", "300", "--require", "scalar")


@pytest.mark.parametrize("program", ["plan_test", "engine_test"])
def test_engine(program: str) -> None:
    run(str(build(program, *HERE)))


def test_kernels_under_sanitizers() -> None:
    run(str(build("kernel_test", *SANITIZED)), "--cases", "100")


@pytest.mark.parametrize("program", ["plan_test", "engine_test"])
def test_engine_under_sanitizers(program: str) -> None:
    run(str(build(program, *SANITIZED)))


def test_mutated_plans_under_sanitizers() -> None:
    run(str(build("fuzz_plan", *SANITIZED)), "--mutations", "1000")


@pytest.mark.slow
def test_many_mutated_plans_under_sanitizers() -> None:
    run(str(build("fuzz_plan", *SANITIZED)), "--mutations", "100000", "--seed", "2", timeout=3600.0)


@pytest.mark.slow
def test_many_kernel_cases() -> None:
    run(str(build("kernel_test", *HERE)), "--cases", "5000", "--seed", "2", timeout=3600.0)


@pytest.mark.parametrize("program", ["kernel_test", "plan_test", "engine_test"])
def test_arm_under_qemu(program: str) -> None:
    need("qemu-aarch64", "aarch64-linux-gnu-g++")
    options = ("--cases", "60", "--require", "neon", "--require", "neon_dot") if program == "kernel_test" else ()
    run(*QEMU, str(build(program, *ARM)), *options)


def test_neon_through_simde() -> None:
    if not SIMDE:
        pytest.skip("not installed: libsimde-dev, or no x86")
    run(str(build("kernel_test", *HERE)), "--cases", "60", "--require", "neon", "--require", "neon_dot")
