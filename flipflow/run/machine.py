"""The machine that figures were measured on, without its name."""

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """{"cpu": model of the processor, "cores": those that this process may use}."""
    return {"cpu": processor(), "cores": len(os.sched_getaffinity(0))}


def processor() -> str:
    """Model of the processor, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
