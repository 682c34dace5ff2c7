"""Which streams of an accelerator enter its layers."""

from typing import Any

from flipflow.sim.stream_taps import layer_inputs


def entry(name: str, model: str, *inputs: str) -> dict[str, Any]:
    return {"name": name, "model": model} | ({"inputs": list(inputs)} if inputs else {})


def test_layers_of_branches() -> None:
    # conv0 -> fork -> (threshold -> window -> conv1) and (window -> sum0 -> line), added -> fc0
    pipeline = [
        entry("conv0_window_fifo", "fifo"),
        entry("conv0_window", "window"),
        entry("conv0_fifo", "fifo"),
        entry("conv0", "mvtu"),
        entry("fork0_fifo", "fifo"),
        entry("fork0", "fork"),
        entry("sum0_window_width", "gearbox", "fork0:1"),
        entry("sum0_window", "window"),
        entry("sum0", "steps"),
        entry("requant0", "steps"),
        entry("threshold0", "steps", "fork0"),
        entry("conv1_window_fifo", "fifo"),
        entry("conv1_window", "window"),
        entry("conv1", "mvtu"),
        entry("add0", "join", "requant0", "conv1"),
        entry("fc0_fifo", "fifo"),
        entry("fc0", "mvtu"),
    ]
    ops = {
        "conv0_window": "Window", "conv0": "MixedMvtu", "fork0": "Fork", "sum0_window_width": "WidthConverter",
        "sum0_window": "Window", "sum0": "SumPool", "requant0": "Requantize", "threshold0": "Threshold",
        "conv1_window": "Window", "conv1": "XnorMvtu", "add0": "ResidualAdd", "fc0": "MixedMvtu",
    }  # fmt: skip
    accelerator = {"pipeline": pipeline, "layers": [{"name": name, "op": op} for name, op in ops.items()]}
    assert layer_inputs(accelerator) == ["source", "fork0_out1", "threshold0_out", "add0_out"]
