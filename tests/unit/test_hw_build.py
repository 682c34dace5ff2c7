"""The stage `build`: a stitched accelerator that lints, its description, FIFO growth, and what happens to bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from hw_graphs import Net, random_net

from flipflow.errors import FlipflowError
from flipflow.hw.build import build, execute_folded
from flipflow.hw.convert import convert
from flipflow.hw.fifo_sizing import size_fifos
from flipflow.hw.folding import FoldRequest, fold, legal_values
from flipflow.hw.graph import kernels_of, load_model
from flipflow.hw.lint import verilator_lint, yosys_elaborate
from flipflow.hw.stitch import stitch
from flipflow.sim.accelerator import simulate
from flipflow.sim.cycle_model import predict


def mlp() -> Net:
    net = Net([48], "UINT8", 5).linear(24).levels("BIPOLAR", bits=True).linear(16).levels("BIPOLAR")
    return net.linear(12, "INT3").levels("UINT2").linear(10)


def cnn() -> Net:
    net = Net([9, 8, 3], "INT4", 6).levels("INT3", falls=True).conv(8, (3, 3), pads=(1, 1, 1, 1), border="zero")
    net.levels("BIPOLAR").pool(2, 2, pad=1, minimum=(1,)).conv(6, (3, 3), pads=(1, 0, 1, 0), border="zero")
    return (
        net.levels("BIPOLAR", bits=True)
        .conv(4, (2, 2), pads=(1, 1, 1, 1), border="plus_one")
        .levels("UINT2")
        .linear(10)
    )


def saved(net: Net, folder: Path) -> Path:
    path = folder / "streamlined.onnx"
    net.model().save(str(path))
    return path


@pytest.mark.parametrize(
    ("net", "request_"),
    [(mlp(), FoldRequest(cycles=60)), (cnn(), FoldRequest(fps=100_000)), (cnn(), FoldRequest())],
    ids=["mlp", "cnn", "cnn-folded"],
)
def test_build(net: Net, request_: FoldRequest, tmp_path: Path) -> None:
    report = build(saved(net, tmp_path), tmp_path / "run", request_)
    images = net.images(20)
    run = tmp_path / "run"
    assert np.array_equal(execute_folded(load_model(run / "folded.onnx"), images), net.reference(images))
    sources = sorted((run / "rtl").glob("*.sv"))
    verilator_lint(sources, "accelerator", {}, run / "rtl")
    yosys_elaborate(sources, "accelerator", {}, run / "rtl")
    about = json.loads((run / "accelerator.json").read_text())
    assert about["predicted"] == {"ii": report.ii, "latency": report.latency}
    assert report.ii == max(item["cycles"] for item in about["layers"])
    assert report.ii == max(item.cycles for item in report.layers)
    assert sorted(about["sources"]) == sorted(f"rtl/{path.name}" for path in (run / "rtl").iterdir())
    assert [item["name"] for item in about["fifos"]] == [k["name"] for k in about["pipeline"] if k["model"] == "fifo"]
    for item in about["fifos"]:
        assert set(item) == {"name", "depth", "high_water"}
        assert 0 < item["high_water"] <= item["depth"]
    for item in about["layers"]:
        assert {"name", "op", "pe", "simd", "cycles", "lut", "bram"} <= set(item)
    ends = about["input"]["beats_per_frame"], about["output"]["beats_per_frame"]
    prediction = predict(about["pipeline"], 50, *ends)
    assert (np.diff(prediction.completion)[4:] == report.ii).all()
    assert not list(run.glob(".build-*"))


def test_description_of_the_ends(tmp_path: Path) -> None:
    build(
        saved(cnn(), tmp_path),
        tmp_path / "run",
        FoldRequest(layers={"threshold0": {"pe": 1}, "fc0": {"pe": 5, "simd": 4}}),
    )
    about = json.loads((tmp_path / "run" / "accelerator.json").read_text())
    source, sink = about["input"], about["output"]
    assert source == {
        "shape": [9, 8, 3], "bits": 4, "signed": True, "bipolar": False,
        "elems_per_beat": 1, "beats_per_frame": 216, "tdata_width": 4,
    }  # fmt: skip
    assert (sink["classes"], sink["pe"], sink["class_bits"], sink["beats_per_frame"]) == (10, 5, 4, 2)
    assert sink["tdata_width"] == 5 * sink["logit_bits"] + 4


def test_a_window_takes_whole_pixels(tmp_path: Path) -> None:
    net = Net([5, 5, 6], "UINT8").conv(4, (3, 3)).levels("BIPOLAR", bits=True).linear(3)
    build(saved(net, tmp_path), tmp_path / "run", FoldRequest(layers={"conv0": {"simd": 2, "pe": 1}}))
    about = json.loads((tmp_path / "run" / "accelerator.json").read_text())
    assert (about["input"]["elems_per_beat"], about["input"]["tdata_width"]) == (6, 48)
    assert [item["name"] for item in about["pipeline"]][:4] == [
        "conv0_window_width_fifo", "conv0_window_width", "conv0_window_fifo", "conv0_window",
    ]  # fmt: skip


def test_slow_gearbox_becomes_two() -> None:
    # fc0 gives 3 channels a cycle, fc1 takes 2: one gearbox would need 4 cycles for 6 elements, and would set the pace
    model = convert(
        Net([4], "BINARY")
        .linear(18)
        .levels("BIPOLAR", bits=True)
        .linear(4)
        .levels("BIPOLAR", bits=True)
        .linear(2)
        .model()
    )
    fold(
        model,
        FoldRequest(layers={"fc0": {"pe": 3, "simd": 4}, "fc1": {"pe": 4, "simd": 2}, "fc2": {"pe": 1, "simd": 1}}),
    )
    stitched = stitch(model)
    sizes = [
        (op.integer("InElems"), op.integer("OutElems"))
        for op in kernels_of(stitched)
        if op.name.startswith("fc1_width") and op.onnx_node.op_type == "WidthConverter"
    ]
    assert sizes == [(3, 6), (6, 2)]
    assert size_fifos(stitched).ii == 9


def test_shallow_fifos_grow_until_the_slowest_layer_sets_the_pace() -> None:
    model = convert(mlp().model())
    # Several words and several rounds everywhere: units that replay, one after another.
    fold(model, FoldRequest(layers={f"fc{index}": {"pe": 2, "simd": 2} for index in range(4)}))
    stitched = stitch(model)
    fifos = [op for op in kernels_of(stitched) if op.onnx_node.op_type == "Fifo"]
    for op in fifos:
        op.set_nodeattr("Depth", 2)
    ops = kernels_of(stitched)
    ends = ops[0].in_stream().beats, ops[-1].out_stream().beats
    slowest = max(op.get_exp_cycles() for op in ops)
    assert predict([op.schedule() for op in ops], 20, *ends).ii > slowest  # so there is something to grow
    assert size_fifos(stitched).ii == slowest
    assert any(op.integer("Depth") > 2 for op in fifos)


def test_build_again_replaces_the_whole(tmp_path: Path) -> None:
    run = tmp_path / "run"
    build(saved(cnn(), tmp_path), run, FoldRequest())
    build(saved(mlp(), tmp_path), run, FoldRequest())
    assert not (run / "rtl" / "window.sv").exists()
    assert json.loads((run / "accelerator.json").read_text())["input"]["shape"] == [48]


def test_missing_and_broken_files(tmp_path: Path) -> None:
    for content in (None, b"\x08\x09 no model"):
        path = tmp_path / "streamlined.onnx"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(FlipflowError) as caught:
            build(path, tmp_path / "run", FoldRequest())
        assert caught.value.code == "E300"
    assert not (tmp_path / "run").exists()


def test_unwritable_run_keeps_nothing_half(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(FlipflowError) as caught:
        build(saved(mlp(), tmp_path), tmp_path / "run", FoldRequest())
    assert caught.value.code == "E307"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2040))
def test_random_accelerators_in_rtl(seed: int, tmp_path: Path) -> None:
    net = random_net(seed)
    rng = np.random.default_rng(seed)
    legal = legal_values(convert(net.model()))
    layers = {name: {key: int(rng.choice(values)) for key, values in knobs.items()} for name, knobs in legal.items()}
    report = build(saved(net, tmp_path), tmp_path / "run", FoldRequest(layers=layers))
    about = json.loads((tmp_path / "run" / "accelerator.json").read_text())
    images = net.images(12)
    result = simulate(tmp_path / "run" / "rtl", about, images)
    assert np.array_equal(result.logits, net.reference(images))
    assert np.array_equal(result.classes, result.logits.argmax(axis=1))
    assert (result.ii, result.latency) == (report.ii, report.latency)
