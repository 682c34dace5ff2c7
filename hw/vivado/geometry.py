"""How an accelerator's beats travel over AXI4-Stream: in words of whole bytes, a power of two of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.sim.beats import input_stream, output_stream


@dataclass(frozen=True)
class Geometry:
    """Parameters of hw/rtl/axi/axi_accelerator.sv for one accelerator.

    A beat of the accelerator is ceil(beat_bits / word_bits) words of the stream, low bits first; a frame is `beats` beats.
    """

    in_word_bits: int
    in_beat_bits: int
    in_beats: int
    out_word_bits: int
    out_beat_bits: int
    out_beats: int
    classes: int
    fifos: int

    @property
    def in_words(self) -> int:
        """Words of a frame in."""
        return self.in_beats * -(-self.in_beat_bits // self.in_word_bits)

    @property
    def out_words(self) -> int:
        """Words of a frame out."""
        return self.out_beats * -(-self.out_beat_bits // self.out_word_bits)

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of the RTL module by name, but for the network's hash."""
        names = {"fifos": "NumFifos"}
        return {
            names.get(key, "".join(part.title() for part in key.split("_"))): value
            for key, value in asdict(self).items()
        }


def geometry(accel: Mapping[str, Any], narrowest: int, widest: int) -> Geometry:
    """The geometry of an accelerator.json on a board whose streams have words of `narrowest` to `widest` bits.

    Raises: FlipflowError E406 (accelerator.json).
    """
    source, sink = input_stream(accel), output_stream(accel)
    fifos = accel.get("fifos")
    if not isinstance(fifos, list) or not fifos:
        raise FlipflowError("E406", "lists no FIFOs.", "accelerator.json fifos", "Build again.")
    return Geometry(
        in_word_bits=word_bits(source.tdata_width, narrowest, widest),
        in_beat_bits=source.tdata_width,
        in_beats=source.beats_per_frame,
        out_word_bits=word_bits(sink.tdata_width, narrowest, widest),
        out_beat_bits=sink.tdata_width,
        out_beats=sink.beats_per_frame,
        classes=sink.classes,
        fifos=len(fifos),
    )


def word_bits(beat_bits: int, narrowest: int, widest: int) -> int:
    """Bits of a stream word for beats of `beat_bits`: the next power of two, within `narrowest` and `widest`.

    The accelerator takes at most a beat a cycle, so a word for each beat, padded, is as fast as packed beats would be.
    """
    return min(widest, max(narrowest, 1 << (beat_bits - 1).bit_length()))
