"""Whole benchmarks of small networks through the real engine: the keys that scripts read, exactness first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipflow.cli import work
from flipflow.cpu.bench import engines, report
from flipflow.cpu.bench.float_graph import float_twin
from flipflow.cpu.bench.kernels import conv_pair, macs, measure_kernels, measure_peers
from flipflow.cpu.bench.networks import small_residual_net
from flipflow.cpu.bench.options import BenchOptions
from flipflow.cpu.isa import available_isas
from flipflow.errors import Exit, FlipflowError
from flipflow.sim import reference

TIMED = [isa for isa in available_isas() if isa != "scalar"] or ["scalar"]


class Silent:
    def message(self, text: str) -> None: ...

    def progress(self, task: str, done: float, total: float, note: str = "") -> None: ...


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    net = small_residual_net()
    images = engines.random_images(net, 3)
    return report.bench_run("small", net, images, BenchOptions(rounds=2, kernels=False), Silent())


def test_rows_have_the_promised_keys(document: dict[str, Any]) -> None:
    read = json.loads(json.dumps(document))
    assert [row["isa"] for row in read["rows"] if row["engine"] == "flipflow"] == TIMED
    assert [row["engine"] for row in read["rows"]][-3:] == ["onnxruntime-fp32", "onnxruntime-int8", "torch-fp32"]
    for row in read["rows"]:
        assert {"engine", "isa", "threads", "ms_median", "ms_spread", "file_bytes"} <= set(row)
        assert row["threads"] == 1
        assert row["ms_median"] > 0
        assert row["ms_spread"] >= 0
        assert row["file_bytes"] > 0
    baseline = next(row for row in read["rows"] if row["engine"] == "onnxruntime-fp32")
    assert baseline["speedup"] == 1.0


def test_what_only_our_rows_say(document: dict[str, Any]) -> None:
    row = next(row for row in document["rows"] if row["engine"] == "flipflow")
    assert row["beyond_plan_bytes"] == sum(row["memory"].values()) - row["memory"]["plan"]
    # 32x32 pixels halve in the stem: 16x16 of 24 channels of 8 bits, more than the 32x32x3 of the image.
    assert row["largest_map_bytes"] == 16 * 16 * 24
    assert document["checked"] == {"images": 3, "isas": TIMED}


def test_layers_share_out_the_whole(document: dict[str, Any]) -> None:
    assert sum(layer["share"] for layer in document["layers"]) == pytest.approx(1.0)
    convolutions = [layer["name"] for layer in document["layers"] if layer["mac_per_cycle"]]
    assert convolutions == ["conv0", "conv1", "conv2", "conv3", "conv4", "conv5", "fc0"]


def test_a_difference_stops_the_benchmark() -> None:
    net = small_residual_net()

    class Wrong:
        def __call__(self, images: np.ndarray) -> np.ndarray:
            logits = reference.run(net, images)
            logits[1, 4] += 1
            return logits

    with pytest.raises(FlipflowError) as caught:
        engines.require_exact(net, {"avx2": Wrong()}, engines.random_images(net, 2))  # type: ignore[dict-item]
    assert caught.value.code == "E572"
    assert caught.value.exit_code == Exit.CHECK_FAILED
    assert "logit 4 of image 1" in caught.value.what


def test_unknown_instruction_sets_are_refused() -> None:
    with pytest.raises(FlipflowError) as caught:
        engines.choose_isas(["sse9"])
    assert caught.value.code == "E550"
    assert engines.choose_isas(["scalar"]) == ["scalar"]
    assert engines.choose_isas([]) == TIMED
    assert engines.choose_isas(["auto", "scalar"]) in ([available_isas()[0], "scalar"], ["scalar"])


def test_kernel_rows() -> None:
    isas = list(available_isas())
    rows = measure_kernels(isas, 2, Silent(), shapes=((5, 64),))
    assert [(row["isa"], row["form"]) for row in rows] == [(isa, form) for isa in isas for form in ("bits", "sums")]
    for row in rows:
        assert row["shape"] == "5x5x64"
        assert row["mac_per_cycle"] > 0
        assert row["limit_mac_per_cycle"] > 0
    assert macs(56, 64) == 115_605_504


def test_kernels_are_exact_as_well() -> None:
    net = conv_pair(5, 64)
    images = engines.random_images(net, 2)
    for isa in available_isas():
        engines.require_exact(net, {isa: engines.Engine(net, isa=isa)}, images)


def test_peer_rows_of_kernels() -> None:
    rows = measure_peers(2, Silent(), shapes=((5, 16),))
    assert [row["engine"] for row in rows] == ["onnxruntime-fp32", "onnxruntime-int8"]
    assert all(row["shape"] == "5x5x16" and row["ms"] > 0 and row["mac_per_cycle"] > 0 for row in rows)


def test_twin_of_a_run_takes_its_classes() -> None:
    assert float_twin(small_residual_net(classes=7)).nodes[-1].shape == (7,)


def test_a_target_that_is_neither_network_nor_run(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError) as caught:
        work.bench(str(tmp_path), BenchOptions(), (), False, None, True)
    assert caught.value.code == "E112"
