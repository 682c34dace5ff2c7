"""Defaults of [model] by the network's name and by the method of its weights."""

from typing import Any


def _conv(channels: int, **keys: int) -> dict[str, int]:
    return {"channels": channels, **keys}


# TFC, SFC, LFC and CNV: topologies of FINN (Umuroglu et al., FPGA 2017). cResNet18, cResNet20, VGGSmall, ResNet18 and ResNet34:
# those of OvSW (Xiang et al., ECCV 2024).
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {},
    "mlp": {"padding": "none"},
    "tfc": {"hidden": [64, 64, 64], "padding": "none"},
    "sfc": {"hidden": [256, 256, 256], "padding": "none"},
    "lfc": {"hidden": [1024, 1024, 1024], "padding": "none"},
    "cnv": {
        "layers": [_conv(64), _conv(64, pool=2), _conv(128), _conv(128, pool=2), _conv(256), _conv(256)],
        "hidden": [512, 512],
        "padding": "none",
        "order": "conv-bn-sign-pool",
    },
    "digits-cnn": {
        "layers": [_conv(32), _conv(32, pool=2), _conv(64)],
        "padding": "zero",
        "order": "conv-bn-pool-sign",
    },
    "fashion-cnn": {
        "layers": [_conv(32, stride=2), _conv(64, pool=2), _conv(64), _conv(128, pool=2)],
        "padding": "zero",
        "order": "conv-pool-bn-sign",
    },
    "vggsmall": {
        "layers": [_conv(128), _conv(128, pool=2), _conv(256), _conv(256, pool=2), _conv(512), _conv(512, pool=2)],
        "padding": "zero",
        "order": "conv-pool-bn-sign",
        # 15 * 127 * 8192 < 2^24: with more bits the sums of the last layer could leave what float32 holds exactly.
        "last_activation_bits": 4,
    },
    "resnet": {},
    "cresnet18": {
        "widths": [64, 128, 256, 512],
        "blocks": [2, 2, 2, 2],
        "stem": "3x3-linear",
        "skip": "block",
        "shortcut": "binary",
    },
    "cresnet20": {"widths": [16, 32, 64], "blocks": [3, 3, 3], "shortcut": "pool"},
    "resnet18": {"widths": [64, 128, 256, 512], "blocks": [2, 2, 2, 2], "stem": "7x7-pool"},
    "resnet34": {"widths": [64, 128, 256, 512], "blocks": [3, 4, 6, 3], "stem": "7x7-pool"},
}
PAPERS_FORM: dict[str, dict[str, Any]] = {"vggsmall": {"last_activation_bits": 32}}
"""What else is different where deployable = false."""
RESIDUAL_NETWORKS = ("resnet", "cresnet18", "cresnet20", "resnet18", "resnet34")

# Of each method: the gradient through its weights' sign, and that of activations in the deployable and in the paper's form.
_ESTIMATORS: dict[str, tuple[str, str, str]] = {
    "vanilla": ("identity", "bireal", "bireal"),
    "float": ("identity", "bireal", "bireal"),
    "recu": ("identity", "bireal", "bireal"),
    "irnet": ("ede", "ede", "ede"),
    "rbnn": ("rbnn", "rbnn", "rbnn"),
    "adabin": ("ede", "bireal", "adabin"),
    "xnor": ("clipped_identity", "clipped_identity", "clipped_identity"),
    "xnor++": ("clipped_identity", "clipped_identity", "clipped_identity"),
}
_NORMS = {"vanilla": "std", "float": "std", "recu": "std-attached", "rbnn": "mean-std"}
# A norm that is a matter of the gradient alone deploys. Networks that are no paper's train without one.
_NORMED = ("vggsmall", *RESIDUAL_NETWORKS)


def form_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Defaults that hang on `weights`, `deployable` and `network`, as given in `data`.

    Where those have impossible values the defaults are of a vanilla, deployable network: pydantic refuses them by name later.
    """
    given = data.get("weights", "vanilla")
    weights = given if isinstance(given, str) and given in _ESTIMATORS else "vanilla"
    weight_estimator, deployed, papers = _ESTIMATORS[weights]
    deployable = data.get("deployable", True) is not False
    estimator = data.get("estimator", deployed if deployable else papers)
    norm = "none" if estimator == "adabin" else _NORMS.get(weights, "none")
    recipe = {"weight_estimator": weight_estimator, "estimator": estimator}
    if deployable:
        deploys = norm != "mean-std" and data.get("network") in _NORMED
        return recipe | {"activation_norm": norm if deploys else "none"}
    bits = dict.fromkeys(("first_weight_bits", "last_weight_bits", "residual_bits"), 32)
    return recipe | {"activation_norm": norm} | bits | PAPERS_FORM.get(str(data.get("network")), {})
