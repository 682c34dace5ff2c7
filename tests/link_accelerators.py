"""Small accelerators of any stream format for the tests of boards and links, and the integers they must give.

Each sums its inputs with weights that a formula gives, so that every element and every class counts; the top module has the
ports of a generated accelerator.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IDENTITY = bytes(range(32))

_SOURCE = """
/* verilator lint_off WIDTH */
module accelerator (
  input logic clk_i, input logic rst_ni,
  input logic [{in_width}-1:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,
  output logic [{out_width}-1:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready, output logic m_axis_tlast,
  output logic [0:0] fifo_full_o, output logic [0:0] fifo_empty_o
);
  int sums [{classes}], next [{classes}], best, beat_in, beat_out;
  logic emit;
  function automatic int value(int element);
    logic [{bits}-1:0] raw;
    raw = s_axis_tdata[{bits}*element +: {bits}];
    return {value};
  endfunction
  always_comb begin
    for (int c = 0; c < {classes}; c++) begin
      next[c] = sums[c];
      for (int e = 0; e < {elems}; e++) next[c] += value(e) * (((beat_in * {elems} + e) * 7 + c * 13) % 11 - 5);
    end
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni || (m_axis_tvalid && m_axis_tready && m_axis_tlast)) begin
      beat_in <= 0; beat_out <= 0; emit <= 0;
      for (int c = 0; c < {classes}; c++) sums[c] <= 0;
    end else if (s_axis_tvalid && s_axis_tready) begin
      for (int c = 0; c < {classes}; c++) sums[c] <= next[c];
      beat_in <= beat_in + 1;
      emit <= beat_in == {beats} - 1;
    end else if (m_axis_tvalid && m_axis_tready) begin
      beat_out <= beat_out + 1;
    end
  end
  always_comb begin
    best = 0;
    for (int c = 1; c < {classes}; c++) if (sums[c] > sums[best]) best = c;
    m_axis_tdata = best << ({pe} * {logit_bits});
    m_axis_tdata[{pe}*{logit_bits} +: {class_bits}] = best;
    for (int p = 0; p < {pe}; p++) m_axis_tdata[{logit_bits}*p +: {logit_bits}] = sums[beat_out * {pe} + p];
  end
  assign m_axis_tvalid = emit;
  assign m_axis_tlast = beat_out == {out_beats} - 1;
  assign s_axis_tready = !emit;
  assign {{fifo_full_o, fifo_empty_o}} = 2'b01;
endmodule
"""


@dataclass(frozen=True)
class Format:
    """Streams of an accelerator, in accelerator.json's words; `shape` is [elements]."""

    bits: int
    signed: bool
    bipolar: bool
    elems: int
    beats: int
    classes: int
    pe: int
    logit_bits: int

    @property
    def class_bits(self) -> int:
        return max(1, (self.classes - 1).bit_length())

    def describe(self) -> dict[str, Any]:
        """The accelerator.json."""
        return {
            "name": "tiny",
            "input": {
                "shape": [self.elems * self.beats], "bits": self.bits, "signed": self.signed, "bipolar": self.bipolar,
                "elems_per_beat": self.elems, "beats_per_frame": self.beats, "tdata_width": self.elems * self.bits,
            },
            "output": {
                "classes": self.classes, "logit_bits": self.logit_bits, "pe": self.pe, "class_bits": self.class_bits,
                "beats_per_frame": self.classes // self.pe, "tdata_width": self.pe * self.logit_bits + self.class_bits,
            },
            "fifos": [{"name": "none", "depth": 2}],
            "predicted": {"ii": self.beats + self.classes // self.pe, "latency": self.beats + self.classes // self.pe},
        }  # fmt: skip

    def source(self) -> str:
        """SystemVerilog of the module `accelerator`."""
        value = "raw ? 1 : -1" if self.bipolar else ("int'($signed(raw))" if self.signed else "int'(raw)")
        widths = {"in_width": self.elems * self.bits, "out_width": self.pe * self.logit_bits + self.class_bits}
        counts = {"class_bits": self.class_bits, "out_beats": self.classes // self.pe}
        return _SOURCE.format(value=value, **widths, **counts, **asdict(self))

    def images(self, count: int, seed: int) -> NDArray[np.int64]:
        """Random images int64 [count, elements] over the whole range."""
        draw = np.random.default_rng(seed)
        shape = (count, self.elems * self.beats)
        if self.bipolar:
            return 2 * draw.integers(0, 2, shape) - 1
        low = -(2 ** (self.bits - 1)) if self.signed else 0
        return draw.integers(low, low + 2**self.bits, shape)

    def logits(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the accelerator must give, int64 [N, classes]."""
        element, label = np.arange(self.elems * self.beats)[:, None], np.arange(self.classes)[None]
        return np.asarray(images @ ((element * 7 + label * 13) % 11 - 5), np.int64)

    def run_dir(self, folder: Path) -> Path:
        """A run of this accelerator as far as the host's driver looks at it; its integer net is no real one."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "accelerator.json").write_text(json.dumps(self.describe()))
        (folder / "integer.json").write_text("{}")
        (folder / "integer.npz").write_bytes(b"tiny")
        return folder


# 3-bit beats, two a byte, an odd number of them; answers of three beats.
NARROW = Format(bits=3, signed=True, bipolar=False, elems=1, beats=11, classes=6, pe=2, logit_bits=19)
# Wide beats that end within a byte; answers of one beat.
WIDE = Format(bits=1, signed=False, bipolar=True, elems=49, beats=4, classes=10, pe=10, logit_bits=12)
SINGLE_BITS = Format(bits=1, signed=False, bipolar=True, elems=1, beats=21, classes=2, pe=1, logit_bits=9)
PIXELS = Format(bits=8, signed=False, bipolar=False, elems=3, beats=33, classes=3, pe=3, logit_bits=33)
NINE_BITS = Format(bits=9, signed=True, bipolar=False, elems=1, beats=7, classes=5, pe=5, logit_bits=16)
ONE_BEAT = Format(bits=4, signed=False, bipolar=False, elems=6, beats=1, classes=1, pe=1, logit_bits=12)
