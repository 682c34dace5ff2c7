"""The verb `fold`: its JSON, what it keeps for `build`, and refusals that say the best and what binds."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hw_graphs import Net

from flipflow.cli import main
from flipflow.cli.work import config_of
from flipflow.config import Config
from flipflow.hw.boards import load_board
from flipflow.hw.convert import convert
from flipflow.hw.fold_budget import board_budget
from flipflow.hw.fold_cost import Cost
from flipflow.hw.fold_optimum import Budget, Deadline, cheapest
from flipflow.hw.fold_pricing import fold_problem
from flipflow.hw.folding import FoldRequest, fold
from flipflow.hw.graph import kernels_of, load_model
from flipflow.hw.stitch import stitch

Least = Callable[..., int]
KEYS = {"fps", "cycles", "lut", "bram", "dsp", "finn_setfolding", "optimal", "seconds"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a streamlined graph: 6x6x2 at 4 bits, conv0 (3x3, binary weights) 4x4x4, pool0 2x2x4, fc0 3."""
    net = Net([6, 6, 2], "UINT4").conv(4, (3, 3)).levels("BIPOLAR", bits=True).pool(2, 2).linear(3)
    folder = tmp_path_factory.mktemp("runs") / "net"
    folder.mkdir()
    net.model().save(str(folder / "streamlined.onnx"))
    (folder / "config.toml").write_text('[export]\nmodel = "net.onnx"\n')
    return folder


@pytest.fixture(scope="module")
def least(exported: Path) -> Least:
    """The fewest LUTs at a pace and a number of block RAMs: to ask for a little more, or a little less."""
    problem = fold_problem(convert(load_model(exported / "streamlined.onnx")), {})

    def luts(pace: int, brams: int | None = None) -> int:
        found = cheapest(problem, pace, Budget(bram=brams), Deadline(30), Cost(lut=1))
        assert found is not None
        return found.cost.lut

    return luts


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "net"))


class Verb:
    """`flipflow fold`, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *words: object, code: int = 0) -> str:
        """What it prints on stdout; of a refusal, what it prints on stderr, in one line."""
        self.monkeypatch.setattr(sys, "argv", ["flipflow", "fold", *(str(word) for word in words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = self.capsys.readouterr()
        assert stop.value.code == code, said.err
        return " ".join(said.err.split()) if code else said.out


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verb:
    return Verb(monkeypatch, capsys)


def stitched(run: Path, config: Config) -> tuple[int, int, int]:
    """(cycles a frame, LUTs, block RAMs) of the accelerator that a configuration gives, without the FIFOs' last depths."""
    layers = {name: entry.model_dump(exclude_none=True) for name, entry in config.fold.layers.items()}
    model = convert(load_model(run / "streamlined.onnx"))
    fold(model, FoldRequest(fps=config.fold.fps, cycles=config.fold.cycles, layers=layers))
    ops = kernels_of(stitch(model))
    luts, blocks = (sum(getattr(op, f"{kind}_estimation")("") for op in ops) for kind in ("lut", "bram"))
    return max(op.get_exp_cycles() for op in ops), luts, blocks


def test_cheapest_for_a_rate(run: Path, verb: Verb) -> None:
    told = json.loads(verb(run, "--fps", 100_000, "--clock-mhz", 50, "--json"))
    assert set(told) == KEYS
    assert told["optimal"] is True
    assert told["cycles"] <= 500
    assert told["fps"] == pytest.approx(50e6 / told["cycles"], abs=1e-3)
    assert set(told["finn_setfolding"]) == {"lut", "bram", "cycles"}
    assert told["finn_setfolding"]["cycles"] <= 500
    # `build` finds the same for the same rate.
    same = config_of(run, ("fold.fps=100000", "target.clock_mhz=50"))
    request = same.model_copy(update={"fold": same.fold.model_copy(update={"fps": None, "cycles": 500})})
    assert stitched(run, request) == (told["cycles"], told["lut"], told["bram"])
    assert config_of(run, ()).fold.fps is None  # nothing is kept without --write


def test_fastest_for_a_budget_is_kept_for_build(run: Path, verb: Verb, least: Least) -> None:
    luts = least(288, 3)
    told = json.loads(verb(run, "--luts", luts, "--brams", 3, "--write", "--json"))
    assert told["lut"] <= luts
    assert told["bram"] <= 3
    assert told["cycles"] == next(pace for pace in (144, 288) if least(pace, 3) <= luts)
    kept = config_of(run, ())
    assert set(kept.fold.layers) == {"conv0", "pool0", "fc0"}
    assert stitched(run, kept) == (told["cycles"], told["lut"], told["bram"])
    # The next call is free to choose again.
    other = json.loads(verb(run, "--cycles", 200, "--json"))
    assert (other["cycles"], other["lut"]) != (told["cycles"], told["lut"])


def test_layers_given_stay(run: Path, verb: Verb) -> None:
    verb(run, "--cycles", 1000, "--set", "fold.layers.conv0.pe=4", "--write", "--json")
    assert config_of(run, ()).fold.layers["conv0"].pe == 4
    assert "E304" in verb(run, "--cycles", 1000, "--set", "fold.layers.conv0.pe=3", code=2)


def test_a_rate_beyond_the_budget_says_the_best_and_what_binds(run: Path, verb: Verb, least: Least) -> None:
    most = least(144) - 1
    said = verb(run, "--fps", 600_000, "--luts", most, code=2)
    assert f"E330 --luts {most} 600,000 frames a second at 100 MHz (166 cycles a frame) cannot be reached" in said
    assert f"takes at least {least(166)} LUT4s ({most} are allowed)" in said
    best = re.search(r"best within the budget is .* \(([\d,]+) cycles a frame\); the next pace, (\d+) cycles", said)
    assert best
    cycles = int(best[1].replace(",", ""))
    assert least(int(best[2])) > most
    told = json.loads(verb(run, "--cycles", cycles, "--luts", most, "--json"))
    assert told["cycles"] == cycles
    assert "E330" in verb(run, "--cycles", cycles - 1, "--luts", most, code=2)


def test_a_rate_that_a_layer_cannot_reach(run: Path, verb: Verb) -> None:
    # conv0 reads 9 taps of 16 pixels: 144 cycles at least
    assert "E305 layer conv0" in verb(run, "--fps", 500_001, "--clock-mhz", 72, code=2)
    assert "E305 layer conv0" in verb(run, "--fps", 1e9, code=2)  # less than a cycle a frame
    assert "E330 --luts 9999" in verb(run, "--fps", 1e9, "--luts", 9999, code=2)
    said = verb(run, "--fps", 500_001, "--clock-mhz", 72, "--board", "ulx3s-85f", code=2)
    assert "E330" in said
    assert "layer conv0 takes 144 cycles a frame at its fastest" in said
    assert "The best within the budget is 500,000 frames a second" in said


def test_a_budget_that_nothing_fits(run: Path, verb: Verb) -> None:
    said = verb(run, "--luts", 300, code=2)
    assert "E331 --luts 300" in said
    assert re.search(r"takes at least [\d,]+ LUT4s \(300 are allowed\)", said)
    assert "ulx3s-85f" in said  # which would hold it


def test_limits_that_are_short_together(run: Path, verb: Verb, least: Least) -> None:
    """Each is enough by itself, and the message says the least of either while the other is kept to."""
    enough, most = least(1152, 0), least(1152)
    assert most < enough
    said = verb(run, "--luts", most, "--brams", 0, code=2)
    assert f"E331 --luts {most}, --brams 0" in said
    short = re.search(rf"takes at least {enough} LUT4s \({most} are allowed\) or (\d) 18-kbit block RAMs \(0 are", said)
    assert short
    blocks = int(short[1])
    assert least(1152, blocks) == most < least(1152, blocks - 1)


def test_boards(run: Path, verb: Verb) -> None:
    part = load_board("ulx3s-25f").part
    budget = board_budget("ulx3s-25f", 6 * 6 * 2 * 4)
    assert budget.lut is not None and budget.bram is not None
    assert 0.7 * part.lut < budget.lut < 0.92 * part.lut - 1000
    assert part.bram - 12 <= budget.bram < part.bram
    told = json.loads(verb(run, "--board", "ulx3s-25f", "--json"))
    assert told["cycles"] == 144
    assert told["lut"] <= budget.lut
    assert "E370" in verb(run, "--board", "ulx3s-25g", code=2)
    large = board_budget("zcu104", 0)
    assert (large.lut, large.bram, large.dsp) == (
        184_320,
        499,
        1382,
    )  # 0.8 of 230,400 LUTs, 624 half block RAMs, 1,728 DSP


def test_front(run: Path, verb: Verb) -> None:
    told = json.loads(verb(run, "--pareto", "--out", run / "pictures", "--json"))
    rows = told["pareto"]
    assert len(rows) >= 3
    assert all(row["optimal"] for row in rows)
    weights = [row["lut"] + 48 * row["bram"] + 32 * row["dsp"] for row in rows]
    assert weights == sorted(set(weights), reverse=True)
    assert [row["cycles"] for row in rows] == sorted({row["cycles"] for row in rows})
    assert {Path(file).name for file in told["plots"]} == {"pareto.png", "pareto.svg"}
    assert all(Path(file).stat().st_size > 1000 for file in told["plots"])


def test_a_person_sees_tables(run: Path, verb: Verb) -> None:
    assert verb(run, "--cycles", 1000) == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "E106"),
        (("--fps", "10", "--cycles", "10"), "E106"),
        (("--pareto", "--fps", "10"), "E106"),
        (("--fps", "10", "--out", "pictures"), "E106"),
        (("--fps", "0"), "E101"),
        (("--cycles", "many"), ""),
        (("--set", "fold.layers.conv9.pe=2", "--cycles", "9999"), "E303"),
    ],
)
def test_bad_options(run: Path, verb: Verb, words: tuple[str, ...], code: str) -> None:
    assert code in verb(run, *words, code=2)


def test_no_run_and_no_export(run: Path, verb: Verb, tmp_path: Path) -> None:
    assert "E112" in verb(tmp_path / "nothing", "--fps", 1, code=2)
    (run / "streamlined.onnx").unlink()
    said = verb(run, "--fps", 1, code=2)
    assert "E452" in said
    assert "flipflow export" in said
