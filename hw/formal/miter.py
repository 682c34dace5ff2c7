"""One circuit out of two: RTL and netlist of a kernel side by side, fed alike; its output says that they differ.

Both start with all registers at 0 and are reset in the first cycle; from then on every input, the reset too, is free. Values
that are undefined in the netlist (inputs of unused pins) are 0, as the packers make them.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.cells import model_source
from flipflow.hw.synth.process import run_yosys

_IN_RANGE = Path(__file__).parent / "in_range.v"
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)
_LOG = "miter.log"
_TO_WORDS = ("proc", "flatten", "opt_clean", "opt -full")
_TO_BITS = ("opt -full", "memory_map", "opt", "dffunmap")
# The power-up values of a netlist are its own, and the reset makes them needless.
_FROM_ZERO = ("setattr -unset init w:m.*", "setundef -init -zero")
_TO_AIG = ("techmap", "opt", "dffunmap", "simplemap", "opt_clean", "setundef -zero", "aigmap", "opt_clean")


@dataclass(frozen=True)
class Pair:
    """What is to be compared: the module `module` as `rtl` elaborates it below `top`, and the one of that name in a netlist.

    rtl: SystemVerilog files. netlist: Verilog text, instances of cells of `family`. params: overrides of top's parameters.
    memories: folder of the .mem files.
    """

    rtl: Sequence[Path]
    top: str
    module: str
    netlist: str
    family: str
    params: Mapping[str, int | str] = field(default_factory=dict)
    memories: Path | None = None


@dataclass(frozen=True)
class Size:
    """Of a miter: registers, AND gates, and range asserts of both sides together."""

    registers: int
    gates: int
    asserts: int


def write_miter(pair: Pair, path: Path) -> Size:
    """Write the miter as an AIGER file: output 0 is 1 where the two differ, the others where a read leaves its memory.

    Raises: FlipflowError E350 (no pyosys), E420 (a cell without a model), E423 (Yosys refuses something).
    """
    gate = module_text(pair.netlist, pair.module)
    with tempfile.TemporaryDirectory(prefix="flipflow-proof-") as scratch:
        place = Path(scratch)
        for source in pair.rtl:
            shutil.copy(source, place / source.name)
        for memory in sorted(pair.memories.glob("*.mem")) if pair.memories else ():
            (place / memory.name).symlink_to(memory.resolve())
        shutil.copy(_IN_RANGE, place / _IN_RANGE.name)
        (place / "netlist.v").write_text(gate + "\n" + model_source(gate, pair.family))
        (place / "bench.v").write_text(_bench(gate))
        outcome = run_yosys(_script(pair), place, place / _LOG)
        if outcome.code != 0:
            kept = path.with_suffix(".log")
            shutil.copy(place / _LOG, kept)
            what = f"Yosys stopped with code {outcome.code}:\n{chr(10).join(outcome.tail)}\n"
            raise FlipflowError("E423", what, f"{pair.module}, log in {kept}", "Please report it.", Exit.CHECK_FAILED)
        shutil.move(place / "miter.aig", path)
    return _size(path)


def module_text(netlist: str, module: str) -> str:
    """The text of one module of a netlist, under the name `gate`. Raises: FlipflowError E424 where it is not there."""
    pattern = rf"^module (?:\\{re.escape(module)} |{re.escape(module)})\(.*?^endmodule$"
    found = re.search(pattern, netlist, re.DOTALL | re.MULTILINE)
    if found is None:
        raise FlipflowError("E424", "the netlist has no such kernel.", module, "Synthesise it anew, or name another.")
    return re.sub(r"^module .*?\(", "module gate(", found[0], count=1)


def _bench(gate: str) -> str:
    """The reset's first cycle, and the miter."""
    inputs = [(name, int(high or 0)) for kind, high, name in _PORT.findall(gate) if kind == "input" and name != "clk_i"]
    ports = "".join(f"  input [{high}:0] in_{name},\n" for name, high in inputs)
    pins = ", ".join(f".in_{name}(in_{name}{' & started' if name == 'rst_ni' else ''})" for name, _ in inputs)
    return (
        f"module bench (\n  input clk,\n{ports}  output differ\n);\n"
        "  reg started = 0;\n  wire trigger;\n  always @(posedge clk) started <= 1;\n"
        f"  miter m (.in_clk_i(clk), {pins}, .trigger(trigger));\n  assign differ = trigger & started;\nendmodule\n"
    )


def _script(pair: Pair) -> list[str]:
    """Yosys' commands, in a directory that holds all files."""
    overrides = "".join(
        f" -G {key}={value}" if isinstance(value, int) else f' -G {key}="{value}"' for key, value in pair.params.items()
    )
    sources = " ".join(path.name for path in pair.rtl)
    return [
        f"read_slang --best-effort-hierarchy --top {pair.top}{overrides} {sources}",
        f"hierarchy -check -top \\{pair.module}",
        *_TO_WORDS,
        *("memory_dff", "memory_collect", f"techmap -max_iter 1 -map {_IN_RANGE.name} t:$mem_v2", "opt_clean"),
        *_TO_BITS,
        *(f"rename \\{pair.module} gold", "design -stash gold"),
        "read_verilog -sv netlist.v",
        "hierarchy -check -top gate",
        *_TO_WORDS,
        *("memory_dff", "memory_collect"),
        *_TO_BITS,
        "design -stash gate",
        *("design -copy-from gold gold", "design -copy-from gate gate"),
        *("miter -equiv -flatten gold gate miter", "delete gold gate"),
        *("read_verilog bench.v", "hierarchy -top bench", "proc", "flatten", "opt -full"),
        *("setundef -undriven -zero", *_FROM_ZERO),
        *_TO_AIG,
        "write_aiger -zinit miter.aig",
    ]


def _size(path: Path) -> Size:
    with path.open("rb") as file:
        _, _, _, registers, _, gates, *rest = file.readline().split()
    return Size(int(registers), int(gates), int(rest[0]) if rest else 0)
