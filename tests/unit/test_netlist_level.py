"""What is told of netlists and proofs: verify.json, proof.json, the netlist's kernels, and bad input."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flipflow.cli.prove import prove, require_proved
from flipflow.cli.work import verify_overrides
from flipflow.config import VerifyConfig
from flipflow.errors import FlipflowError
from flipflow.hw.cells import model_source, simulation_source
from flipflow.hw.formal import accelerator as formal
from flipflow.hw.formal.accelerator import KernelProof, kernels_in
from flipflow.hw.formal.equivalence import Proof
from flipflow.hw.formal.miter import module_text
from flipflow.sim.verify import passed, require_equal

CYCLES = {
    "predicted_ii": 9, "measured_ii": 9, "predicted_latency": 20, "measured_latency": 20, "frames": 4,
    "all_completions_equal": True,
}  # fmt: skip
NETLIST = """
module \\fifo$accelerator.u_conv0_fifo (clk_i, out_o);
  input clk_i;
  wire [1:0] both;
  wire [1:0] out_o;
  output [1:0] out_o;
  LUT4 #(.INIT(16'h8000)) \\out_o_LUT4_Z  (.A(both[0]));
endmodule

module accelerator(clk_i);
  input clk_i;
  \\fifo$accelerator.u_conv0_fifo  u_conv0_fifo (.clk_i(clk_i));
endmodule
"""


def document(mismatches: int = 0, **cycles: Any) -> dict[str, Any]:
    netlist = {"family": "ecp5", "cycles": {**CYCLES, **cycles}}
    levels = [{"level": "netlist", "samples": 4, "mismatches": mismatches}]
    return {"levels": levels, "cycles": None, "stalled": None, "netlist": netlist}


def test_netlist_counts_in_verify_json(tmp_path: Path) -> None:
    assert passed(document())
    require_equal(document(), tmp_path)
    with pytest.raises(FlipflowError, match=r"E453.*netlist: 2 of 4"):
        require_equal(document(2), tmp_path)
    for wrong in ({"measured_ii": 10}, {"measured_latency": 21}, {"all_completions_equal": False}):
        assert not passed(document(**wrong))
        with pytest.raises(FlipflowError, match=r"cycles differ \(netlist\)"):
            require_equal(document(**wrong), tmp_path)


def test_verify_json_without_netlist() -> None:
    old = document()
    del old["netlist"]
    assert passed(old)


def test_the_level_is_asked_for() -> None:
    assert not {"netlist", "hls"} & set(VerifyConfig().levels)
    overrides = verify_overrides(7, "netlist", {"netlist_family": "gowin", "hlslib": None})
    assert {"verify.netlist_samples=7", 'verify.netlist_family="gowin"', 'verify.levels=["netlist", "integer"]'} < set(
        overrides
    )


def test_kernels_of_a_netlist() -> None:
    assert kernels_in(NETLIST) == {"conv0_fifo": ("fifo$accelerator.u_conv0_fifo", "fifo")}
    text = module_text(NETLIST, "fifo$accelerator.u_conv0_fifo")
    assert text.startswith("module gate(clk_i, out_o);")
    assert text.count("endmodule") == 1
    with pytest.raises(FlipflowError, match="E424"):
        module_text(NETLIST, "fifo$accelerator.u_conv1_fifo")


def test_sources_of_a_netlist() -> None:
    """Only the cells in use; vectors may be taken apart, ports may not."""
    pytest.importorskip("pyosys", reason="cell models come with pyosys")
    text = simulation_source(NETLIST, "ecp5")
    assert "module LUT4(" in text
    assert "TRELLIS_FF" not in text
    assert "specify" not in text
    assert "wire [1:0] both /*verilator split_var*/;" in text
    assert "wire [1:0] out_o;" in text
    with pytest.raises(FlipflowError, match="E420"):
        model_source(NETLIST, "ice40")


def test_proofs_that_fall_short(tmp_path: Path) -> None:
    rows = [{"name": "conv0", "result": "proved"}, {"name": "conv1", "result": "undecided"}]
    require_proved({"kernels": rows[:1]}, tmp_path)
    with pytest.raises(FlipflowError, match=r"1 of 2 kernels.*conv1 undecided") as caught:
        require_proved({"kernels": rows}, tmp_path)
    assert (caught.value.code, int(caught.value.exit_code)) == ("E422", 1)


def test_prove_wants_an_accelerator(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError, match="E112"):
        prove(tmp_path, "ecp5", (), 1.0, True)
    (tmp_path / "config.toml").write_text("[export]\nmodel = 'net.onnx'\n")
    with pytest.raises(FlipflowError, match="E452"):
        prove(tmp_path, "ecp5", (), 1.0, True)
    (tmp_path / "accelerator.json").write_text("{")
    with pytest.raises(FlipflowError, match=r"E452.*damaged"):
        prove(tmp_path, "ecp5", (), 1.0, True)
    (tmp_path / "accelerator.json").write_text('{"sources": ["rtl/none.sv"]}')
    with pytest.raises(FlipflowError, match=r"E406.*none.sv"):
        prove(tmp_path, "ecp5", (), 1.0, True)


def test_proofs_go_on_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted proof, a kernel by name, another netlist: what is proven of a netlist is not proven again."""
    pytest.importorskip("pyosys", reason="the recipe of a netlist names its version")
    (tmp_path / "config.toml").write_text("[export]\nmodel = 'net.onnx'\n")
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "top.sv").write_text("module top; endmodule\n")
    pipeline = [{"name": name} for name in ("a", "b", "c")]
    (tmp_path / "accelerator.json").write_text(json.dumps({"sources": ["rtl/top.sv"], "pipeline": pipeline}))
    asked: list[str] = []
    results = {"a": "proved", "b": "undecided", "c": "stop"}

    def fake(
        _run: Path, _accel: Any, _family: str, names: Sequence[str], *, found: Callable[[KernelProof], None], **_: Any
    ) -> None:
        for name in names:
            asked.append(name)
            if results[name] == "stop":
                raise KeyboardInterrupt
            found(KernelProof(name, "fifo", Proof(name, results[name], None, 1, 2, 0.5)))  # type: ignore[arg-type]

    monkeypatch.setattr(formal, "prove_accelerator", fake)
    with pytest.raises(KeyboardInterrupt):
        prove(tmp_path, "ecp5", (), 1.0, True)
    rows = json.loads((tmp_path / "proof.json").read_text())["kernels"]
    assert [(row["name"], row["result"], row["limit_seconds"]) for row in rows] == [
        ("a", "proved", 1.0),
        ("b", "undecided", 1.0),
    ]
    results |= {"b": "proved", "c": "different"}
    document = prove(tmp_path, "ecp5", (), 2.0, True)
    assert asked == ["a", "b", "c", "b", "c"]
    assert [row["result"] for row in document["kernels"]] == ["proved", "proved", "different"]
    assert [row["name"] for row in prove(tmp_path, "ecp5", ("a",), 3.0, True)["kernels"]] == ["a"]
    assert len(json.loads((tmp_path / "proof.json").read_text())["kernels"]) == 3
    (tmp_path / "rtl" / "top.sv").write_text("module top; wire a; endmodule\n")
    asked.clear()
    prove(tmp_path, "ecp5", (), 1.0, True)
    assert asked == ["a", "b", "c"]
