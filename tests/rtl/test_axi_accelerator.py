"""The accelerator behind AXI4-Stream and AXI4-Lite, at pin level: protocol, framing, registers, counters, reset."""

import hashlib
import itertools
import json
from collections.abc import Iterator

import numpy as np
import pytest
from axi_device import HW, Device, small_board, write_small_project
from test_accelerator_harness import CLASSES, IMAGES, LOGITS, accelerator

from flipflow.hw.lint import verilator_lint, yosys_elaborate
from flipflow.hw.pynq.stream import pack, unpack
from flipflow.hw.vivado.project import Project
from flipflow.sim.cycle_model import predict

CONTROL, STATUS, PACKET_FRAMES = 0x008, 0x00C, 0x010
FRAMES_IN, FRAMES_OUT, CUT_SHORT, LATENCY, INTERVAL = 0x080, 0x084, 0x088, 0x08C, 0x090
SLAVE_ERROR = 2
WIDTHS = (8, pytest.param(64, marks=pytest.mark.slow))  # a beat of the small accelerator takes two words, or one


@pytest.fixture(scope="module", params=WIDTHS, ids=str)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("axi")
    rtl, accel = accelerator(folder)
    return write_small_project(folder, small_board(request.param), rtl, accel)


@pytest.fixture
def device(project: Project) -> Iterator[Device]:
    with Device(project) as running:
        yield running


def streams(project: Project) -> tuple[dict[str, object], dict[str, object]]:
    about = json.loads((project.folder / "network.json").read_text())
    return about["input"], about["output"]


def words_of(project: Project, images: np.ndarray) -> bytes:
    return bytes(pack(images, streams(project)[0]))


def answers(device: Device, project: Project, frames: int) -> tuple[np.ndarray, np.ndarray, list[bool]]:
    words = frames * project.geometry.out_words
    data, lasts = device.collect(words)
    assert len(lasts) == words, f"{len(lasts)} of {words} words came"
    logits, classes = unpack(np.frombuffer(data, np.uint8), streams(project)[1])
    return logits, classes, lasts


@pytest.mark.parametrize(("stall", "seed"), [(0.0, 1), (0.5, 2), (0.9, 3)])
def test_answers_equal_the_reference(device: Device, project: Project, stall: float, seed: int) -> None:
    device.stall(stall, seed)
    assert device.write(PACKET_FRAMES, 20) == 0
    device.queue(words_of(project, IMAGES[:20]))
    logits, classes, lasts = answers(device, project, 20)
    assert np.array_equal(logits, LOGITS[:20])
    assert np.array_equal(classes, LOGITS[:20].argmax(axis=1))
    assert lasts == [False] * (len(lasts) - 1) + [True]
    assert device.collect(1, 2000) == (b"", [])
    assert device.read(FRAMES_IN) == (0, 20)
    assert device.read(FRAMES_OUT) == (0, 20)
    assert device.read(STATUS) == (0, 0)


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_packets_of_answers(device: Device, project: Project, frames: int) -> None:
    device.write(PACKET_FRAMES, frames)
    device.queue(words_of(project, IMAGES[:7]))
    _, _, lasts = answers(device, project, 7)
    per_packet = max(1, frames) * project.geometry.out_words
    assert [index + 1 for index, last in enumerate(lasts) if last] == list(
        range(per_packet, len(lasts) + 1, per_packet)
    )


def test_an_unfinished_packet_of_answers_is_forgotten_with_a_new_length(device: Device, project: Project) -> None:
    device.write(PACKET_FRAMES, 5)
    device.queue(words_of(project, IMAGES[:3]))
    answers(device, project, 3)
    device.write(PACKET_FRAMES, 2)
    device.queue(words_of(project, IMAGES[:2]))
    assert answers(device, project, 2)[2][-1]


def test_latency_and_interval_are_those_of_the_cycle_model(device: Device, project: Project) -> None:
    frames, size = 12, project.geometry
    pipeline = json.loads((project.folder.parents[1] / "accelerator.json").read_text())["pipeline"]
    device.queue(words_of(project, IMAGES[:frames]))
    answers(device, project, frames)
    assert device.read(INTERVAL) == (0, predict(pipeline, frames, size.in_beats, size.out_beats).ii)
    device.write(CONTROL, 2)
    device.queue(words_of(project, IMAGES[:1]))
    answers(device, project, 1)
    alone = predict(pipeline, 1, size.in_beats, size.out_beats).latency
    if size.in_words == size.in_beats:
        assert device.read(LATENCY) == (0, alone)
    else:  # the first beat is complete, and the last one gone, a word later
        assert device.read(LATENCY)[1] > alone


def test_registers_tell_network_and_shapes(device: Device, project: Project) -> None:
    run = project.folder.parents[1]
    digest = hashlib.sha256((run / "integer.json").read_bytes() + (run / "integer.npz").read_bytes()).digest()
    held = b"".join(device.read(0x040 + 4 * index)[1].to_bytes(4, "little") for index in range(8))
    assert held == digest
    size = project.geometry
    shapes = [size.in_word_bits, size.in_words, size.out_word_bits, size.out_words, CLASSES, 2]
    assert [device.read(0x014 + 4 * index) for index in range(6)] == [(0, value) for value in shapes]
    assert device.read(0)[1].to_bytes(4, "big") == b"FLIP"


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_addresses_without_a_register_answer_an_error(device: Device, project: Project, stall: float) -> None:
    device.stall(stall, 5)
    known = {0x000, 0x004, *range(0x00C, 0x02C, 4), *range(0x040, 0x060, 4), *range(0x080, 0x094, 4)}
    known |= {0x0A0, 0x0A4, 0x0A8, 0x0AC, 0x0B0, 0x0B4, *range(0x0C0, 0x0E0, 4)}
    for address in range(0, 0x200, 4):
        response, value = device.read(address)
        assert (response == 0) == (address in known), hex(address)
        assert address in known or value == 0
        if address not in {CONTROL, PACKET_FRAMES}:
            assert device.write(address, 1) == SLAVE_ERROR, hex(address)
    assert device.write(PACKET_FRAMES, 1, strobe=7) == SLAVE_ERROR
    assert device.read(PACKET_FRAMES) == (0, 1)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_packet_cut_short_spoils_only_its_own_frame(device: Device, project: Project, stall: float) -> None:
    device.stall(stall, 11)
    whole = words_of(project, IMAGES[:1])
    word = project.geometry.in_word_bits // 8
    cuts = range(1, project.geometry.in_words)
    for cut in cuts:
        device.queue(whole[: cut * word])
        device.queue(words_of(project, IMAGES[cut : cut + 1]))
        logits, _, _ = answers(device, project, 2)
        # The missing words are zeros.
        filled = np.frombuffer(whole[: cut * word].ljust(len(whole), b"\0"), np.uint8)
        padded = filled.reshape(3, -1)[:, :2].reshape(-1)
        weights = np.linalg.lstsq(IMAGES[:6].astype(float), LOGITS[:6].astype(float), rcond=None)[0].round().astype(int)
        assert np.array_equal(logits[0], padded.astype(np.int64) @ weights)
        assert np.array_equal(logits[1], LOGITS[cut])
    assert device.read(CUT_SHORT) == (0, len(cuts))


def test_a_reset_in_the_middle_of_a_frame(device: Device, project: Project) -> None:
    whole = words_of(project, IMAGES[:6])
    word = project.geometry.in_word_bits // 8
    for sent in itertools.chain(range(1, 7), [len(whole) // word]):
        device.queue(whole[: sent * word], last=False)
        device.send(200)
        device.drop()
        assert device.write(CONTROL, 1) == 0
        device.queue(words_of(project, IMAGES[7:9]))
        logits, _, _ = answers(device, project, 2)
        assert np.array_equal(logits, LOGITS[7:9]), sent
        assert device.collect(1, 500) == (b"", [])


def test_the_length_of_packets_cannot_change_under_way(device: Device, project: Project) -> None:
    device.queue(words_of(project, IMAGES[:1]))
    device.send()
    assert device.read(STATUS) == (0, 1)
    assert device.write(PACKET_FRAMES, 4) == SLAVE_ERROR
    assert device.read(PACKET_FRAMES) == (0, 1)
    assert answers(device, project, 1)[2][-1]
    assert device.write(PACKET_FRAMES, 4) == 0


def test_stalls_are_counted_and_cleared(device: Device, project: Project) -> None:
    device.queue(words_of(project, IMAGES))
    left = device.send(3000)  # nobody takes results: the accelerator fills up and stalls both ends
    assert left > 0
    stalled_in, stalled_out = (device.read(address)[1] for address in (0x0A8, 0x0B0))
    cycles = device.read(0x0A0)[1]
    assert 2000 < stalled_in < cycles < 4000
    assert 2000 < stalled_out < cycles
    assert device.read(0x0C0)[1] == 0b11  # both FIFOs are full
    assert device.read(0x0D0)[1] == 0
    device.write(CONTROL, 2)
    assert device.read(0x0A8)[1] < 20 and device.read(0x0A4) == (0, 0)
    logits, _, _ = answers(device, project, len(IMAGES))
    assert np.array_equal(logits, LOGITS)
    assert device.read(0x0D0)[1] == 0b11  # both are empty


def test_lint_and_elaboration(project: Project) -> None:
    rtl = project.folder / "rtl"
    sources = [path for path in sorted(rtl.iterdir()) if path.suffix in {".sv", ".v"} and path.name != "accelerator.sv"]
    assert {path.name for path in (HW / "rtl" / "axi").glob("*.sv")} <= {path.name for path in sources}
    yosys_elaborate([*sources, rtl / "accelerator.sv"], "flipflow_axi", {}, rtl)
    # The small accelerator is a test's own and not lint clean; a stub takes its place for the linter.
    stub = rtl.parent / "accelerator.sv"
    stub.write_text(STUB)
    verilator_lint(
        [*(path for path in sources if path.stem.startswith(("axi", "flipflow"))), stub], "flipflow_axi", {}, rtl
    )


STUB = """
module accelerator (
  input  logic clk_i, input logic rst_ni,
  input  logic [15:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,
  output logic [13:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready, output logic m_axis_tlast,
  output logic [1:0] fifo_full_o, output logic [1:0] fifo_empty_o
);
  logic unused;
  assign unused = clk_i ^ rst_ni ^ (^s_axis_tdata[15:14]);
  assign {s_axis_tready, m_axis_tvalid, m_axis_tdata} = {m_axis_tready, s_axis_tvalid, s_axis_tdata[13:0]};
  assign {m_axis_tlast, fifo_full_o, fifo_empty_o} = '0;
endmodule
"""
