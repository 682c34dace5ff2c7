"""Configuration of the network and its training: sections [model] [data] [train] [ovsw] of a run's TOML file.

Every model is frozen and refuses unknown keys. `[model] network` names a set of defaults (NETWORKS); any key beside it
overrides one of them, so a resolved configuration reads back as itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Padding = Literal["none", "zero", "minus_one", "plus_one"]
Order = Literal["conv-bn-sign-pool", "conv-bn-pool-sign", "conv-pool-bn-sign"]
Stem = Literal["3x3", "7x7-pool"]
NetworkName = Literal[
    "mlp", "tfc", "sfc", "lfc", "cnv", "cnn", "digits-cnn", "fashion-cnn", "resnet", "cresnet18", "resnet18", "resnet34"
]
Estimator = Literal["identity", "bireal", "clipped_identity"]
DatasetName = Literal["digits", "idx", "fashion-mnist", "cifar10", "cifar100", "folder"]
Augmentation = Literal["flip", "crop"]


class _Section(BaseModel):
    """A section of the file: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConvLayer(_Section):
    """One convolution with what follows it: batch norm, activation, and a max-pool where pool > 1.

    channels: filters. kernel: odd where the border is padded, since padding is kernel // 2 on every side. stride: of
    the convolution. pool: size and stride of the max-pool, 1 for none.
    """

    channels: int = Field(ge=1, le=4096)
    kernel: int = Field(default=3, ge=1, le=11)
    stride: int = Field(default=1, ge=1, le=8)
    pool: int = Field(default=1, ge=1, le=8)


def _conv(channels: int, **keys: int) -> dict[str, int]:
    return {"channels": channels, **keys}


# Defaults by network. TFC, SFC, LFC and CNV: topologies of FINN (Umuroglu et al., FPGA 2017).
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
    "resnet": {},
    "cresnet18": {"widths": [64, 128, 256, 512], "blocks": [2, 2, 2, 2]},
    "resnet18": {"widths": [64, 128, 256, 512], "blocks": [2, 2, 2, 2], "stem": "7x7-pool"},
    "resnet34": {"widths": [64, 128, 256, 512], "blocks": [3, 4, 6, 3], "stem": "7x7-pool"},
}


RESIDUAL_NETWORKS = ("resnet", "cresnet18", "resnet18", "resnet34")


class ModelConfig(_Section):
    """The network. Pixels 0..255 go in as floats, exactly; logits come out.

    network: a name of NETWORKS; "cnn" needs `layers`, "mlp" needs `hidden`, "resnet" needs `widths`.
    layers: the convolutions.
    hidden: sizes of the fully connected layers between the convolutions and the last layer.
    padding: what the border of a convolution's input is. Kinds minus_one and plus_one are constants of a +-1 stream; a
        first layer, whose input is integer, pads with 0 instead.
    order: where the max-pool stands among convolution, batch norm (bn) and activation (sign).
    first_weight_bits, last_weight_bits: 1 for binary, else fixed point of so many bits with a power-of-two scale.
    activation_bits: 1 for sign, else unsigned fixed point.
    widths: channels of the stages of a residual network; every stage but the first halves the map.
    blocks: how many blocks of two convolutions each stage has; one each where left out.
    stem: first layer of a residual network: a 3x3 convolution, or ImageNet's 7x7 with stride 2 and a max-pool behind it.
    residual_bits, residual_fraction: the residual stream's fixed-point format, signed, in steps of 2^-residual_fraction.
    estimator, weight_estimator: gradient through the sign of activations and of weights (flipflow.train.estimators).
    """

    network: NetworkName = "cnn"
    layers: tuple[ConvLayer, ...] = ()
    hidden: tuple[int, ...] = ()
    padding: Padding = "zero"
    order: Order = "conv-bn-sign-pool"
    first_weight_bits: int = Field(default=8, ge=1, le=8)
    last_weight_bits: int = Field(default=8, ge=1, le=8)
    activation_bits: int = Field(default=1, ge=1, le=8)
    widths: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    stem: Stem = "3x3"
    residual_bits: int = Field(default=8, ge=2, le=8)
    residual_fraction: int = Field(default=4, ge=0, le=12)
    estimator: Estimator = "bireal"
    weight_estimator: Estimator = "identity"

    @model_validator(mode="before")
    @classmethod
    def _fill_in_network(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        filled = {**NETWORKS.get(data.get("network", "cnn"), {}), **data}
        if filled.get("widths") and not filled.get("blocks"):
            filled["blocks"] = [1] * len(filled["widths"])
        return filled

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if self.network == "cnn" and not self.layers:
            raise ValueError(
                "network 'cnn' needs `layers`, a list of tables such as {channels = 32, kernel = 3, pool = 2}"
            )
        if self.network == "mlp" and not self.hidden:
            raise ValueError("network 'mlp' needs `hidden`, the sizes of its hidden layers, such as [64, 64, 64]")
        if self.network in ("mlp", "tfc", "sfc", "lfc") and self.layers:
            raise ValueError(f"network '{self.network}' has no convolutions; take network 'cnn' to give `layers`")
        for size in self.hidden:
            if not 1 <= size <= 65536:
                raise ValueError(f"`hidden` holds {size}; every size must lie in 1..65536")
        return self

    @model_validator(mode="after")
    def _check_residual(self) -> Self:
        residual = self.network in RESIDUAL_NETWORKS
        if not residual and (self.widths or self.blocks):
            raise ValueError(f"`widths` and `blocks` are for residual networks, and network is '{self.network}'")
        if not residual:
            return self
        if not self.widths:
            raise ValueError("network 'resnet' needs `widths`, the channels of its stages, such as [16, 32, 64]")
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"`blocks` has {len(self.blocks)} entries for {len(self.widths)} stages in `widths`")
        if not all(1 <= width <= 4096 for width in self.widths) or not all(1 <= count <= 64 for count in self.blocks):
            raise ValueError("`widths` must lie in 1..4096 and `blocks` in 1..64")
        if self.layers or self.hidden or self.padding != "zero" or self.activation_bits != 1:
            raise ValueError(
                f"network '{self.network}' has its layers from `widths` and `blocks`, zero padding and +-1 activations; "
                "leave out layers, hidden, padding and activation_bits"
            )
        return self

    @model_validator(mode="after")
    def _check_padding(self) -> Self:
        if self.padding != "none":
            for index, layer in enumerate(self.layers):
                if layer.kernel % 2 == 0:
                    raise ValueError(
                        f"layers[{index}].kernel is {layer.kernel}: an even kernel cannot be padded evenly; "
                        "take an odd one or padding = 'none'"
                    )
        if self.padding in ("minus_one", "plus_one") and self.activation_bits > 1:
            raise ValueError(
                f"padding '{self.padding}' is for +-1 activations, and activation_bits is {self.activation_bits}; "
                "take padding = 'zero' or 'none'"
            )
        return self


class DataConfig(_Section):
    """The data and its split.

    dataset: digits (scikit-learn's, 1438 training and 359 test images), idx (files in MNIST's format), fashion-mnist
        (idx, looked for where Debian's package dataset-fashion-mnist puts it), cifar10, cifar100 (official archives,
        python version), folder (<path>/train/<class>/*, <path>/test/<class>/*).
    path: the folder or archive; may be left out for digits and fashion-mnist.
    validation: share of the training images held out to choose the best epoch.
    split_seed: of that choice, apart from the training seed.
    limit: keep only so many training images before the split (for trials), 0 for all.
    image_size: [height, width] that folder images are resized to, none to demand equal sizes.
    grey: folder images as one channel.
    """

    dataset: DatasetName = "digits"
    path: Path | None = None
    validation: float = Field(default=0.1, gt=0.0, lt=0.9)
    split_seed: int = Field(default=0, ge=0)
    limit: int = Field(default=0, ge=0)
    image_size: tuple[int, int] | None = None
    grey: bool = False

    @model_validator(mode="after")
    def _check_path(self) -> Self:
        if self.path is None and self.dataset in ("idx", "cifar10", "cifar100", "folder"):
            raise ValueError(f"dataset '{self.dataset}' needs `path`, the folder or archive that holds it")
        if self.dataset != "folder" and (self.image_size is not None or self.grey):
            raise ValueError("`image_size` and `grey` are for dataset 'folder' only")
        return self

    @field_validator("image_size")
    @classmethod
    def _check_size(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 1:
            raise ValueError(f"image_size {list(size)} must be positive: [height, width]")
        return size


class TrainConfig(_Section):
    """How to train.

    batch_size: images a forward pass. accumulate: forward passes an optimizer step.
    momentum: of SGD, and beta1 of Adam and AdamW.
    decay_1d: apply weight_decay to 1-D parameters (batch norm) too.
    schedule: of the learning rate, step by step; warmup_epochs of linear rise come first.
    clip_norm: largest global gradient norm, 0 for no clipping.
    amp: autocast type of the training passes; evaluation is always float32.
    augment: flip (horizontal), crop (of the image padded by crop_pad pixels of 0 on each side).
    threads: CPU threads, 0 for torch's own choice; bit-equal repeats need the same number.
    device: cpu, cuda, or auto.
    """

    epochs: int = Field(default=20, ge=1, le=100_000)
    batch_size: int = Field(default=100, ge=2, le=65_536)
    accumulate: int = Field(default=1, ge=1, le=1024)
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(default=0.1, gt=0.0, le=100.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=5e-4, ge=0.0, lt=1.0)
    decay_1d: bool = False
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: float = Field(default=1.0, ge=0.0)
    clip_norm: float = Field(default=0.0, ge=0.0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    amp: Literal["none", "bf16", "fp16"] = "none"
    augment: tuple[Augmentation, ...] = ()
    crop_pad: int = Field(default=2, ge=1, le=16)
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=0, ge=0, le=1024)
    device: Literal["cpu", "cuda", "auto"] = "cpu"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(f"warmup_epochs is {self.warmup_epochs:g} of {self.epochs} epochs; it must be smaller")
        if len(set(self.augment)) != len(self.augment):
            raise ValueError(f"`augment` names something twice: {list(self.augment)}")
        if self.amp == "fp16" and self.device == "cpu":
            raise ValueError("amp = 'fp16' is for device = 'cuda'; take 'bf16' or 'none' on a CPU")
        return self


class OvswConfig(_Section):
    """OvSW (Xiang et al., ECCV 2024, arXiv 2407.05257): keeps binary weights flipping.

    ags: adaptive gradient scaling: raises a channel's gradient to lambda_ times its weight norm.
    sad: silence-aware decay: adds gamma * W to the gradient of weights whose flip rate (running mean with `momentum`)
        is below `sigma`. Short runs want a larger gamma than the paper's 9e-4.
    With both off only the telemetry is kept.
    """

    ags: bool = True
    sad: bool = True
    lambda_: float = Field(default=0.04, ge=0.0, le=10.0)
    gamma: float = Field(default=9e-4, ge=0.0, le=1.0)
    sigma: float = Field(default=1e-4, ge=0.0, le=1.0)
    momentum: float = Field(default=0.999, ge=0.0, lt=1.0)
