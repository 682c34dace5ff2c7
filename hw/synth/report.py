"""area.json: what synthesis measured, beside what `build` estimated.

| key | meaning |
|---|---|
| `board`, `family` | board (null without one), FPGA family |
| `total` | `lut`, `ff`, `bram`, `dsp` of the whole design; see families.py for the units |
| `accelerator` | the same without what is around the accelerator on a board |
| `estimated` | `lut`, `bram` of the accelerator, and `lut_error_percent`, `bram_error_percent` against `accelerator` |
| `kernels` | in stream order, FIFOs too: `name`, `kind`, `pe`, `simd` (elements a beat out and in), what it measures, estimates |
| `synthesis` | `seconds`, `cpu_seconds`, `memory_mb`, `tool` |
| `routed` | what place and route used, where it has run |

An error is 100 (estimated - measured) / measured, null where only the measured value is 0.
"""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipflow.hw.graph import kernels_of, load_model
from flipflow.hw.process import Usage
from flipflow.hw.synth.area import Area, total
from flipflow.hw.synth.kernel import KernelSynthesis
from flipflow.hw.synth.yosys import Netlist

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

AREA = "area.json"
FOLDED = "folded.onnx"
_MEASURED = ("lut", "ff", "bram", "dsp")


def write_area(
    run_dir: Path,
    netlist: Netlist,
    family: str,
    *,
    board: str | None = None,
    inside: str = "",
    routed: Mapping[str, Any] | None = None,
    path: Path | None = None,
) -> dict[str, Any]:
    """Write area.json of a run (or `path`) and return its content.

    inside: instance path of the accelerator in the netlist, "" where it is the top. routed: place and route's own count.

    Raises: FlipflowError E300 where the run's folded graph is missing.
    """
    ops = kernels_of(load_model(run_dir / FOLDED))
    document = area_document(netlist, ops, family, board=board, inside=inside, routed=routed)
    save_area(document, path or run_dir / AREA)
    return document


def save_area(document: Mapping[str, Any], path: Path) -> None:
    """Write area.json in one step: readers see the old file or the new one."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def area_document(
    netlist: Netlist,
    ops: "Sequence[KernelOp]",
    family: str,
    *,
    board: str | None = None,
    inside: str = "",
    routed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of area.json for a netlist whose kernel instances are `u_<name of the op>`."""
    prefix = f"{inside}." if inside else ""
    kernels = [kernel_row(op, netlist.areas.get(f"{prefix}u_{op.name}", Area()), family) for op in ops]
    whole = total(area for path, area in netlist.areas.items() if path == inside or path.startswith(prefix))
    estimated = {key: sum(row[f"estimated_{key}"] for row in kernels) for key in ("lut", "bram")}
    document = {
        "board": board,
        "family": family,
        "total": _measured(netlist.area),
        "accelerator": _measured(whole),
        "estimated": estimated | _errors(estimated, whole),
        "kernels": kernels,
        "synthesis": _spent(netlist.usage),
    }
    return document | ({"routed": dict(routed)} if routed else {})


def kernel_document(op: "KernelOp", found: KernelSynthesis, family: str) -> dict[str, Any]:
    """The same for one kernel on its own."""
    row = kernel_row(op, found.area, family)
    estimated = {key: row[f"estimated_{key}"] for key in ("lut", "bram")}
    return {
        "board": None,
        "family": family,
        "total": _measured(found.area),
        "estimated": estimated | _errors(estimated, found.area),
        "kernels": [row],
        "synthesis": _spent(found.usage),
    }


def kernel_row(op: "KernelOp", area: Area, family: str) -> dict[str, Any]:
    """An entry of `kernels`."""
    estimated = {"lut": int(op.lut_estimation(family)), "bram": int(op.bram_estimation(family))}
    return {
        "name": op.name,
        "kind": module_name(op),
        "pe": op.out_stream().elems,
        "simd": op.in_stream().elems,
        **_measured(area),
        **{f"estimated_{key}": value for key, value in estimated.items()},
        **_errors(estimated, area),
    }


def module_name(op: "KernelOp") -> str:
    """The RTL module of an op: XnorMvtu's is xnor_mvtu; Fork's cannot be fork, a word of SystemVerilog."""
    kind = str(op.onnx_node.op_type)
    if kind == "Fork":
        return "fork_stream"
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind).lstrip("_")


def _spent(usage: Usage) -> dict[str, Any]:
    return usage.as_dict() | {"tool": f"pyosys {importlib.metadata.version('pyosys')}"}


def _measured(area: Area) -> dict[str, int]:
    return {key: value for key, value in area.as_dict().items() if key in _MEASURED}


def _errors(estimated: Mapping[str, int], area: Area) -> dict[str, float | None]:
    return {f"{key}_error_percent": error_percent(value, area.as_dict()[key]) for key, value in estimated.items()}


def error_percent(estimated: int, measured: int) -> float | None:
    """Of an estimate against what was measured, 0 where both are 0."""
    if measured == 0:
        return None if estimated else 0.0
    return round(100 * (estimated - measured) / measured, 1)
