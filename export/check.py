"""`check`: every reason why a network cannot be deployed exactly, before anything is transformed."""

import tempfile
from pathlib import Path

import onnx

from flipflow.errors import FlipflowError
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import obstacles
from flipflow.export.problems import Problem


def check_file(path: Path) -> list[Problem]:
    """Problems of a QONNX file: node, why, remedy. Empty where it deploys exactly.

    Raises: FlipflowError E200, E201, E202 where the file cannot be read as a model at all.
    """
    model, problems = canonicalize(read_model(path))
    if model is None:
        return list(problems.found)
    errors = obstacles(model) or _obstacles_for_finn(model)
    return [Problem(error.code, error.where, error.what, error.fix) for error in errors]


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
