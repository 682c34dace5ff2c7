"""Which network a device holds: the 32 bytes by which a host and a bitstream know each other."""

import hashlib
from pathlib import Path

from flipflow.errors import FlipflowError

IDENTITY_BYTES = 32


def network_identity(run_dir: Path) -> bytes:
    """SHA-256 over integer.json and integer.npz of a run, 32 bytes: weights, thresholds, shapes, scale.

    Foldings of one network have the same identity; what they differ in (elements a beat, ...) is told apart by the
    device's description of its streams.

    Raises: FlipflowError E452 where the run lacks one of the two files.
    """
    total = hashlib.sha256()
    for name in ("integer.json", "integer.npz"):
        path = run_dir / name
        if not path.is_file():
            fix = f"Run `flipflow export {run_dir}` first."
            raise FlipflowError("E452", f"the run has no {name}.", str(run_dir), fix)
        total.update(path.read_bytes())
    return total.digest()
