"""What simulators share: the runtime library of their kind, and the precompiled headers of their kind and optimisation."""

from pathlib import Path

import pytest

from flipflow.sim.verilator_runtime import Model

CLASSES = """VM_TIMING = 0
VM_PARALLEL_BUILDS = {parallel}
VM_TRACE = {trace}
VM_CLASSES_FAST += \\
  Vtop \\

VM_GLOBAL_FAST += \\
  verilated \\
  verilated_threads \\

VM_GLOBAL_SLOW += \\

"""
GCC, CLANG = "c++ (Debian 12.2.0-14) 12.2.0", "Debian clang version 14.0.6"
LIBRARY, HEADERS, MODEL = "library", "headers", "model"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Compiler:
    """Stands for make: notes what is asked for, and makes the files that are named."""

    def __init__(self, objects: Path) -> None:
        self.objects, self.asked, self.commands = objects, [], []
        objects.mkdir(parents=True)

    def __call__(self, command: list[str]) -> None:
        self.commands.append(command)
        goals = [word for word in command if word.endswith((".o", ".gch"))]
        for goal in goals:
            (self.objects / goal).write_text(goal)
        self.asked.append(LIBRARY if "verilated.o" in goals else HEADERS if goals else MODEL)


def compiled(
    folder: Path, compiler: str = GCC, fast: str = "-O0", precompile: bool = True, trace: int = 0, parallel: int = 0
) -> Compiler:
    run = Compiler(folder / "objects")
    (run.objects / "Vtop_classes.mk").write_text(CLASSES.format(trace=trace, parallel=parallel))
    settings = (f"OPT_FAST={fast}", "OPT_GLOBAL=-O2")
    Model(run.objects, "Vtop", ("Verilator 5", compiler), ("make", "-j", "1"), settings, run, precompile).compile()
    assert {"verilated.o", "verilated_threads.o"} <= {path.name for path in run.objects.iterdir()}
    return run


def test_the_second_model_finds_all_that_is_not_its_own(tmp_path: Path) -> None:
    assert compiled(tmp_path / "a").asked == [LIBRARY, HEADERS, MODEL]
    second = compiled(tmp_path / "b", parallel=1)
    assert second.asked == [MODEL]
    # The compiler is told to begin with a header that lies beside its precompiled form.
    (text,) = [word.rpartition(" ")[2] for word in second.commands[0] if word.startswith("USER_CPPFLAGS=-include ")]
    assert "#include <verilated.h>\n" in (second.objects / text).read_text()
    assert (second.objects / f"{text}.gch").read_text() == f"{text}.fast.gch"


def test_what_differs_is_made_anew(tmp_path: Path) -> None:
    compiled(tmp_path / "a")
    assert compiled(tmp_path / "fast", fast="-O2").asked == [
        HEADERS,
        MODEL,
    ]  # the library has an optimisation of its own
    assert compiled(tmp_path / "traced", trace=1).asked == [LIBRARY, HEADERS, MODEL]
    assert compiled(tmp_path / "other", compiler=GCC.replace("12.2.0", "13.1.0")).asked == [LIBRARY, HEADERS, MODEL]


def test_headers_are_not_precompiled_where_none_asks_nor_by_clang(tmp_path: Path) -> None:
    for name, options in {"plain": {"precompile": False}, "clang": {"compiler": CLANG}}.items():
        run = compiled(tmp_path / name, **options)  # type: ignore[arg-type]
        assert run.asked == [LIBRARY, MODEL]
        assert not any("USER_CPPFLAGS" in word for word in run.commands[-1])


def test_the_models_own_macros_stay_out_of_the_headers(tmp_path: Path) -> None:
    commands = compiled(tmp_path / "a").commands
    assert "VM_USER_CFLAGS=" in commands[1] and "VM_USER_CFLAGS=" not in commands[2]
