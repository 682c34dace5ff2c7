"""Configuration of the network: section [model] of a run's TOML file.

`network` names a set of defaults (flipflow.config.networks), and so do `weights` and `deployable`; any key beside them
overrides one, so a resolved configuration reads back as itself.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from flipflow.config.networks import NETWORKS, RESIDUAL_NETWORKS, form_defaults
from flipflow.config.section import Section

Padding = Literal["none", "zero", "minus_one", "plus_one"]
Order = Literal["conv-bn-sign-pool", "conv-bn-pool-sign", "conv-pool-bn-sign"]
Stem = Literal["3x3", "3x3-linear", "7x7-pool"]
Shortcut = Literal["fixed-point", "binary", "pool"]
NetworkName = Literal[
    "mlp", "tfc", "sfc", "lfc", "cnv", "cnn", "digits-cnn", "fashion-cnn", "vggsmall",
    "resnet", "cresnet18", "cresnet20", "resnet18", "resnet34",
]  # fmt: skip
Weights = Literal["vanilla", "recu", "irnet", "rbnn", "adabin", "xnor", "xnor++", "float"]
Estimator = Literal["identity", "clipped_identity", "bireal", "ede", "rbnn", "adabin"]
WeightEstimator = Literal["identity", "clipped_identity", "bireal", "ede", "rbnn"]
ActivationNorm = Literal["none", "std", "std-attached", "mean-std"]

FLOAT_BITS = 32


class ConvLayer(Section):
    """One convolution with what follows it: batch norm, activation, and a max-pool where pool > 1.

    channels: filters. kernel: odd where the border is padded, since padding is kernel // 2 on every side. stride: of
    the convolution. pool: size and stride of the max-pool, 1 for none.
    """

    channels: int = Field(ge=1, le=4096)
    kernel: int = Field(default=3, ge=1, le=11)
    stride: int = Field(default=1, ge=1, le=8)
    pool: int = Field(default=1, ge=1, le=8)


class ModelConfig(Section):
    """The network. Pixels 0..255 go in as floats, exactly; logits come out.

    network: a name of NETWORKS; "cnn" needs `layers`, "mlp" needs `hidden`, "resnet" needs `widths`.
    deployable: true for quantizers with power-of-two scales everywhere, so that the network exports exactly; false for the
        float form of the papers: normalised pixels, float first and last layer, float residuals between hardtanhs, and the
        method's scale behind each binary layer. It trains, but does not export. See docs/networks.md.
    layers: the convolutions.
    hidden: sizes of the fully connected layers between the convolutions and the last layer.
    padding: what the border of a convolution's input is. Kinds minus_one and plus_one are constants of a +-1 stream; a
        first layer, whose input is integer, pads with 0 instead.
    order: where the max-pool stands among convolution, batch norm (bn) and activation (sign).
    first_weight_bits, last_weight_bits: 1 for binary, 2 to 8 for fixed point of so many bits with a power-of-two scale, or 32
        for float (the default where deployable = false, and only there).
    activation_bits: 1 for sign, 2 to 8 for unsigned fixed point, or 32 for float where deployable = false, which with
        weights = "float" gives a network of full precision, to teach another.
    last_activation_bits: of what the last layer of a network without residuals sees: as activation_bits (the default there),
        or 32 for PReLU where deployable = false.
    widths: channels of the stages of a residual network; every stage but the first halves the map.
    blocks: how many blocks of two convolutions each stage has; one each where left out.
    stem: first layer of a residual network: a 3x3 convolution, with a hardtanh behind it or without (linear), or ImageNet's
        7x7 with stride 2, hardtanh and a max-pool behind it.
    skip: around every convolution (Bi-Real Net's double skips), or around every block of two.
    shortcut: what the skip holds where a stage begins: a 1x1 convolution with fixed-point (32-bit: float) or with binary weights,
        or the 2x2 average pool with channels of 0 added.
    residual_bits: of the residual stream's signed fixed-point format, 32 where deployable = false.
    residual_fraction: the stream's steps are 2^-residual_fraction.
    weights: how latent weights become binary: vanilla (their sign; OvSW is this with [ovsw]), or a method of docs/methods.md;
        float leaves them float, for the first of two steps of training, where deployable = false.
    estimator, weight_estimator: gradient through the sign of activations and of weights (flipflow.train.estimators); the
        method's own where left out.
    activation_norm: what activations are divided by before their sign, which is a matter of the gradient alone but for mean-std:
        none, each image's standard deviation without (std) or with its own gradient (std-attached), or mean-std, which also
        subtracts the mean. The method's own where left out and deployable = false.
    """

    network: NetworkName = "cnn"
    deployable: bool = True
    layers: tuple[ConvLayer, ...] = ()
    hidden: tuple[int, ...] = ()
    padding: Padding = "zero"
    order: Order = "conv-bn-sign-pool"
    first_weight_bits: int = Field(default=8, ge=1, le=32)
    last_weight_bits: int = Field(default=8, ge=1, le=32)
    activation_bits: int = Field(default=1, ge=1, le=32)
    last_activation_bits: int = Field(default=1, ge=1, le=32)
    widths: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    stem: Stem = "3x3"
    skip: Literal["convolution", "block"] = "convolution"
    shortcut: Shortcut = "fixed-point"
    residual_bits: int = Field(default=8, ge=2, le=32)
    residual_fraction: int = Field(default=7, ge=0, le=12)
    weights: Weights = "vanilla"
    estimator: Estimator = "bireal"
    weight_estimator: WeightEstimator = "identity"
    activation_norm: ActivationNorm = "none"

    @model_validator(mode="before")
    @classmethod
    def _fill_in_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        named = NETWORKS.get(str(data.get("network", "cnn")), {})
        form = form_defaults(data)
        filled = {**named, **form, **data}
        filled.setdefault("last_activation_bits", filled.get("activation_bits", 1))
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
        if self.shortcut == "pool" and any(b < a for a, b in zip(self.widths, self.widths[1:], strict=False)):
            raise ValueError(f"shortcut 'pool' adds channels and cannot drop any; `widths` {list(self.widths)} fall")
        if self.layers or self.hidden or self.padding != "zero" or 1 < self.activation_bits < FLOAT_BITS:
            raise ValueError(
                f"network '{self.network}' has its layers from `widths` and `blocks`, zero padding and +-1 activations; "
                "leave out layers, hidden, padding and activation_bits"
            )
        return self

    @model_validator(mode="after")
    def _check_bits(self) -> Self:
        named = ("first_weight_bits", "last_weight_bits", "activation_bits", "last_activation_bits", "residual_bits")
        for name in named:
            bits = getattr(self, name)
            if 8 < bits < FLOAT_BITS:
                raise ValueError(f"{name} is {bits}; take at most 8, or 32 for float where deployable = false")
            if bits == FLOAT_BITS and self.deployable:
                raise ValueError(f"{name} = 32 is float, which does not deploy; take at most 8, or deployable = false")
        if not self.deployable and self.residual_bits != FLOAT_BITS:
            raise ValueError(
                f"residual_bits is {self.residual_bits}, and deployable = false has float residuals; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _check_method(self) -> Self:
        if self.deployable and self.weights == "float":
            raise ValueError("weights = 'float' does not deploy; it is for deployable = false")
        if self.deployable and self.estimator == "adabin":
            raise ValueError(
                "estimator 'adabin' learns two levels a layer, which are no +-1: the second needs each window's sum of weights; "
                "take another, or deployable = false"
            )
        if self.deployable and self.activation_norm == "mean-std":
            raise ValueError(
                "activation_norm 'mean-std' makes the sign hang on the statistics of each image, which does not deploy; take "
                "another, or deployable = false"
            )
        if self.estimator == "adabin" and self.activation_norm != "none":
            raise ValueError(
                f"estimator 'adabin' has a scale of its own; leave out activation_norm '{self.activation_norm}'"
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
