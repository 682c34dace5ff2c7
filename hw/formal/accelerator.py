"""Every kernel of a run's accelerator: is what was synthesised what was generated?"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.formal.equivalence import Proof, prove
from flipflow.hw.formal.miter import Pair
from flipflow.hw.netlist import TOP, accelerator_netlist, rtl_sources

PROOF = "proof.json"
_KERNEL = re.compile(rf"^module \\((\w+)\${TOP}\.u_(\w+)) \(", re.MULTILINE)


@dataclass(frozen=True)
class KernelProof:
    """A kernel instance's name and RTL module, and what became of its proof."""

    name: str
    kind: str
    proof: Proof

    def row(self) -> dict[str, Any]:
        """An entry of proof.json."""
        values = asdict(self.proof)
        del values["module"]
        return {"name": self.name, "kind": self.kind, **values}


def kernels_in(netlist: str) -> dict[str, tuple[str, str]]:
    """The kernels of an accelerator's netlist: module in the netlist and RTL module, by instance name without `u_`."""
    return {name: (module, kind) for module, kind, name in _KERNEL.findall(netlist)}


def prove_accelerator(
    run_dir: Path,
    accel: Mapping[str, Any],
    family: str,
    names: Sequence[str] = (),
    *,
    limit_s: float = 120.0,
    synthesis: Callable[[float, str], None] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    found: Callable[[KernelProof], None] | None = None,
) -> list[KernelProof]:
    """Prove each kernel's netlist equivalent to its RTL, or find that it is not.

    accel: accelerator.json. names: kernels, all if empty. limit_s: seconds a kernel. synthesis: takes the share done and a note,
    where there is a synthesis to be done first. progress: takes kernels done, kernels in all, and the one at hand. found: takes
    each proof as it is made.

    Raises: FlipflowError E424 (no such kernel), synthesis' E360-E363, and those of `flipflow.hw.formal.prove`.
    """
    text = accelerator_netlist(run_dir, accel, family, synthesis).read_text()
    kernels = kernels_in(text)
    for name in names:
        if name not in kernels:
            what, fix = "the accelerator has no such kernel.", f"Its kernels are {', '.join(kernels)}."
            raise FlipflowError("E424", what, name, fix, Exit.BAD_INPUT)
    sources = rtl_sources(run_dir, accel)
    done = []
    chosen = list(names) or list(kernels)
    for index, name in enumerate(chosen):
        if progress is not None:
            progress(index, len(chosen), name)
        module, kind = kernels[name]
        pair = Pair(sources, TOP, module, text, family, memories=run_dir / "rtl")
        done.append(KernelProof(name, kind, prove(pair, limit_s)))
        if found is not None:
            found(done[-1])
    return done
