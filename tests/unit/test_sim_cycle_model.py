"""The cycle model against schedules worked out by hand. Cycle 0 is the first one out of reset."""

from typing import Any

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.sim.cycle_model import predict


def fifo(name: str, depth: int) -> dict[str, Any]:
    return {"name": name, "model": "fifo", "depth": depth}


def mvtu(name: str, sf: int, nf: int) -> dict[str, Any]:
    steps = {"steps": nf * sf, "consume": sf, "emit_from": sf - 1, "emit_period": sf, "latency": 4}
    return {"name": name, "model": "steps", **steps}


def gearbox(name: str, in_elems: int, out_elems: int, cap: int | None = None) -> dict[str, Any]:
    total = in_elems + out_elems if cap is None else cap
    return {"name": name, "model": "gearbox", "in_elems": in_elems, "out_elems": out_elems, "cap": total}


def window(name: str, **changes: int) -> dict[str, Any]:
    """3x3 pixels of one word, windows of 2x2, stride 1: 2x2 of them."""
    shape = {
        "words_per_pixel": 1,
        "ifm_height": 3,
        "ifm_width": 3,
        "kernel_h": 2,
        "kernel_w": 2,
        "stride_h": 1,
        "stride_w": 1,
        "pad_top": 0,
        "pad_left": 0,
        "ofm_height": 2,
        "ofm_width": 2,
        "rows": 4,
        "latency": 2,
    }
    return {"name": name, "model": "window", **shape, **changes}


def test_fifo_delays_one_cycle() -> None:
    # Word 0 in at 0, out at 1; one word a cycle from then on. Frames of 3: last beats in at 2, 5, 8, out one later.
    result = predict([fifo("f", 2)], 3, 3, 3)
    assert result.completion.tolist() == [3, 6, 9]
    assert result.completion.dtype == np.int64
    assert (result.latency, result.ii, result.steady, result.cycles) == (3, 3, True, 10)
    assert result.high_water == {"f": 1}


def test_fifo_ready_is_registered() -> None:
    # A unit of SF = 1, NF = 3 behind a FIFO of 2 takes its words at 1, 4, 7, 10. Its last step for a word is 2 cycles
    # later, and that beat leaves after 4 more. Words enter at 0, 1, 2 (at 2 the FIFO holds one), then it is full: the
    # pop of cycle 4 makes room that shows at 5, in time for the unit's next word.
    result = predict([fifo("f", 2), mvtu("m", 1, 3)], 4, 1, 3)
    assert result.completion.tolist() == [7, 10, 13, 16]
    assert result.high_water == {"f": 2}


def test_mvtu_replays_its_vector() -> None:
    # SF = 2, NF = 2: word 0 taken at 0, word 1 at 1 (emits, out at 5), replay at 2 and 3 (emits, out at 7). II = 4.
    result = predict([mvtu("m", 2, 2)], 3, 2, 2)
    assert result.completion.tolist() == [7, 11, 15]
    assert (result.latency, result.ii) == (7, 4)


def test_kernels_without_a_fifo_between() -> None:
    # The first unit (SF = 1, NF = 2) offers at 4, 5 | 6, 7 | ...; the second (SF = 2, NF = 2) takes at 4, 5, refuses
    # while it replays (6, 7), takes at 8, 9 again. Out of its steps 1 and 3: frame 0 ends at 7 + 4 = 11, then II = 4.
    result = predict([mvtu("a", 1, 2), mvtu("b", 2, 2)], 3, 1, 2)
    assert result.completion.tolist() == [11, 15, 19]


def test_chain_of_three_layers() -> None:
    # 784-256-256-10 with SIMD 16 and PE 16, 16, 2, a FIFO between any two (registers: +1 each).
    # m0 takes its 49 words at 1..49; its last group is step 783, at 784; out at 788; in m1's FIFO, seen at 789.
    # m1 has had 15 words by then; it takes the 16th at 789 (step 15); its last step 255 at 1029, out at 1033, seen at
    # 1034. m2 likewise takes the 16th at 1034 (step 15); its last step 79 at 1098, out at 1102, through f3 at 1103.
    chain = [fifo("f0", 4), mvtu("m0", 49, 16), fifo("f1", 4), mvtu("m1", 16, 16), fifo("f2", 4), mvtu("m2", 16, 5)]
    result = predict([*chain, fifo("f3", 4)], 4, 49, 5)
    assert result.latency == 1103
    assert np.diff(result.completion).tolist() == [784, 784, 784]


@pytest.mark.parametrize(
    ("sizes", "frame", "expected"),
    [
        # 2 to 3, cap 5. Cycle 0: level 0, takes; 1: 2, takes; 2: 4, gives, cannot take (4 + 2 > 5); 3: 1, takes;
        # 4: 3, gives and takes; 5: 2, as in cycle 1. So it gives at 2, 4, 6, 8, ...: 3 words in 4 cycles.
        ((2, 3), (3, 2), [4, 8, 12]),
        # 3 to 1, cap 4. Takes at 0; level 3, gives; 2, gives; 1, gives and takes (1 + 3 <= 4); 3, ...
        ((3, 1), (1, 3), [3, 6, 9]),
        # 1 to 3, cap 4. Takes at 0, 1, 2; level 3 at 3, gives and takes (3 + 1 <= 4); level 1 at 4, ...
        ((1, 3), (3, 1), [3, 6, 9]),
    ],
)
def test_gearbox_levels(sizes: tuple[int, int], frame: tuple[int, int], expected: list[int]) -> None:
    assert predict([gearbox("g", *sizes)], 3, *frame).completion.tolist() == expected


def test_window_reader_follows_the_writer() -> None:
    # Words 0..8 of frame 0 are written at 0..8 and readable one cycle later. Taps of window (0,0): words 0 1 3 4, read
    # at 1 2 4 5 (word 3 was written at 3). Then every cycle: (0,1): 1 2 4 5 at 6..9; (1,0): 3 4 6 7 at 10..13;
    # (1,1): 4 5 7 8 at 14..17. Out 2 cycles later: 19. Frame 1 is written from 9 on; row 0 (3 words) was released at 9,
    # so the ring of 12 words has room for 6 of its words, at 9..14, and for the rest after the release at 17.
    # The reader goes on at 18: words 0 1 3 4 at 18..21 and so on; word 8 comes long before 33. So 16 cycles a frame.
    result = predict([window("w")], 3, 9, 16)
    assert result.completion.tolist() == [19, 35, 51]


def test_window_padding_needs_no_input() -> None:
    # 1x1 image, 2x2 kernel, one row and column of padding before: taps pad pad pad word. The padded taps are read at
    # 0, 1, 2, the word at 3 (it came at 0); out at 5. Frame 1's pads at 4, 5, 6, word at 7.
    shape = {"ifm_height": 1, "ifm_width": 1, "pad_top": 1, "pad_left": 1, "ofm_height": 1, "ofm_width": 1}
    result = predict([window("w", **shape)], 2, 1, 4)
    assert result.completion.tolist() == [5, 9]


def test_window_skips_rows_before_they_come() -> None:
    # Kernel 1x1, stride 2 on 3x3: reads words 0, 2, 6, 8, written at 0, 2, 6, 8, hence at 1, 3, 7, 9; out at 11. With
    # the step at 3 it releases rows 0 and 1 while row 1 is still to come. Frame 1's words come 9 cycles later.
    shape = {"kernel_h": 1, "kernel_w": 1, "stride_h": 2, "stride_w": 2, "rows": 3}
    result = predict([window("w", **shape)], 2, 9, 4)
    assert result.completion.tolist() == [11, 20]


def test_window_drops_rows_that_nobody_reads() -> None:
    # 4x1 image, 1x1 kernel, 1 output row: row 0 is read at 1 (out at 3), rows 1 to 3 are dropped even though the ring
    # holds one word only. Frame 1's word comes at 4, out at 7.
    shape = {"ifm_height": 4, "ifm_width": 1, "kernel_h": 1, "kernel_w": 1, "ofm_height": 1, "ofm_width": 1, "rows": 1}
    assert predict([window("w", **shape)], 3, 4, 1).completion.tolist() == [3, 7, 11]


def test_pool_emits_in_its_last_tap() -> None:
    # 4 taps of 2 words: steps 0..7, words 6 and 7 come out, one cycle later: frame 0 at 8.
    pool = {"steps": 8, "consume": 8, "emit_from": 6, "emit_period": 1, "latency": 1}
    result = predict([{"name": "p", "model": "steps", **pool}], 2, 8, 2)
    assert result.completion.tolist() == [8, 16]


def test_stalls_are_drawn_from_the_seed() -> None:
    chain = [fifo("f0", 4), mvtu("m", 3, 2), fifo("f1", 4)]
    free = predict(chain, 20, 3, 2)
    stalled = [predict(chain, 20, 3, 2, stall=0.7, seed=seed).completion for seed in (1, 1, 2)]
    assert np.array_equal(stalled[0], stalled[1])
    assert not np.array_equal(stalled[0], stalled[2])
    assert np.all(stalled[0] >= free.completion)


def test_one_frame_has_no_interval() -> None:
    result = predict([fifo("f", 2)], 1, 3, 3)
    assert (result.ii, result.steady) == (0, False)


def test_deadlock_names_the_fifos() -> None:
    # A gearbox from 3 to 2 with room for 3 only: 3 in, 2 out, and then 1 + 3 > 3 for ever.
    chain = [fifo("front", 4), gearbox("narrow", 3, 2, cap=3), fifo("back", 4)]
    with pytest.raises(FlipflowError, match=r"'front' and FIFO 'back'.*in cycle \d+, with 5 beats taken") as caught:
        predict(chain, 4, 2, 3)
    assert caught.value.code == "E402"
    assert "full: front; empty: back" in caught.value.what


def test_deadlock_of_a_window() -> None:
    # Two rows of ring for a kernel of three rows: the reader waits for the third row, the writer for room.
    chain = [fifo("front", 2), window("w", kernel_h=3, ofm_height=1, rows=2), fifo("back", 4)]
    with pytest.raises(FlipflowError, match=r"'front' and FIFO 'back'.* full: front; empty: back"):
        predict(chain, 1, 9, 12)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ({"name": "x", "model": "lifo", "depth": 2}, "unknown model 'lifo'"),
        ({"name": "x", "model": "fifo", "depht": 2}, "missing or unknown keys: depht, depth"),
        ({"name": "x", "model": "fifo", "depth": 1}, "depth is 1"),
        ({"name": "x", "model": "fifo", "depth": 2.5}, "depth is 2.5"),
        ({"name": "x", "model": "fifo", "depth": True}, "depth is True"),
        ({"name": "", "model": "fifo", "depth": 2}, "name is missing"),
        ({"name": "f", "model": "fifo", "depth": 2}, "not unique"),
        ({**mvtu("x", 2, 1), "latency": 65}, "latency 65"),
        ({**mvtu("x", 2, 1), "consume": 3}, "consume 3 is above steps 2"),
        ({**mvtu("x", 2, 1), "emit_from": 2}, "emit_from 2"),
        (window("x", pad_top=2), "pad_top 2"),
    ],
)
def test_bad_descriptions_are_refused(kernel: dict[str, Any], words: str) -> None:
    with pytest.raises(FlipflowError, match=words) as caught:
        predict([fifo("f", 2), kernel], 1, 2, 2)
    assert caught.value.code == "E400"


def test_beats_must_add_up() -> None:
    with pytest.raises(FlipflowError, match=r"E401 m: gets 5 beats a frame, which is not a multiple of 2"):
        predict([fifo("f", 2), mvtu("m", 2, 1)], 1, 5, 2)
    with pytest.raises(FlipflowError, match=r"E401 m: gives 3 beats a frame, but the output is said to have 2"):
        predict([fifo("f", 2), mvtu("m", 2, 1)], 1, 6, 2)


@pytest.mark.parametrize("changes", [{"frames": 0}, {"stall": 1.0}, {"stall": -0.1}, {"seed": -1}])
def test_bad_arguments_are_refused(changes: dict[str, Any]) -> None:
    arguments = {"frames": 1, "in_beats_per_frame": 1, "out_beats_per_frame": 1, **changes}
    with pytest.raises(FlipflowError, match="E400"):
        predict([fifo("f", 2)], **arguments)


def test_empty_pipeline_is_refused() -> None:
    with pytest.raises(FlipflowError, match="E400"):
        predict([], 1, 1, 1)


@pytest.mark.parametrize("every", [False, True])
def test_a_deep_fifo_before_a_slow_unit(every: bool) -> None:
    # A word comes in every cycle, the unit (SF = 1, NF = 3, latency 4) takes word n at 1 + 3 n, so 1, 4, 7, ... and its last step
    # for it is 2 later. Word n comes at n while there is room: after it the FIFO holds n + 1 words less those that have left,
    # 2/3 of all. At 5,000 it is full, and 20,000 words are far more than that.
    count = 20_000
    result = predict([fifo("f", 5000), mvtu("m", 1, 3)], 1, count, 3 * count, every=every)
    assert result.completion.tolist() == [1 + 3 * (count - 1) + 2 + 4]
    assert result.high_water == {"f": 5000}


def test_depths_beyond_all_words_cost_nothing() -> None:
    huge = 2**31 - 1
    chain = [fifo("f", huge), gearbox("g", 2, 1, huge), fifo("b", huge), window("w", rows=huge), fifo("e", huge)]
    chain[3] |= {"ifm_height": 2, "ifm_width": 2, "ofm_height": 1, "ofm_width": 1}
    # Words 0 and 1 come out of the first FIFO at 1 and 2, two elements of each out of the width converter at 2 .. 5, out of
    # the second FIFO at 3 .. 6; written then, read one cycle later, two stages and a FIFO: 6 + 1 + 2 + 1.
    assert predict(chain, 1, 2, 4).completion.tolist() == [10]


def test_a_long_pipeline() -> None:
    # Every FIFO and every unit of one step (latency 4) adds its cycles to those of the last of three words.
    count = 1200
    chain = [kernel for i in range(count) for kernel in (fifo(f"f{i}", 2), mvtu(f"m{i}", 1, 1))]
    assert predict(chain, 2, 3, 3).completion.tolist() == [2 + 5 * count, 5 + 5 * count]
