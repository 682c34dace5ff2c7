"""One kernel on its own: its area in a family, from the cache where it was synthesised before."""

import dataclasses
import importlib.metadata
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flipflow.hw import emit
from flipflow.hw.process import Usage
from flipflow.hw.synth.area import Area
from flipflow.hw.synth.families import family
from flipflow.hw.synth.process import require_package
from flipflow.hw.synth.yosys import Literal, Progress, Value, synthesise
from flipflow.sim import cache

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp, RtlModule

_RESULT = "area.json"
_FORMAT = "2"  # of that file; part of the key, so that no other is read


@dataclass(frozen=True)
class KernelSynthesis:
    """A kernel's area, and what its synthesis took when it was made."""

    area: Area
    usage: Usage


def synthesise_kernel(op: "KernelOp", params: Mapping[str, NDArray[Any]], family_name: str) -> Area:
    """Area of one kernel. params: its constant inputs by name, which its ROMs (and so its LUTs) depend on.

    Raises: as flipflow.hw.synth.yosys.synthesise, and E514 where the cache cannot be written.
    """
    return kernel_synthesis(op.rtl_module(dict(params)), family_name).area


def kernel_synthesis(module: "RtlModule", family_name: str, progress: Progress | None = None) -> KernelSynthesis:
    """The same for an RTL module with its parameters and memory files."""
    target = family(family_name)
    require_package("pyosys", "board")
    texts = {**emit.sources([module]), **emit.memories([module])}
    params = {key: _value(value) for key, value in module.parameters.items()}
    # How Yosys optimises is all in the family's command; costs belong to the key, as the same netlist counted otherwise is
    # another result.
    recipe = [_FORMAT, importlib.metadata.version("pyosys"), target.command, target.no_pads, repr(target.cells)]
    parts = [part for pair in texts.items() for part in pair]
    key = cache.digest([*recipe, module.name, repr(sorted(params.items())), *parts])

    def build(place: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="flipflow-synth-") as scratch:
            folder = Path(scratch)
            for name, text in texts.items():
                (folder / name).write_text(text)
            netlist = synthesise(
                sorted(folder.glob("*.sv")), module.name, family_name, folder / "out",
                params=params, memories=folder, keep=(), progress=progress,
            )  # fmt: skip
        result = {"area": netlist.area.as_dict(), "usage": dataclasses.asdict(netlist.usage)}
        (place / _RESULT).write_text(json.dumps(result) + "\n")

    result = json.loads((cache.entry("synth", key, build) / _RESULT).read_text())
    return KernelSynthesis(Area(**result["area"]), Usage(**result["usage"]))


def _value(value: Any) -> Value:
    """A parameter as Yosys' slang front end takes it."""
    from flipflow.hw.kernels.base import Bits  # noqa: PLC0415

    if isinstance(value, Bits):
        return Literal(f"{value.width}'h{value.value:x}")
    return value if isinstance(value, int) else str(value)
