"""Interleaving, medians and ratios, with contenders whose times are known."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from flipflow.cpu.bench.paper import table4
from flipflow.cpu.bench.peers import Contender, EngineName
from flipflow.cpu.bench.plot import save_chart
from flipflow.cpu.bench.runner import measure, row, turn
from flipflow.cpu.bench.tables import show
from flipflow.errors import FlipflowError


class Silent:
    def message(self, text: str) -> None: ...

    def progress(self, task: str, done: float, total: float, note: str = "") -> None: ...


def _contender(engine: EngineName, calls: list[str], isa: str = "auto") -> Contender:
    def call() -> np.ndarray:
        calls.append(engine)
        time.sleep(0.04)
        return np.zeros(1)

    return Contender(engine, isa, 1, 1000, 1.0, 2.0, call, {"arena_bytes": 5} if engine == "flipflow" else {})


def test_rounds_are_interleaved() -> None:
    calls: list[str] = []
    rows = measure([_contender("flipflow", calls), _contender("onnxruntime-fp32", calls)], 2, Silent())
    # Three rounds, the first thrown away; each turn is one call that warms and one that fills the turn.
    assert calls == ["flipflow", "flipflow", "onnxruntime-fp32", "onnxruntime-fp32"] * 3
    assert [len(row["ms_rounds"]) for row in rows] == [2, 2]
    assert rows[0]["arena_bytes"] == 5
    assert all(0.0 <= row["waited"] <= 1.0 for row in rows)


def test_a_row_by_hand() -> None:
    found = row(_contender("flipflow", []), [1.0, 2.0, 4.0, 3.0, 5.0], [10.0, 10.0, 20.0, 60.0, 10.0])
    assert found["ms_median"] == 3.0
    assert found["speedup"] == 5.0  # of 10, 5, 5, 20, 2
    assert found["ms_p10"] == pytest.approx(1.4)
    assert found["ms_p90"] == pytest.approx(4.6)
    assert found["ms_spread"] == pytest.approx(3.2)
    assert {"engine", "isa", "threads", "ms_median", "ms_spread", "file_bytes"} <= set(found)


def test_a_turn_leaves_its_first_call_out() -> None:
    delays = iter([0.2, 0.02, 0.02, 0.02])
    assert turn(lambda: time.sleep(next(delays))) < 0.1


def test_paper_rows_agree_with_its_ratios() -> None:
    rows = {(row["network"], row["precision"]): row for row in table4()}
    assert round(rows["resnet18", "1-bit"]["speedup"], 2) == 3.47
    assert round(rows["resnet34", "1-bit"]["speedup"], 2) == 3.42
    assert round(rows["resnet18", "1-bit"]["smaller"], 2) == 16.64
    assert round(rows["resnet34", "1-bit"]["smaller"], 2) == 21.16
    assert [row["network"] for row in table4("resnet34")] == ["resnet34"] * 3


def document() -> dict[str, object]:
    """A result with one of everything."""
    rows = [
        row(_contender("flipflow", [], "avx2"), [3.0, 3.1], [30.0, 31.0])
        | {"speedup_int8": 4.0, "fallbacks": ["pool0"], "waited": 0.25},
        row(_contender("onnxruntime-fp32", []), [30.0, 31.0], [30.0, 31.0]) | {"speedup_int8": 0.4, "waited": 0.0},
    ]
    kernel = {"shape": "7x7x512", "isa": "avx2", "form": "bits", "ms": 0.2, "mac_per_cycle": 130.0}
    return {
        "target": "resnet18",
        "rounds": 2,
        "machine": {"cpu": "a processor", "architecture": "x86_64", "cores": 2},
        "tools": {"flipflow": "0", "torch": "2"},
        "clock_ghz": 2.5,
        "checked": {"images": 1, "isas": ["avx2"]},
        "rows": rows,
        "layers": [
            {
                "name": "conv0",
                "kernel": "k",
                "isa": "avx2",
                "threads": 1,
                "ms": 0.1,
                "share": 1.0,
                "mac_per_cycle": 100.0,
            }
        ],
        "kernels": [kernel | {"limit_mac_per_cycle": 144.0, "of_limit": 0.9, "kernel": "k"}],
        "kernel_peers": [{"shape": "7x7x512", "engine": "onnxruntime-int8", "ms": 0.5, "mac_per_cycle": 60.0}],
        "paper": table4("resnet18"),
    }


def test_tables_show_every_figure() -> None:
    console = Console(record=True, width=80, stderr=True)
    show(document(), console, with_layers=True)
    text = console.export_text()
    for word in ("flipflow", "avx2", "onnxruntime-fp32", "10.00x", "conv0", "144.0", "90.0%", "16.64x", "pool0", "25%"):
        assert word in text, word


def test_chart(tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        save_chart(document(), tmp_path / f"chart.{suffix}")
        assert (tmp_path / f"chart.{suffix}").stat().st_size > 1000
    for path in (tmp_path / "none" / "chart.png", tmp_path / "chart.xyz"):
        with pytest.raises(FlipflowError) as caught:
            save_chart(document(), path)
        assert caught.value.code == "E571"


def test_document_is_json() -> None:
    assert json.loads(json.dumps(document()))["rows"][0]["engine"] == "flipflow"
