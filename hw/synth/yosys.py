"""RTL to a netlist of one FPGA family, with the area of every kernel in it.

The kernels' modules keep their borders while Yosys optimises, so that what each takes can be told; streams register their
ends, so little is lost. netlist.v keeps the kernels as modules, `<module>$<path of the instance>`; netlist.json is flat, with
the path `u_<kernel>.` before the names, as place and route wants it.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.process import Outcome, Usage
from flipflow.hw.synth.area import Area, count, total
from flipflow.hw.synth.families import Family, family
from flipflow.hw.synth.process import run_yosys

# RTL modules that are kernels of the pipeline.
KERNEL_MODULES = (
    *("argmax", "channel_pad", "fifo", "fork_stream", "mixed_mvtu", "pool", "requantize", "residual_add", "sum_pool"),
    *("threshold", "width_converter", "window", "xnor_mvtu"),
)
LOG, JSON, VERILOG, AREAS = "yosys.log", "netlist.json", "netlist.v", "areas.json"
_COMMAND = re.compile(r"-- Running command `(?:\S+ )?.*?-run (\w+):")
_MAPPED = re.compile(r"(?:[\d.]+ )?Executing ABC9_EXE pass")
# Share of the whole that is done when a section starts: LUT mapping takes the most, a module at a time.
_STARTS = {"map_luts": 0.45, "finalize": 0.93, "check": 0.95}
_MAPPING = (0.45, 0.92)

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Literal:
    """A parameter's value as a SystemVerilog literal without blanks, such as 8'h2f."""

    text: str


Value = int | str | Literal


@dataclass(frozen=True)
class Netlist:
    """A synthesised design: its files, areas and what making it took.

    json: as nextpnr reads it. verilog: instances of the family's cells, the kernels as modules. log: Yosys'. areas: by instance
    path below the top ("u_conv0"), "" the rest of the top.
    """

    json: Path
    verilog: Path
    log: Path
    areas: Mapping[str, Area]
    usage: Usage

    @property
    def area(self) -> Area:
        """Of the whole."""
        return total(self.areas.values())


def synthesise(  # noqa: PLR0913 - a parameter an independent choice
    sources: Sequence[Path],
    top: str,
    family_name: str,
    workdir: Path,
    *,
    params: Mapping[str, Value] | None = None,
    memories: Path | None = None,
    keep: Sequence[str] = KERNEL_MODULES,
    flatten: bool = True,
    pads: bool = False,
    log: Path | None = None,
    progress: Progress | None = None,
) -> Netlist:
    """Synthesise the module `top` and write netlist.json, netlist.v and yosys.log into `workdir`, all or none.

    sources: SystemVerilog files with different names. params: overrides of top's parameters; a str is a string (a file's name).
    memories: folder whose .mem files $readmemh finds by their bare names. keep: modules whose instances stay apart.
    flatten: dissolve these in netlist.json. pads: the top's ports are the part's pins. log: another place for the log.
    progress: called with the share done, 0..1, and what is being done.

    Raises: FlipflowError E350 (no pyosys), E360 (Yosys refuses the RTL or dies; its log stays in workdir), E361 (no such
    family), E362 (unmapped cells, or a netlist that is not whole), E363 (killed, as for want of memory).
    """
    target = family(family_name)
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".synth-", dir=workdir) as scratch:
        place = Path(scratch)
        names = _gather(place, sources, memories)
        script = _script(target, names, top, params or {}, keep, flatten, pads)
        watch = _Watcher(target, progress) if progress else None
        outcome = run_yosys(script, place, place / LOG, watch)
        kept = log or workdir / LOG
        shutil.move(place / LOG, kept)
        _require_success(outcome, kept, top)
        areas = _areas(place / AREAS, top, target)
        _require_whole(place, kept, top)
        for name in (VERILOG, JSON):
            (place / name).replace(workdir / name)
    return Netlist(workdir / JSON, workdir / VERILOG, kept, areas, outcome.usage)


def _gather(place: Path, sources: Sequence[Path], memories: Path | None) -> list[str]:
    """Put everything that Yosys reads into its working directory, so that no path of ours enters its command language."""
    for path in sources:
        shutil.copy(path, place / path.name)
    for path in sorted(memories.glob("*.mem")) if memories else ():
        (place / path.name).symlink_to(path.resolve())
    return [path.name for path in sources]


def _script(
    target: Family,
    sources: Sequence[str],
    top: str,
    params: Mapping[str, Value],
    keep: Sequence[str],
    flatten: bool,
    pads: bool,
) -> list[str]:
    """Yosys' commands, in its working directory."""
    overrides = "".join(f" -G {key}={_literal(value)}" for key, value in params.items())
    synth = f"{target.command} -top {top} {target.no_pads}"
    sections = zip(target.labels, [*target.labels[1:], "check"], strict=True)
    return [
        # Hierarchy is kept per instance: every module is named <module>$<path of the instance>.
        f"read_slang --best-effort-hierarchy --top {top}{overrides} {' '.join(sources)}",
        f"hierarchy -check -top {top}",
        *(f"setattr -mod -set keep_hierarchy 1 {module}$*" for module in keep),
        *(f"{'groupwise ' * (start == 'map_luts')}{synth} -run {start}:{end}" for start, end in sections),
        # The family's own pass would give pads to the ports of kept modules as well.
        *([f"{target.pads} {top}"] if pads and target.pads else []),
        "delete t:$scopeinfo",
        "autoname",
        "hierarchy -check",
        "check -noinit -assert",
        f"tee -q -o {AREAS} stat -json",
        "blackbox =A:whitebox",
        f"write_verilog -noattr {VERILOG}",
        *(["setattr -mod -unset keep_hierarchy *", "flatten -noscopeinfo", "opt_clean"] if flatten else []),
        f"write_json {JSON}",
    ]


def _literal(value: Value) -> str:
    if isinstance(value, Literal):
        return value.text
    return f'"{value}"' if isinstance(value, str) else str(value)


class _Watcher:
    """Tells progress from Yosys' log."""

    def __init__(self, target: Family, progress: Progress) -> None:
        self.starts = {label: 0.05 + 0.03 * index for index, label in enumerate(target.labels)} | _STARTS
        self.progress = progress
        self.modules = 0
        self.mapped = 0
        self.done = 0.0

    def tell(self, share: float, note: str) -> None:
        """Never go back: families map their cells before or after their LUTs."""
        self.done = min(1.0, max(self.done, share))
        self.progress(self.done, note)

    def __call__(self, line: str) -> None:
        begun = _COMMAND.match(line)
        if begun:
            label = begun.group(1)
            self.tell(self.starts.get(label, 0.93), label)
        elif line.startswith("-- Running command `read_slang"):
            self.tell(0.0, "reading")
        elif line.startswith("Keeping ") and line.endswith("(found keep_hierarchy attribute)."):
            self.modules += 1
        elif _MAPPED.search(line):
            self.mapped += 1
            low, high = _MAPPING
            share = self.mapped / (self.modules + 1)
            self.tell(low + (high - low) * share, f"mapping LUTs, module {self.mapped}")
        elif line.startswith("-- Running command `write_json"):
            self.tell(0.98, "writing")


def _require_success(outcome: Outcome, log: Path, top: str) -> None:
    """Raise what the process' end means."""
    if outcome.code == 0:
        return
    where = f"module {top}, log in {log}"
    text = "\n".join(outcome.tail)
    if outcome.code < 0 or "Killed" in text or "bad_alloc" in text:
        memory = f"{outcome.usage.memory_mb:,.0f} MB"
        what = f"the synthesis was killed after {outcome.usage.seconds:.0f} s, at {memory}; most often memory runs out."
        fix = "Close other programs, fold the network smaller, or use a machine with more memory."
        raise FlipflowError("E363", what, where, fix)
    errors = [line for line in outcome.tail if "error" in line.lower()]
    what = f"Yosys stopped with code {outcome.code}:\n{chr(10).join(errors) or text}\n"
    fix = "Generated RTL: please report it, with the log. RTL of your own: correct the lines named."
    raise FlipflowError("E360", what, where, fix, Exit.CHECK_FAILED)


def _areas(path: Path, top: str, target: Family) -> dict[str, Area]:
    """Area by instance path, from Yosys' `stat -json`."""
    modules = json.loads(path.read_text())["modules"]
    areas = {}
    for name, entry in modules.items():
        cells = {kind: int(number) for kind, number in entry.get("num_cells_by_type", {}).items()}
        _, _, instance = name.removeprefix("\\").partition("$")
        areas[instance.removeprefix(top).removeprefix(".")] = count(cells, target.cells, f"module {name}")
    return areas


def _require_whole(place: Path, log: Path, top: str) -> None:
    """Yosys does not look whether the disk took what it wrote."""
    try:
        modules = json.loads((place / JSON).read_text())["modules"]
        whole = top in modules and (place / VERILOG).read_text().rstrip().endswith("endmodule")
    except (OSError, ValueError, KeyError):
        whole = False
    if not whole:
        what, fix = "the netlist that Yosys wrote is not whole.", "Free some disk space; then run it again."
        raise FlipflowError("E362", what, f"module {top}, log in {log}", fix)
