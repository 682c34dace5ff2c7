"""Models of FPGA cells, so that a synthesised netlist can be simulated and reasoned about.

They are Yosys' own simulation models (pyosys' share directory), which synthesis maps to, and where Yosys has black boxes
only (block RAM, ECP5's multiplier) the ones beside this file. Of all these, a netlist gets those that it uses.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import FlipflowError
from flipflow.hw.synth.process import require_package

_HERE = Path(__file__).parent
_MODULE = re.compile(r"^[ \t]*module\s+(\w+)\b.*?^[ \t]*endmodule\b", re.DOTALL | re.MULTILINE)
# Timing has no place here, and Yosys' front ends stumble over some of it.
_SPECIFY = re.compile(r"^[ \t]*specify\b.*?\bendspecify\b", re.DOTALL | re.MULTILINE)
_INSTANCE = re.compile(r"^[ \t]*(\w+)\s+(?:#\s*\(|\\\S+\s+\(|\w+\s*\()", re.MULTILINE)
_MODULE_TEXT = re.compile(r"^module .*?^endmodule$", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"^  (?:input|output|inout) (?:\[\d+:\d+\] )?(\S+?) ?;", re.MULTILINE)
_VECTOR = re.compile(r"^(  wire \[\d+:\d+\] )(\\\S+ |\w+);", re.MULTILINE)
# What Yosys' own text earns: connections left open, comparisons of strings of unlike length, `initial q <= x`.
_WAIVED = "PINMISSING WIDTH INITIALDLY DECLFILENAME UNUSED UNDRIVEN MULTIDRIVEN SPLITVAR".split()


_KEYWORDS = frozenset(
    "always assign begin case casex casez else end endcase endmodule for function genvar generate if initial inout input"
    " integer localparam module output parameter reg wire".split()
)


@dataclass(frozen=True)
class Library:
    """Where a family's models are. own: beside this file, they come first. yosys: below pyosys' share directory."""

    own: tuple[str, ...]
    yosys: tuple[str, ...]


_XILINX = Library(("xilinx.v", "block_ram.v"), ("xilinx/cells_sim.v",))
LIBRARIES: Mapping[str, Library] = {
    "ecp5": Library(("ecp5.v", "block_ram.v"), ("ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh")),
    "gowin": Library(("gowin.v", "gowin_bytes.v", "block_ram.v"), ("gowin/cells_sim.v",)),
    "xc7": _XILINX,
    "xcup": _XILINX,
}


def model_source(netlist: str, family: str) -> str:
    """Verilog of the cells of `family` that the Verilog text `netlist` uses, and of what these use.

    Raises: FlipflowError E350 (pyosys is not installed), E420 (a cell without a model, or a family without models).
    """
    if family not in LIBRARIES:
        what, fix = "has no cell models.", f"Take one of {', '.join(LIBRARIES)}."
        raise FlipflowError("E420", what, f"family {family}", fix)
    modules = _modules(family)
    defined = set(re.findall(r"^module\s+(\\\S+|\w+)", netlist, re.MULTILINE))
    chosen: dict[str, str] = {}
    pending = sorted(_instances(netlist) - defined)
    while pending:
        name = pending.pop()
        if name in chosen:
            continue
        if name not in modules:
            what, fix = f"the netlist holds a cell {name} without a simulation model.", "Please report it."
            raise FlipflowError("E420", what, f"family {family}", fix)
        chosen[name] = modules[name]
        pending += sorted(_instances(modules[name]) & modules.keys())
    waived = "".join(f"// verilator lint_off {name}\n" for name in _WAIVED)
    return waived + "\n\n".join(chosen[name] for name in sorted(chosen)) + "\n"


def simulation_source(netlist: str, family: str) -> str:
    """Verilog of a netlist with the models of its cells, for Verilator. Raises: as `model_source`."""
    models = model_source(netlist, family)
    waived = "".join(f"// verilator lint_off {name}\n" for name in _WAIVED)
    return waived + _MODULE_TEXT.sub(lambda found: _split(found[0]), netlist) + "\n" + models


def _split(module: str) -> str:
    """Let Verilator take vectors apart: where one bit depends on another, the whole would look like a loop."""
    ports = set(_PORT.findall(module))
    return _VECTOR.sub(lambda m: m[0] if m[2].strip() in ports else f"{m[1]}{m[2]} /*verilator split_var*/;", module)


def _modules(family: str) -> dict[str, str]:
    """Text of every model by its name; the first one of a name counts."""
    share = require_package("pyosys", "board") / "share"
    library = LIBRARIES[family]
    paths: Sequence[Path] = [*(_HERE / name for name in library.own), *(share / name for name in library.yosys)]
    found: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            what, fix = "pyosys lacks this file of cell models.", 'Reinstall it: `pip install "flipflow[board]"`.'
            raise FlipflowError("E420", what, str(path), fix)
        for match in _MODULE.finditer(path.read_text()):
            found.setdefault(match[1], _SPECIFY.sub("", match[0]))
    return found


def _instances(text: str) -> set[str]:
    """Names of the modules that a Verilog text instantiates; escaped names, such as kernels have, are left out."""
    return {match[1] for match in _INSTANCE.finditer(text)} - _KEYWORDS
