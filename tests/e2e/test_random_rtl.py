"""Random networks with random foldings through the RTL: logits, class, and every cycle that the model foresees."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipflow.hw.build import build
from flipflow.hw.convert import convert
from flipflow.hw.folding import FoldRequest, legal_values
from flipflow.hw.graph import load_model
from flipflow.sim import reference
from flipflow.sim.accelerator import simulate
from flipflow.sim.verify import compare_cycles
from tests.e2e.levels import check_levels
from tests.e2e.test_random_networks import RELAXED
from tests.networks import NetPlan, images_for, net_plans, write_network


def _check(plan: NetPlan, fold_seed: int, folder: Path) -> None:
    lowered = check_levels(write_network(plan), images_for(plan, 6), folder)
    generator = np.random.default_rng(fold_seed)
    legal = legal_values(convert(load_model(lowered.streamlined)))
    layers = {
        name: {key: int(generator.choice(values)) for key, values in knobs.items()} for name, knobs in legal.items()
    }
    build(lowered.streamlined, folder, FoldRequest(layers=layers))
    description = json.loads((folder / "accelerator.json").read_text())
    result = simulate(folder / "rtl", description, lowered.integers, quick=True)
    np.testing.assert_array_equal(result.logits, lowered.logits)
    np.testing.assert_array_equal(result.classes, reference.classify(lowered.logits))
    cycles = compare_cycles(description, result)
    assert cycles.equal, cycles
    stalled = simulate(folder / "rtl", description, lowered.integers, stall=0.4, seed=fold_seed, quick=True)
    np.testing.assert_array_equal(stalled.logits, lowered.logits)


@settings(RELAXED, max_examples=6)
@given(plan=net_plans(), fold_seed=st.integers(0, 2**31 - 1))
def test_random_networks(plan: NetPlan, fold_seed: int, tmp_path: Path) -> None:
    _check(plan, fold_seed, tmp_path)


@settings(RELAXED, max_examples=6)
@given(plan=net_plans(max_convolutions=1), fold_seed=st.integers(0, 2**31 - 1))
def test_random_shallow_networks(plan: NetPlan, fold_seed: int, tmp_path: Path) -> None:
    _check(plan, fold_seed, tmp_path)


@pytest.mark.slow
@settings(RELAXED, max_examples=100)
@given(plan=net_plans(), fold_seed=st.integers(0, 2**31 - 1))
def test_many_random_networks(plan: NetPlan, fold_seed: int, tmp_path: Path) -> None:
    _check(plan, fold_seed, tmp_path)
