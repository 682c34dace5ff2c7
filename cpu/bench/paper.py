"""Table 4 of the OvSW paper: the authors' own figures, measured by them with the BOLT engine on one core of an Apple M1 Pro.

Shown beside ours for orientation: another machine, another engine, another baseline. Only the ratios compare, and those loosely.
"""

from typing import Any

SOURCE = "OvSW, table 4: BOLT, Apple M1 Pro, one thread; as published"
_ROWS = (
    ("resnet18", 27.67, 16.65, 7.97, 46.76, 2.81),
    ("resnet34", 48.82, 29.01, 14.28, 87.19, 4.12),
)


def table4(network: str | None = None) -> list[dict[str, Any]]:
    """Rows of the table, of one network or of all: {"network", "precision", "ms", "speedup", "megabytes", "smaller", "source"}.

    speedup and smaller are against fp32; file sizes are published for fp32 and 1-bit only.
    """
    rows = []
    for name, fp32, fp16, binary, float_size, binary_size in _ROWS:
        if network in (None, name):
            for precision, ms, size in (
                ("fp32", fp32, float_size),
                ("fp16", fp16, None),
                ("1-bit", binary, binary_size),
            ):
                rows.append(
                    {
                        "network": name,
                        "precision": precision,
                        "ms": ms,
                        "speedup": fp32 / ms,
                        "megabytes": size,
                        "smaller": None if size is None else float_size / size,
                        "source": SOURCE,
                    }
                )
    return rows
