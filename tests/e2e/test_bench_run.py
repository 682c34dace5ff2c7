"""`flipflow bench RUN`, as a user and as a script meet it: the promised keys, every level of the run, and the tables."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flipflow.cli import work
from flipflow.cpu import available_isas, compile_plan
from flipflow.cpu.bench.options import BenchOptions
from flipflow.errors import FlipflowError
from flipflow.export.integer.net import IntegerNet
from tests.command import INTERRUPTIBLE, flipflow

BEST = available_isas()[0]
CNN = 'network = "cnn"\nlayers = [{channels = 8, pool = 2}]'
RESIDUAL = 'network = "resnet"\nwidths = [8]'
SETTINGS = """
[data]
dataset = "digits"
limit = 200
[train]
epochs = 2
threads = 1
[fold]
cycles = 2000
[bench]
images = 20
repeats = 1
"""
ROW = {"engine", "isa", "threads", "ms_median", "ms_spread", "file_bytes"}
KERNEL = {"shape", "isa", "form", "mac_per_cycle", "limit_mac_per_cycle"}
OPTIONS = ("--isa", BEST, "--rounds", "1")


def exported(folder: Path, model: str) -> Path:
    """A folder with the run `net`, trained and exported."""
    (folder / "net.toml").write_text(f"[model]\n{model}\n{SETTINGS}")
    flipflow("train", "net.toml", "--out", "net", cwd=folder)
    flipflow("export", "net", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = exported(tmp_path_factory.mktemp("chain"), CNN)
    flipflow("build", "net", cwd=folder)
    return folder


def test_json_has_the_promised_keys(chain: Path) -> None:
    command = [sys.executable, "-m", "flipflow", "bench", "net", *OPTIONS, "--json"]
    done = subprocess.run(command, cwd=chain, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document == json.loads((chain / "net/bench.json").read_text())
    assert [row["engine"] for row in document["rows"]] == [
        "flipflow", "onnxruntime-fp32", "onnxruntime-int8", "torch-fp32",
    ]  # fmt: skip
    assert all(set(row) >= ROW and row["threads"] == 1 and row["ms_median"] > 0 for row in document["rows"])
    net = IntegerNet.load(chain / "net/integer.json", chain / "net/integer.npz")
    assert document["rows"][0]["isa"] == BEST
    assert document["rows"][0]["file_bytes"] == len(compile_plan(net, BEST))
    assert document["checked"] == {"images": 20, "isas": [BEST]}
    # Four stages of a ResNet, bits and sums.
    assert len(document["kernels"]) == 8
    assert all(set(row) >= KERNEL and row["isa"] == BEST for row in document["kernels"])
    assert {row["form"] for row in document["kernels"]} == {"bits", "sums"}


def test_every_level_and_the_simulator_are_timed(chain: Path) -> None:
    out, err = flipflow("bench", "net", *OPTIONS, "--no-kernels", cwd=chain)
    assert out == ""
    document = json.loads((chain / "net/bench.json").read_text())
    levels = ["torch", "qonnx", "finn", "integer", "cpu"]
    assert [row["level"] for row in document["levels"]] == levels
    assert all(row["images"] == 20 and row["images_per_second"] > 0 for row in document["levels"])
    ii = json.loads((chain / "net/accelerator.json").read_text())["predicted"]["ii"]
    simulated = document["verilator"]
    assert simulated["images"] == min(2000, 3_000_000 // ii)
    assert simulated["cycles"] >= simulated["images"] * ii
    assert document["kernels"] == document["kernel_peers"] == []
    table = err[err.index("speed of the levels") :]
    rows = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in (
        line.strip("│┃").replace("┃", "│").split("│") for line in table.splitlines() if line.count("│") > 3
    )}  # fmt: skip
    assert list(rows) == [*levels, "rtl"]
    for row in document["levels"]:
        assert rows[row["level"]][:2] == ["20", f"{row['images_per_second']:,.0f}"]
    assert rows["rtl"][1] == f"{simulated['cycles_per_second'] / 1e6:,.2f}"
    for name in (f"flipflow {BEST}", "onnxruntime-fp32", "onnxruntime-int8", "torch-fp32", "logits equal to the NumPy"):
        assert name in err


def test_a_damaged_file_shows_before_anything_is_timed(chain: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(chain / "net"), str(tmp_path)], check=True)
    (tmp_path / "net/checkpoint.pt").write_bytes(b"torn")
    _, err = flipflow("bench", "net", cwd=tmp_path, check=2)
    assert "E161" in err and "bench peers" not in err
    (tmp_path / "net/integer.npz").unlink()
    _, err = flipflow("bench", "net", "--json", cwd=tmp_path, check=2)
    assert "E452" in err and "flipflow export net" in err


def test_a_residual_run_that_was_not_built(tmp_path: Path) -> None:
    folder = exported(tmp_path, RESIDUAL)
    out, _ = flipflow("bench", "net", *OPTIONS, "--no-kernels", "--json", cwd=folder)
    document = json.loads(out)
    assert [row["level"] for row in document["levels"]] == ["torch", "qonnx", "finn", "integer", "cpu"]
    assert document["verilator"] is None


def test_interrupted_while_timing(chain: Path) -> None:
    command = [*INTERRUPTIBLE, "bench", "net", "--isa", BEST, "--rounds", "1000000"]
    process = subprocess.Popen(
        command, cwd=chain, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    try:
        while (line := process.stderr.readline()) != "bench: started\n":
            assert line, "ended before it was interrupted"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert "interrupted" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("target", "isas", "override", "plot", "code"),
    [
        ("resnet18", (), ("bench.images=3",), None, "E113"),
        ("resnet50", (), (), None, "E112"),
        ("net", ("sse9",), (), None, "E550"),
        ("net", (), ("bench.images=0",), None, "E101"),
        ("net", (), (), "none/chart.svg", "E571"),
        ("net", (), (), "chart.txt", "E571"),
    ],
)
def test_options_that_do_not_fit(
    chain: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    isas: tuple[str, ...],
    override: tuple[str, ...],
    plot: str | None,
    code: str,
) -> None:
    monkeypatch.chdir(chain)
    with pytest.raises(FlipflowError) as caught:
        work.bench(target, BenchOptions(isas=isas), override, False, None if plot is None else Path(plot), True)
    assert caught.value.code == code
