"""`check`: every reason why a network cannot be deployed exactly, before anything is transformed."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from flipflow.errors import FlipflowError
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import obstacles
from flipflow.export.integer.graph import CanonicalGraph
from flipflow.export.problems import Problem
from flipflow.export.rtl_path import off_rtl_path


@dataclass(frozen=True)
class Findings:
    """problems: why a network does not deploy exactly. off_rtl: why one that does is not on the RTL path, if it is not."""

    problems: list[Problem]
    off_rtl: FlipflowError | None = None


def check_file(path: Path) -> list[Problem]:
    """Problems of a QONNX file: node, why, remedy. Empty where it deploys exactly.

    Raises: FlipflowError E200, E201, E202 where the file cannot be read as a model at all.
    """
    return examine(path).problems


def examine(path: Path) -> Findings:
    """`check_file`, and whether hardware can be made of the network. Raises as `check_file`."""
    model, problems = canonicalize(read_model(path))
    if model is None:
        return Findings(list(problems.found))
    off_rtl = off_rtl_path(CanonicalGraph(model))
    errors = obstacles(model)
    if not errors and off_rtl is None:
        errors = _obstacles_for_finn(model)
    return Findings([Problem(error.code, error.where, error.what, error.fix) for error in errors], off_rtl)


def _obstacles_for_finn(model: onnx.ModelProto) -> list[FlipflowError]:
    """Why the second lowering would refuse what the first one takes; it stops at the first reason."""
    from flipflow.export.finn.streamline import lower  # noqa: PLC0415 - FINN takes seconds to import

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "canonical.onnx"
        onnx.save(model, path)
        try:
            lower(path, path.with_name("streamlined.onnx"))
        except FlipflowError as error:
            return [error]
    return []
