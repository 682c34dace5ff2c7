"""The netlist level: what synthesis makes of an accelerator gives the same integers in the same cycles."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.hw.build import build
from flipflow.hw.folding import FoldRequest
from flipflow.hw.netlist import accelerator_netlist
from flipflow.sim.netlist import simulate_netlist
from flipflow.sim.verify import compare_cycles
from tests.e2e.levels import Lowered, check_levels
from tests.networks import LayerPlan, NetPlan, images_for, write_network

pytest.importorskip("pyosys", reason="synthesis needs pyosys")

# Small, but with a window, pooling, wide and narrow words, ROMs in LUTs and a last layer deep enough for block RAM.
PLAN = NetPlan(
    input_shape=(1, 6, 6),
    input_bits=3,
    input_signed=False,
    layers=(LayerPlan(outputs=8, kernel=(3, 3), pad=1, pool=(2, 2)), LayerPlan(outputs=48)),
    classes=5,
    last_bits=4,
    epilogue=False,
    seed=17,
)
FOLD = {"conv0": {"pe": 2, "simd": 1}, "fc0": {"pe": 1, "simd": 4}, "fc1": {"pe": 1, "simd": 4}}


@dataclass(frozen=True)
class Built:
    """A run directory with an accelerator, its description, and images with their logits."""

    folder: Path
    accel: dict[str, Any]
    lowered: Lowered


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("run")
    lowered = check_levels(write_network(PLAN), images_for(PLAN, 6), folder)
    build(lowered.streamlined, folder, FoldRequest(layers=FOLD))
    return Built(folder, json.loads((folder / "accelerator.json").read_text()), lowered)


def check_family(built: Built, family: str, block_ram: str) -> None:
    done = simulate_netlist(built.folder, built.accel, built.lowered.integers, family)
    assert block_ram in done.netlist.read_text(), "the test is to have a block RAM in it"
    np.testing.assert_array_equal(done.result.logits, built.lowered.logits)
    cycles = compare_cycles(built.accel, done.result)
    assert cycles.equal, cycles
    stalled = simulate_netlist(built.folder, built.accel, built.lowered.integers, family, stall=0.4, seed=5)
    np.testing.assert_array_equal(stalled.result.logits, built.lowered.logits)


def test_ecp5(built: Built) -> None:
    check_family(built, "ecp5", "DP16KD")


@pytest.mark.slow
@pytest.mark.parametrize(("family", "block_ram"), [("gowin", "SPX9"), ("xc7", "RAMB18E1")])
def test_other_families(built: Built, family: str, block_ram: str) -> None:
    check_family(built, family, block_ram)


def test_made_once_and_again_when_the_rtl_changes(built: Built) -> None:
    first = accelerator_netlist(built.folder, built.accel, "ecp5")
    made = first.stat().st_mtime_ns
    assert accelerator_netlist(built.folder, built.accel, "ecp5").stat().st_mtime_ns == made
    rom = next((built.folder / "rtl").glob("fc0_weights.mem"))
    text = rom.read_text()
    rom.write_text("0" + text if len(text.splitlines()[0]) == 1 else text.upper() + "\n")
    try:
        assert accelerator_netlist(built.folder, built.accel, "ecp5").stat().st_mtime_ns != made
    finally:
        rom.write_text(text)


@pytest.mark.slow
def test_wrong_block_ram_contents_show(built: Built) -> None:
    """The images must pass through the netlist's own ROMs, not through the run's .mem files."""
    netlist = accelerator_netlist(built.folder, built.accel, "ecp5")
    sound = netlist.read_text()
    changed, count = re.subn(r"(\.INITVAL_00\(320'h)([0-9a-f]+)", lambda m: m[1] + m[2].translate(FLIP), sound)
    assert count
    netlist.write_text(changed)
    try:
        wrong = simulate_netlist(built.folder, built.accel, built.lowered.integers).result
    finally:
        netlist.write_text(sound)
    assert not np.array_equal(wrong.logits, built.lowered.logits)


FLIP = str.maketrans("0123456789abcdef", "fedcba9876543210")


def test_missing_rtl_is_named(built: Built, tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E406"):
        accelerator_netlist(tmp_path, built.accel, "ecp5")
