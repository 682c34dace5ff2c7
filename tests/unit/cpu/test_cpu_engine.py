"""What users do wrong with engines and plan files, and that engines bear being shared. Answers come from the reference."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from flipflow.cpu import ISAS, Engine, available_isas, compile_plan, write_plan
from flipflow.cpu.bench.engines import choose_isas
from flipflow.cpu.bench.networks import small_residual_net
from flipflow.errors import FlipflowError
from flipflow.sim import reference

NET = small_residual_net(seed=1)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *NET.input_shape)).astype(np.int16)


def refusal(code: str, *arguments: object, **options: object) -> FlipflowError:
    with pytest.raises(FlipflowError) as caught:
        Engine(*arguments, **options)  # type: ignore[arg-type]
    assert caught.value.code == code and caught.value.fix
    return caught.value


def test_what_is_no_plan(tmp_path: Path) -> None:
    for other in (None, 3, [b"FLIPPLAN"]):
        assert type(other).__name__ in refusal("E554", other).what
    refusal("E555", "with\0zero")
    refusal("E555", "not utf-8 \udcff")
    os.mkfifo(tmp_path / "pipe")
    for place in ("/dev/null", tmp_path / "pipe", tmp_path):
        refusal("E555", place)


def test_plans_in_any_kind_of_bytes() -> None:
    plan, batch = compile_plan(NET), images(2)
    for data in (plan, bytearray(plan), memoryview(plan)):
        np.testing.assert_array_equal(Engine(data)(batch), reference.run(NET, batch))


def test_plans_are_not_written_over_devices_and_folders(tmp_path: Path) -> None:
    for place in (Path("/dev/null"), tmp_path, tmp_path / "none" / "net.plan"):
        with pytest.raises(FlipflowError, match="E555"):
            write_plan(NET, place)
    assert Path("/dev/null").is_char_device()
    write_plan(NET, str(tmp_path / "net.plan"))
    np.testing.assert_array_equal(Engine(tmp_path / "net.plan")(images(1)), reference.run(NET, images(1)))


def test_counts_of_threads_and_rounds() -> None:
    assert Engine(NET, threads=np.int64(2)).threads == 2
    engine = Engine(NET)
    for rounds in (0, -1, 10_001, 1.5, True):
        with pytest.raises(FlipflowError, match="E553"):
            engine.profile(images(1), rounds)  # type: ignore[arg-type]
    with pytest.raises(FlipflowError, match="E552"):
        engine.profile(images(0))
    assert len(engine.profile(images(1), 3)) == len(engine.describe().operators)


def test_a_system_that_gives_no_more_threads() -> None:
    """256 stacks do not fit the address space that is left."""
    code = (
        "import resource, sys; from flipflow.cpu import Engine; from flipflow.errors import FlipflowError\n"
        "plan = sys.stdin.buffer.read(); Engine(plan)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)\n"
        "try: Engine(plan, threads=256)\n"
        "except FlipflowError as error: print(error.code, error.where)\n"
    )
    if resource.getrlimit(resource.RLIMIT_STACK)[0] not in range(2 << 20, 1 << 40):
        pytest.skip("threads of unknown stack size here")
    done = subprocess.run([sys.executable, "-c", code], input=compile_plan(NET), capture_output=True, check=False)
    assert (done.stdout.decode(), done.stderr.decode()) == ("E553 threads=256\n", "")


def test_the_variable_stands_in_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIPFLOW_ISA", "scalar")
    assert (Engine(NET).isa, choose_isas(["auto"])) == ("scalar", ["scalar"])
    assert Engine(NET).describe().bytes["repacked"] == 0  # so the plan was written for it, too
    best = available_isas()[0]
    assert Engine(NET, best).isa == best
    foreign = next(isa for isa in ISAS if isa not in available_isas())
    for name in ("sse9", foreign):
        monkeypatch.setenv("FLIPFLOW_ISA", name)
        error = refusal("E550", compile_plan(NET, "scalar"))
        assert error.where == f"FLIPFLOW_ISA={name}"
    monkeypatch.setenv("FLIPFLOW_ISA", "auto")
    assert Engine(NET).isa == best


@pytest.mark.parametrize("threads", [1, 2])
def test_python_threads_share_an_engine(threads: int) -> None:
    engine, wrong = Engine(NET, threads=threads), []

    def work(seed: int) -> None:
        batch = images(2, seed)
        expected = reference.run(NET, batch)
        wrong.extend(seed for _ in range(100) if not np.array_equal(engine(batch), expected))

    workers = [Thread(target=work, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
