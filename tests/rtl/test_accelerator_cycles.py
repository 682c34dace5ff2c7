"""The cycle model against the RTL: every frame of random chains of kernels must leave in the very cycle predicted."""

from pathlib import Path

import numpy as np
import pytest
from pipeline_text import bank, write_roms
from random_pipelines import draw

from flipflow.sim import cycles, verilator
from flipflow.sim.cycle_model import predict, start
from flipflow.sim.pipeline import check
from flipflow.sim.runner import Job, run

RTL = Path(__file__).parents[2] / "hw" / "rtl"
CHAINS = 12  # a build
FRAMES = 4
STALLS = ((0.0, 0), (0.3, 1), (0.8, 2))


def compare(first_seed: int, directory: Path, branching: bool = False, count: int = CHAINS) -> None:
    """Build the pipelines of `count` seeds into one simulator and run each with and without stalls."""
    seeds = range(first_seed, first_seed + count)
    chains = [draw(seed, branching) for seed in seeds]
    in_width = max(chain.source.data_width for chain in chains)
    out_width = max(chain.sink.data_width for chain in chains)
    top = directory / "accelerator.sv"
    top.write_text(bank(chains, (in_width, out_width)))
    write_roms(chains, directory)
    binary = verilator.build([top, *sorted(RTL.glob("*.sv"))], jobs=1, quick=True)
    for index, (seed, chain) in enumerate(zip(seeds, chains, strict=True)):
        rng = np.random.default_rng(seed)
        words = -(-in_width // 32)
        beats = rng.integers(0, 2**32, (FRAMES, chain.source.beats, words), dtype=np.uint32)
        if in_width % 32:
            beats[..., -1] &= np.uint32((1 << in_width % 32) - 1)
        for stall, stall_seed in STALLS:
            expected = predict(
                chain.models, FRAMES, chain.source.beats, chain.sink.beats, stall=stall, seed=stall_seed
            ).completion
            job = Job(
                frames=FRAMES,
                in_beats=chain.source.beats,
                out_beats=chain.sink.beats,
                in_words=words,
                out_words=-(-out_width // 32),
                patience=50_000,
                stall=stall,
                seed=stall_seed,
                check_last=False,
                arguments=[f"+chain={index}"],
            )
            found = run(binary, directory, job, [beats], fifos=[]).completion
            assert np.array_equal(found, expected), (seed, stall, found, expected, chain.models)


def test_random_chains(tmp_path: Path) -> None:
    compare(0, tmp_path)


def test_random_branches(tmp_path: Path) -> None:
    compare(0, tmp_path, branching=True, count=5)  # the others of the twelve are slow


@pytest.mark.slow
@pytest.mark.parametrize("group", range(21))
@pytest.mark.parametrize("branching", [False, True])
def test_many_random_pipelines(group: int, branching: bool, tmp_path: Path) -> None:
    compare(group * CHAINS, tmp_path, branching)


@pytest.mark.parametrize("seed", range(24))
def test_both_engines_agree(seed: int) -> None:
    # What is worked out, and steps that leave out sleeping kernels, against stepping every kernel in every cycle.
    pipeline = draw(seed, branching=seed % 4 > 0)
    beats = pipeline.source.beats, pipeline.sink.beats
    for options in ({}, {"stall": 0.3, "seed": 1}, {"stall": 0.8, "seed": 2}, {"interval": 700}, {"interval": 4000}):
        quick = predict(pipeline.models, 25, *beats, **options)
        plain = predict(pipeline.models, 25, *beats, **options, every=True)
        assert np.array_equal(quick.completion, plain.completion), (seed, options)
        assert (quick.latency, quick.high_water) == (plain.latency, plain.high_water), (seed, options)


@pytest.mark.parametrize("seed", range(0, 24, 2))
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames_are_as_many_frames(seed: int, frames: int) -> None:
    # Before anything repeats itself, and with what kernels do ahead of a frame that never comes.
    pipeline = draw(seed, branching=seed % 4 > 0)
    beats = pipeline.source.beats, pipeline.sink.beats
    quick = predict(pipeline.models, frames, *beats)
    plain = predict(pipeline.models, frames, *beats, every=True)
    assert np.array_equal(quick.completion, plain.completion)
    assert quick.high_water == plain.high_water


@pytest.mark.parametrize("seed", range(12))
def test_sleeping_kernels_count_what_they_did(seed: int) -> None:
    pipeline = draw(seed, branching=seed % 4 > 0)
    beats = pipeline.source.beats, pipeline.sink.beats
    checked = check(pipeline.models, *beats)
    chains = start(checked), start(checked)
    for chain, every in zip(chains, (False, True), strict=True):
        assert chain.run(cycles.Job(5, *beats), stepping=cycles.Stepping(every=every))
    assert np.array_equal(chains[0].activity(), chains[1].activity())
    assert (chains[0].activity().sum(axis=1) == chains[0].cycle).all()
