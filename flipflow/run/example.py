"""A shipped example: a folder with a trained network, its configuration, and a record of its training and of what was verified
(written by scripts/ship_example.py).
"""

import json
from pathlib import Path
from typing import Any

from flipflow.config import DataConfig, load_config
from flipflow.errors import FlipflowError
from flipflow.run.files import digest
from flipflow.run.stages import QONNX

FORMAT, VERSION = "flipflow-example", 1
RECORD = "manifest.json"
CONFIG = "config.toml"


def is_example(folder: Path) -> bool:
    """Whether a folder says that it is a shipped example (a run has a manifest.json of another kind)."""
    return _record(folder).get("format") == FORMAT


def read_example(folder: Path) -> tuple[Path, DataConfig]:
    """(the network's file, the data set that it was trained on).

    Raises: FlipflowError E185 where the record is not about this network, or of another version.
    """
    network, record = folder / QONNX, _record(folder)
    if record.get("version") != VERSION:
        raise _refused(f"its record has version {record.get('version')}, and {VERSION} is known", folder)
    if record.get("model_sha256") != digest(network):
        raise _refused(f"{QONNX} is missing, or is not the network that {RECORD} is about", folder)
    data = load_config(folder / CONFIG).data
    if data is None:
        raise _refused(f"{CONFIG} names no data set", folder)
    return network, data


def _record(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _refused(what: str, folder: Path) -> FlipflowError:
    fix = f"Take the example as it was shipped, or export its {QONNX} by itself."
    return FlipflowError("E185", f"{what}.", str(folder), fix)
