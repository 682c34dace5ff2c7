"""SystemVerilog of drawn pipelines (random_pipelines), and the files that they read."""

from pathlib import Path

import numpy as np
from random_pipelines import Chain


def _signal(output: str) -> str:
    """Stem of the signals of an output: "fork:1" becomes fork_p1."""
    name, _, port = output.partition(":")
    return f"{name}_p{port or 0}"


def _joined(signals: list[str]) -> str:
    """Several signals as one port, the first in the low bits."""
    return signals[0] if len(signals) == 1 else "{" + ", ".join(reversed(signals)) + "}"


def _chain_module(name: str, chain: Chain) -> str:
    """A module with the ports in_*, out_*: the pipeline's kernels."""
    lines = [
        f"module {name} (input logic clk_i, input logic rst_ni,",
        f"  input logic in_valid_i, output logic in_ready_o, input logic [{chain.source.data_width - 1}:0] in_data_i,",
        "  output logic out_valid_o, input logic out_ready_i,",
        f"  output logic [{chain.sink.data_width - 1}:0] out_data_o);",
        "  logic source_p0_valid, source_p0_ready;",
        f"  logic [{chain.source.data_width - 1}:0] source_p0_data;",
        "  assign source_p0_valid = in_valid_i, in_ready_o = source_p0_ready, source_p0_data = in_data_i;",
    ]
    for model, (module, parameters, width) in zip(chain.models, chain.instances, strict=True):
        values = ", ".join(f".{key}({value})" for key, value in parameters.items())
        status = ", .full_o(), .empty_o()" if module == "fifo" else ""
        inputs = [_signal(output) for output in model.get("inputs", ["source"])]
        outputs = [_signal(f"{model['name']}:{port}") for port in range(model.get("outputs", 1))]
        for stem in outputs:
            lines.append(f"  logic {stem}_valid, {stem}_ready; logic [{width - 1}:0] {stem}_data;")
        lines += [f"  assign {stem}_data = {outputs[0]}_data;" for stem in outputs[1:]]
        ports = [
            f".{port}({_joined([f'{stem}_{kind}' for stem in stems])})"
            for stems, side in ((inputs, ("in_valid_i", "in_ready_o")), (outputs, ("out_valid_o", "out_ready_i")))
            for port, kind in zip(side, ("valid", "ready"), strict=True)
        ]
        data = f".in_data_i({_joined([f'{stem}_data' for stem in inputs])}), .out_data_o({outputs[0]}_data)"
        lines.append(f"  {module} #({values}) u_{model['name']} (.clk_i, .rst_ni, {', '.join(ports)}, {data}{status});")
    end = _signal(chain.end) if chain.models else "source_p0"
    lines += [
        f"  assign out_valid_o = {end}_valid, {end}_ready = out_ready_i, out_data_o = {end}_data;",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def bank(chains: list[Chain], widths: tuple[int, int]) -> str:
    """SystemVerilog of an `accelerator` of all chains side by side; the plusarg +chain=N picks the one that is fed."""
    count, (in_width, out_width) = len(chains), widths
    lines = [
        "module accelerator (input logic clk_i, input logic rst_ni,",
        f"  input logic [{in_width - 1}:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,",
        f"  output logic [{out_width - 1}:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready,",
        "  output logic m_axis_tlast, output logic fifo_full_o, output logic fifo_empty_o);",
        f"  logic [{count - 1}:0] valid, ready;",
        f"  logic [{out_width - 1}:0] data [{count}];",
        "  int unsigned chosen;",
        '  initial if ($value$plusargs("chain=%d", chosen) == 0) $fatal(1, "no +chain");',
        "  assign s_axis_tready = ready[chosen]; assign m_axis_tvalid = valid[chosen];",
        "  assign m_axis_tdata = data[chosen]; assign m_axis_tlast = 1'b0;",
        "  assign fifo_full_o = 1'b0; assign fifo_empty_o = 1'b0;",
    ]
    for i, chain in enumerate(chains):
        lines += [
            f"  logic [{chain.sink.data_width - 1}:0] data_{i};",
            f"  assign data[{i}] = {out_width}'(data_{i});",
            f"  chain_{i} u_{i} (.clk_i, .rst_ni,",
            f"    .in_valid_i(s_axis_tvalid && chosen == {i}), .in_ready_o(ready[{i}]),",
            f"    .in_data_i(s_axis_tdata[{chain.source.data_width - 1}:0]), .out_valid_o(valid[{i}]),",
            f"    .out_ready_i(m_axis_tready && chosen == {i}), .out_data_o(data_{i}));",
        ]
    return "\n".join([*lines, "endmodule", *(_chain_module(f"chain_{i}", c) for i, c in enumerate(chains))])


def write_roms(chains: list[Chain], directory: Path) -> None:
    """Fill every ROM with random words."""
    rng = np.random.default_rng(1)
    for name, (words, bits) in (item for chain in chains for item in chain.roms.items()):
        rows = (int.from_bytes(rng.bytes(-(-bits // 8)), "little") % (1 << bits) for _ in range(words))
        (directory / name).write_text("\n".join(f"{row:x}" for row in rows) + "\n")
