"""Tables of docs/networks.md, counted on the networks themselves."""

from collections.abc import Callable
from functools import cache

from markdown_table import table

_SHAPES = {
    "cresnet18": ((3, 32, 32), 10),
    "cresnet20": ((3, 32, 32), 10),
    "vggsmall": ((3, 32, 32), 10),
    "resnet18": ((3, 224, 224), 1000),
    "resnet34": ((3, 224, 224), 1000),
}


@cache
def counts() -> str:
    """Weights, parameters and MACs of each paper's network, in both forms."""
    # Not for scripts that want other tables: torch takes seconds to import.
    from flipflow.config import ModelConfig  # noqa: PLC0415
    from flipflow.train.models import count  # noqa: PLC0415

    rows = []
    for name, (shape, classes) in _SHAPES.items():
        for form, deployable in (("paper's", False), ("deployable", True)):
            counted = count(ModelConfig.model_validate({"network": name, "deployable": deployable}), shape, classes)
            millions = (counted.binary_weights, counted.other_parameters, counted.binary_macs, counted.other_macs)
            figures = (f"{value / 1e6:,.{places}f}" for value, places in zip(millions, (3, 3, 1, 1), strict=True))
            size = "x".join(map(str, shape[1:]))
            rows.append((f"`{name}`", form, size, str(classes), *figures))
    head = (
        "network",
        "form",
        "images",
        "classes",
        "binary weights, M",
        "other parameters, M",
        "binary MAC, M",
        "other MAC, M",
    )
    return table(head, rows)


COMPUTED: dict[str, Callable[[], str]] = {"network-counts": counts}
"""Blocks that need no result of a run: `<!-- generated:code/BLOCK -->`."""
