"""Configuration of the training: sections [data] [train] [ovsw] of a run's TOML file, frozen, with unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from flipflow.config.section import Section

DatasetName = Literal["digits", "idx", "fashion-mnist", "cifar10", "cifar100", "folder"]
Augmentation = Literal["flip", "crop", "resized-crop", "lighting"]
OvswPreset = Literal["off", "paper-cifar", "paper-imagenet", "released-imagenet"]

# OvSW's published settings. Its paper and its released command differ on ImageNet; the released flags call lambda `delta`, gamma
# `dampen_weight`, sigma `track_threshold` and momentum `track_momentum`. The released YAML files have both features "off".
OVSW_PRESETS: dict[str, dict[str, Any]] = {
    "off": {"ags": False, "sad": False},
    "paper-cifar": {"lambda_": 0.04, "gamma": 9e-4},
    "paper-imagenet": {"lambda_": 0.02, "gamma": 2e-5},
    "released-imagenet": {"lambda_": 0.01, "gamma": 2e-5},
}


class DataConfig(Section):
    """The data and its split.

    dataset: digits (scikit-learn's, 1438 training and 359 test images), idx (files in MNIST's format), fashion-mnist
        (idx, looked for where Debian's package dataset-fashion-mnist puts it), cifar10, cifar100 (official archives,
        python version), folder (<path>/train/<class>/*, <path>/test/<class>/*).
    path: the folder or archive; may be left out for digits and fashion-mnist.
    validation: share of the training images held out to choose the best epoch.
    split_seed: of that choice, apart from the training seed.
    limit: keep only so many training images before the split (for trials), 0 for all.
    classes: how many classes the data must have; a guard against the wrong files, none to take what there is.
    image_size: [height, width] that folder images are resized to, none to demand equal sizes.
    fit: how folder images come to image_size: stretch both sides, or centre: scale the shorter side to 8/7 of its size and cut
        out the centre (256 and 224 on ImageNet).
    grey: folder images as one channel.
    resident: false leaves a folder's training images in their files, to be decoded when it is their turn, for sets larger than
        the memory; validation and test images are held all the same.
    """

    dataset: DatasetName = "digits"
    path: Path | None = None
    validation: float = Field(default=0.1, gt=0.0, lt=0.9)
    split_seed: int = Field(default=0, ge=0)
    limit: int = Field(default=0, ge=0)
    classes: int | None = Field(default=None, ge=2)
    image_size: tuple[int, int] | None = None
    fit: Literal["stretch", "centre"] = "stretch"
    grey: bool = False
    resident: bool = True

    @model_validator(mode="after")
    def _check_path(self) -> Self:
        if self.path is None and self.dataset in ("idx", "cifar10", "cifar100", "folder"):
            raise ValueError(f"dataset '{self.dataset}' needs `path`, the folder or archive that holds it")
        if self.dataset != "folder" and (self.image_size is not None or self.grey or not self.resident):
            raise ValueError("`image_size`, `grey` and `resident` are for dataset 'folder' only")
        if self.image_size is None and (self.fit != "stretch" or not self.resident):
            raise ValueError("`fit` and `resident = false` need `image_size`, which all images are brought to")
        return self

    @field_validator("image_size")
    @classmethod
    def _check_size(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 1:
            raise ValueError(f"image_size {list(size)} must be positive: [height, width]")
        return size


class TrainConfig(Section):
    """How to train.

    batch_size: images a forward pass, of all processes together. accumulate: forward passes an optimizer step.
    momentum: of SGD and LARS, and beta1 of Adam and AdamW.
    lars_trust: LARS's trust coefficient.
    decay_1d: apply weight_decay to 1-D parameters (batch norm) too.
    schedule: of the learning rate, step by step; warmup_epochs of linear rise come first; cosine-epoch is OvSW's recipe, which
        changes once an epoch and ends at 1e-5.
    clip_norm: largest global gradient norm, 0 for no clipping.
    ema: decay of a running mean of the weights, which is then evaluated and kept in their place; 0 for none.
    amp: autocast type of the training passes; evaluation is always float32.
    channels_last: keep images and weights in the memory order that GPUs prefer.
    compile: run the training passes through torch.compile.
    augment: resized-crop (a random part, stretched to the whole), crop (of the image padded by crop_pad pixels of 0 on each
        side), flip (horizontal), lighting (ImageNet's colour shifts).
    crop_scale: smallest and largest share of the area that resized-crop takes.
    init: checkpoint whose best weights training starts from, by name.
    teacher: checkpoint whose logits replace the labels in the loss.
    threads: CPU threads, 0 for torch's own choice; bit-equal repeats need the same number.
    device: cpu, cuda, or auto.
    deterministic: repeatable cuDNN kernels; false is faster on a GPU, and repeats differ by roundings.
    tensorboard: log for TensorBoard too, in the run's folder tensorboard.
    """

    epochs: int = Field(default=20, ge=1, le=100_000)
    batch_size: int = Field(default=100, ge=2, le=65_536)
    accumulate: int = Field(default=1, ge=1, le=1024)
    optimizer: Literal["sgd", "lars", "adam", "adamw"] = "sgd"
    lr: float = Field(default=0.1, gt=0.0, le=100.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    lars_trust: float = Field(default=1e-3, gt=0.0, le=1.0)
    weight_decay: float = Field(default=5e-4, ge=0.0, lt=1.0)
    decay_1d: bool = False
    schedule: Literal["cosine", "cosine-epoch", "linear", "constant"] = "cosine"
    warmup_epochs: float = Field(default=1.0, ge=0.0)
    clip_norm: float = Field(default=0.0, ge=0.0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    ema: float = Field(default=0.0, ge=0.0, lt=1.0)
    amp: Literal["none", "bf16", "fp16"] = "none"
    channels_last: bool = False
    compile: bool = False
    augment: tuple[Augmentation, ...] = ()
    crop_pad: int = Field(default=2, ge=1, le=16)
    crop_scale: tuple[float, float] = (0.08, 1.0)
    init: Path | None = None
    teacher: Path | None = None
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=0, ge=0, le=1024)
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    deterministic: bool = True
    tensorboard: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(f"warmup_epochs is {self.warmup_epochs:g} of {self.epochs} epochs; it must be smaller")
        if self.schedule == "cosine-epoch" and self.warmup_epochs != round(self.warmup_epochs):
            raise ValueError(f"schedule 'cosine-epoch' needs whole warmup_epochs, not {self.warmup_epochs:g}")
        if len(set(self.augment)) != len(self.augment):
            raise ValueError(f"`augment` names something twice: {list(self.augment)}")
        if self.amp == "fp16" and self.device == "cpu":
            raise ValueError("amp = 'fp16' is for device = 'cuda'; take 'bf16' or 'none' on a CPU")
        if self.teacher is not None and self.label_smoothing > 0:
            raise ValueError(
                "label_smoothing has no effect with a teacher, whose logits replace the labels; leave one out"
            )
        return self

    @field_validator("crop_scale")
    @classmethod
    def _check_scale(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0.0 < scale[0] <= scale[1] <= 2.0:
            raise ValueError(f"crop_scale {list(scale)} must rise within 0..2, the share of the area")
        return scale


class OvswConfig(Section):
    """OvSW (Xiang et al., ECCV 2024, arXiv 2407.05257): keeps binary weights flipping.

    preset: named values for the keys below; any key beside it overrides one.
    ags: adaptive gradient scaling: raises a channel's gradient to lambda_ times its weight norm.
    ags_target: gradient, as published, or update: both parts act on what the optimizer makes of the gradient, so that Adam and
        LARS do not undo them.
    sad: silence-aware decay: adds gamma * W to the gradient of weights whose flip rate (running mean with `momentum`)
        is below `sigma`.
    gamma: strength of SAD; "auto" takes it from the run's length. Short runs want more than the paper's 9e-4.
    With both off only the telemetry is kept.
    """

    preset: OvswPreset = "paper-cifar"
    ags: bool = True
    ags_target: Literal["gradient", "update"] = "gradient"
    sad: bool = True
    lambda_: float = Field(default=0.04, ge=0.0, le=1000.0)
    gamma: float | Literal["auto"] = 9e-4
    sigma: float = Field(default=1e-4, ge=0.0, le=1.0)
    momentum: float = Field(default=0.999, ge=0.0, lt=1.0)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        # An unknown preset is refused by name when its own key is checked.
        return {**OVSW_PRESETS.get(str(data.get("preset", "paper-cifar")), {}), **data}

    @field_validator("gamma", mode="before")
    @classmethod
    def _check_gamma(cls, gamma: Any) -> Any:
        number = isinstance(gamma, int | float) and not isinstance(gamma, bool)
        if gamma != "auto" and not (number and 0.0 <= gamma <= 1000.0):
            raise ValueError('gamma must be a number in 0..1000, or "auto"')
        return gamma
