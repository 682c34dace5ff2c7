"""`check`: every reason why a network cannot be deployed exactly, before anything is transformed."""

from pathlib import Path

from flipflow.errors import FlipflowError
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import lower
from flipflow.export.problems import Problem


def check_file(path: Path) -> list[Problem]:
    """Problems of a QONNX file: node, why, remedy. Empty where it deploys exactly.

    Raises: FlipflowError E200, E201, E202 where the file cannot be read as a model at all.
    """
    model, problems = canonicalize(read_model(path))
    found = list(problems.found)
    if model is not None:
        try:
            lower(model)
        except FlipflowError as error:
            # The lowering stops at the first one.
            found.append(Problem(error.code, error.where, error.what, error.fix))
    return found
