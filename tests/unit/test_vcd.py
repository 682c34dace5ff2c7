"""Stream words out of a waveform, on a file written by hand."""

from pathlib import Path

import pytest

from flipflow.sim.vcd import stream_words

# a_* and b_* are streams of module top; b_valid shares its identifier with a_valid. The inner module has an a_data, too.
WAVE = """$timescale 1ps $end
$scope module TOP $end
$scope module top $end
$var wire 1 ! clk_i $end
$var wire 1 " rst_ni $end
$var wire 1 # a_valid $end
$var wire 1 $ a_ready $end
$var wire 4 % a_data [3:0] $end
$var wire 1 # b_valid $end
$var wire 1 & b_ready $end
$var wire 1 ' b_data $end
$scope module inner $end
$var wire 4 ( a_data [3:0] $end
$upscope $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
0!
0"
1#
1$
b0001 %
1&
1'
#5
1!
#10
0!
1"
b0011 %
#15
1!
b0101 %
0'
#20
0!
0$
#25
1!
#30
0!
1$
0&
b1111 (
#35
1!
0#
#40
0!
#45
1!
"""


def test_beats_out_of_reset(tmp_path: Path) -> None:
    """Edge at 5: in reset. 15: a takes 3, b 1. 25: a not ready, b takes 0. 35: a takes 5, b not ready. 45: nothing valid."""
    path = tmp_path / "wave.vcd"
    path.write_text(WAVE)
    assert stream_words(path, "top", ["a", "b"]) == {"a": [3, 5], "b": [1, 0]}


def test_missing_signal(tmp_path: Path) -> None:
    path = tmp_path / "wave.vcd"
    path.write_text(WAVE)
    with pytest.raises(KeyError, match="c_"):
        stream_words(path, "top", ["c"])
