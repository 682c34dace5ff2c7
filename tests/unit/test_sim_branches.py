"""The cycle model of pipelines that branch, against schedules worked out by hand. Cycle 0 is the first one out of reset."""

from typing import Any

import pytest
from test_sim_cycle_model import fifo, mvtu, window

from flipflow.errors import FlipflowError
from flipflow.sim.cycle_model import predict


def fork(name: str, outputs: int = 2) -> dict[str, Any]:
    return {"name": name, "model": "fork", "outputs": outputs}


def join(name: str, first: str, second: str, latency: int = 1) -> dict[str, Any]:
    return {"name": name, "model": "join", "latency": latency, "inputs": [first, second]}


def pad(name: str, before: int, through: int, after: int, latency: int = 1) -> dict[str, Any]:
    return {"name": name, "model": "pad", "before": before, "pass": through, "after": after, "latency": latency}


def after(kernel: dict[str, Any], source: str) -> dict[str, Any]:
    return {**kernel, "inputs": [source]}


def test_fork_and_join_pass_a_word_a_cycle() -> None:
    # A word taken by the fork at t is offered to both FIFOs at t+1, by them at t+2, the join's output is seen at t+3.
    pipeline = [fork("k"), fifo("a", 2), after(fifo("b", 2), "k:1"), join("j", "a", "b")]
    result = predict(pipeline, 3, 4, 4)
    assert result.completion.tolist() == [6, 10, 14]
    assert (result.latency, result.high_water) == (6, {"a": 1, "b": 1})


def test_fork_waits_for_its_slower_output() -> None:
    # Units of one word a vector, 1 and 3 steps, latency 4, the last step emits. The fork holds word n at 3n+1 (taken at 3n,
    # when the slow unit takes the one before: at 1, 4, 7, ...); word 1 waits in it for the slow unit at 2, 3 and leaves at 4.
    # The slow unit's last steps are at 3, 6, 9, so the words come out of it at 7, 10, 13, and out of the join at 8, 11, 14.
    slow = {"steps": 3, "consume": 1, "emit_from": 2, "emit_period": 1, "latency": 4}
    pipeline = [
        fork("k"),
        fifo("bypass", 4),
        {"name": "slow", "model": "steps", **slow, "inputs": ["k:1"]},
        join("j", "bypass", "slow"),
    ]
    result = predict(pipeline, 3, 1, 1)
    # The bypass has words 0, 1 and 2 at 2, 3 and 6; word 0 leaves it at 7, so the most it holds is 3.
    assert result.completion.tolist() == [8, 11, 14]
    assert result.high_water == {"bypass": 3}


def test_short_bypass_deadlocks_and_is_named() -> None:
    # The branch gathers 4 words before it gives 4 (steps 3..6). With a bypass of 2 the fork takes a third word, which it
    # cannot give there: the fourth one, which the branch needs, stays outside, and nothing moves.
    branch = {"steps": 7, "consume": 4, "emit_from": 3, "emit_period": 1, "latency": 1}
    pipeline = [
        fifo("front", 2),
        fork("k"),
        after(fifo("bypass", 2), "k:1"),
        after(fifo("side", 2), "k"),
        {"name": "gather", "model": "steps", **branch},
        fifo("gathered", 2),
        join("j", "gathered", "bypass"),
        fifo("back", 2),
    ]
    with pytest.raises(FlipflowError) as caught:
        predict(pipeline, 2, 4, 4)
    assert caught.value.code == "E402"
    pipeline[2] = {**pipeline[2], "depth": 3}
    assert predict(pipeline, 2, 4, 4).high_water["bypass"] == 3


def test_pad_gives_its_own_words_before_and_after() -> None:
    # One zero word before and two after each taken word: given at steps 0..3, the second step waits for the word. Word 0 is
    # there at 0, so steps 0, 1, 2, 3 are at 0, 1, 2, 3 and out 1 later: frame 0 ends at 4, frames are 4 apart.
    assert predict([pad("p", 1, 1, 2)], 3, 1, 4).completion.tolist() == [4, 8, 12]
    # Two words taken of three: the source offers one a cycle, refused at step 0. Latency 3: out at 2 + 3.
    assert predict([pad("p", 1, 2, 0, latency=3)], 2, 2, 3).completion.tolist() == [5, 8]


def test_join_waits_for_both_and_holds_while_refused() -> None:
    # One branch has a window of 2x2 over 3x3 words, taps at 19 - 2 and so on (see test_sim_cycle_model); the other, too: the
    # join sees both at the same cycles, one more register.
    pipeline = [fork("k"), window("a"), after(window("b"), "k:1"), join("j", "a", "b", latency=2)]
    # Everything is 1 cycle later for the fork and 2 for the join than the window alone: 19 -> 22, intervals as there.
    assert predict(pipeline, 3, 9, 16).completion.tolist() == [22, 38, 54]
    # A unit behind it takes a word every third cycle (SF = 1, NF = 3): 16 words in 48 cycles are the pace then.
    pipeline += [mvtu("m", 1, 3)]
    assert predict(pipeline, 6, 9, 48).ii == 48


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ([fork("k"), fifo("a", 2)], "nothing takes its output 'k:1'"),
        ([fork("k"), fifo("a", 2), after(fifo("b", 2), "k")], "its input 'k' is no output"),
        ([fork("k"), after(fifo("a", 2), "k:2")], "its input 'k:2' is no output"),
        ([fork("k"), fifo("a", 2), {**join("j", "a", "k:1"), "inputs": ["a"]}], "inputs is \\['a'\\]"),
        ([after(fifo("a", 2), "z")], "inputs is \\['z'\\]"),
        ([fork("k", 33)], "outputs 33 is above 32"),
        ([fork("k", 1)], "outputs is 1"),
        ([fifo("f", 2), fork("k")], "nothing takes its output 'k:1'"),
        ([fork("k"), after(fifo("a", 2), "k:1"), {**fifo("b", 2), "inputs": [["k"]]}], "its input \\['k'\\]"),
    ],
)
def test_bad_wires_are_refused(pipeline: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(FlipflowError, match=words) as caught:
        predict(pipeline, 1, 2, 2)
    assert caught.value.code == "E400"


def test_beats_must_agree_where_branches_meet() -> None:
    pipeline = [fork("k"), fifo("a", 2), after(mvtu("m", 1, 3), "k:1"), join("j", "a", "m")]
    with pytest.raises(FlipflowError, match="E401 j: gets 2 beats a frame at one input and 6 at the other"):
        predict(pipeline, 1, 2, 2)
