"""The names that tables and legends give to what a configuration trains with."""

from typing import Any

_WEIGHTS = {
    "recu": "ReCU",
    "irnet": "IR-Net",
    "rbnn": "RBNN",
    "adabin": "AdaBin",
    "xnor": "XNOR-Net",
    "xnor++": "XNOR-Net++",
    "float": "float weights",
}


def method_name(config: dict[str, Any]) -> str:
    """Such as "vanilla", "AGS", "AGS+SAD", "RBNN+AGS+SAD", from the sections of a configuration as JSON."""
    weights = config["model"].get("weights", "vanilla")
    if weights == "float":
        return _WEIGHTS[weights]  # OvSW has nothing to act on
    parts = [] if weights == "vanilla" else [_WEIGHTS.get(weights, weights)]
    parts += [name for name, key in (("AGS", "ags"), ("SAD", "sad")) if config["ovsw"][key]]
    on_updates = config["ovsw"].get("ags_target") == "update" and (config["ovsw"]["ags"] or config["ovsw"]["sad"])
    return ("+".join(parts) or "vanilla") + (" on updates" if on_updates else "")


def network_name(config: dict[str, Any]) -> str:
    """The network, with its form where that is the paper's and not the deployable one."""
    model = config["model"]
    return str(model["network"]) + ("" if model.get("deployable", True) else " (paper's form)")
