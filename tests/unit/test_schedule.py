"""Steady states, deadlines and timelines of the cycle model, against schedules worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_sim_branches import after, fork, join
from test_sim_cycle_model import fifo, mvtu

from flipflow.cli.console import ConsoleReporter
from flipflow.errors import FlipflowError
from flipflow.plots.draw import plot_run
from flipflow.sim.cycle_model import predict
from flipflow.sim.schedule import full_fifos, keeps, steady, timeline

# A FIFO and a unit that takes 2 words and needs 6 cycles a vector: words in at 1 and 2, the last step 6, out 4 later.
CHAIN = [fifo("f", 2), mvtu("m", 2, 3)]


def test_the_steady_state_is_exact() -> None:
    result = steady(CHAIN, 2, 3)
    assert (result.period, result.frames, result.ii, result.proven) == (6, 1, 6, True)
    assert result.latency == 10
    # Frames that come every 20 cycles leave every 20 cycles, and the FIFO never holds more than one word.
    slow = steady(CHAIN, 2, 3, interval=20)
    assert (slow.period, slow.frames, slow.high_water) == (20, 1, {"f": 1})


def test_what_repeats_itself_is_added_up_exactly() -> None:
    # A million frames, in no time: frame n leaves at 10 + 6 n.
    completion = predict(CHAIN, 1_000_000, 2, 3).completion
    assert np.array_equal(completion, 10 + 6 * np.arange(1_000_000))


def test_deadlines() -> None:
    assert keeps(CHAIN, 2, 3, interval=6, latency=10)
    assert not keeps(CHAIN, 2, 3, interval=6, latency=9)
    assert not keeps(CHAIN, 2, 3, interval=5, latency=100)  # each frame is a cycle later than the one before
    # The branch needs 4 words before it gives any; the bypass and the fork hold 3.
    branch = {"name": "m", "model": "steps", "steps": 7, "consume": 4, "emit_from": 3, "emit_period": 1, "latency": 1}
    pipeline = [fork("k"), after(branch, "k:1"), after(fifo("bypass", 2), "k"), join("j", "m", "bypass")]
    assert not keeps(pipeline, 4, 4, interval=1000, latency=1000)
    assert full_fifos(pipeline, 4, 4) == ["bypass"]
    assert full_fifos([*pipeline[:2], after(fifo("bypass", 4), "k"), pipeline[3]], 4, 4) is None
    with pytest.raises(FlipflowError, match="E402"):
        steady(pipeline, 4, 4)


def test_timeline() -> None:
    # The unit waits in cycle 0, works in 1..18 (three frames), and then waits until its last word has left at 22.
    times = timeline(CHAIN, 2, 3, frames=3, bins=1000)
    assert times.names == ("m",)
    assert times.edges.tolist() == list(range(24))
    assert times.activity[0, :, 0].tolist() == [0] + [1] * 18 + [0] * 4
    assert times.completion.tolist() == [10, 16, 22]
    assert (times.activity.sum(axis=2) == np.diff(times.edges)).all()


def test_refused_words_count_as_stalls() -> None:
    # The second unit takes a word every third cycle, the first could give one a cycle: it is refused in two of three.
    fast, slow = {**mvtu("a", 1, 1), "latency": 1}, mvtu("b", 1, 3)
    times = timeline([fast, slow], 30, 90, frames=1, bins=1)
    work, stall, wait = times.activity[0].sum(axis=0).tolist()
    assert work == 30
    assert stall == 2 * 29
    assert work + stall + wait == times.edges[-1]


def test_picture_of_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    about = {"pipeline": CHAIN, "input": {"beats_per_frame": 2}, "output": {"beats_per_frame": 3}}
    (tmp_path / "accelerator.json").write_text(json.dumps(about))
    files = plot_run(tmp_path, tmp_path / "plots", ConsoleReporter(True))
    assert [file.name for file in files] == ["pipeline.png", "pipeline.svg"]
    assert all(file.stat().st_size > 1000 for file in files)
    (tmp_path / "accelerator.json").write_text('{"pipeline": 5}')
    with pytest.raises(FlipflowError, match="E406"):
        plot_run(tmp_path, tmp_path / "plots", ConsoleReporter(True))
