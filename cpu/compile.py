"""From an integer net to a plan file."""

import contextlib
import os
from pathlib import Path

from flipflow.cpu.isa import target
from flipflow.cpu.lower import lower
from flipflow.cpu.writer import serialize
from flipflow.errors import FlipflowError
from flipflow.export.integer.net import IntegerNet


def compile_plan(net: IntegerNet, isa: str = "auto") -> bytes:
    """The plan of a net, its weights laid out for one instruction set; engines of other sets run it too, after repacking.

    isa: "auto" for the best of this machine (or the one in $FLIPFLOW_ISA), or any of ISAS.
    Raises: FlipflowError E550 where there is no such instruction set, E551 where the net does not fit the engine's integers,
    E556 where the compiled part is missing.
    """
    return serialize(lower(net), net, target(isa))


def write_plan(net: IntegerNet, path: Path | str, isa: str = "auto") -> None:
    """Write the plan in one step: whoever sees the file sees it whole.

    Raises: as compile_plan, and FlipflowError E555 where the file cannot be written, or is a folder or a device.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # renaming would replace a device
        raise FlipflowError("E555", "it is no file.", str(path), "Name a file in a writable folder.")
    data = compile_plan(net, isa)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise FlipflowError(
            "E555", f"the plan cannot be written ({error.strerror}).", str(path), "Name a file in a writable folder."
        ) from error
