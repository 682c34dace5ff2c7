"""Configuration behind training: sections [export] [fold] [target] [verify] [bench] of a run's TOML file."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flipflow.config.section import Section

LevelName = Literal[
    "torch", "qonnx", "finn", "integer", "rtl", "netlist", "hls",
    "cpu", "cpu:scalar", "cpu:avx2", "cpu:avx512bw", "cpu:avx512", "cpu:neon", "cpu:neon_dot",
]  # fmt: skip
LEVELS: tuple[LevelName, ...] = ("torch", "qonnx", "finn", "integer", "rtl", "cpu")


class ExportConfig(Section):
    """model: a QONNX file from elsewhere to start from; none to export the network that this run trains."""

    model: Path | None = None


Memory = Literal["auto", "block", "lut"]


class LayerFold(Section):
    """Folding of one layer. pe: output channels computed side by side. simd: inputs taken side by side. None: chosen for you.

    weight_memory, threshold_memory: where these lie: in block RAM, in LUTs, or (auto) in block RAM where that saves enough LUTs.
    """

    pe: int | None = Field(default=None, ge=1)
    simd: int | None = Field(default=None, ge=1)
    weight_memory: Memory | None = None
    threshold_memory: Memory | None = None


class FoldConfig(Section):
    """How far to fold the network onto the hardware: to a rate, to a number of cycles, or layer by layer.

    fps: images a second at the target's clock. cycles: clock cycles an image. layers: PE, SIMD and memories by layer name, for
    layers that shall differ from what fps or cycles would give them.
    """

    fps: float | None = Field(default=None, gt=0.0)
    cycles: int | None = Field(default=None, ge=1)
    layers: dict[str, LayerFold] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.fps is not None and self.cycles is not None:
            raise ValueError("`fps` and `cycles` both name the goal; keep one of them")
        return self


class TargetConfig(Section):
    """clock_mhz: clock of the accelerator. board: what `flipflow bitstream` is for; a name, or the path of a board file."""

    clock_mhz: float = Field(default=100.0, gt=0.0, le=2000.0)
    board: str | None = None


class VerifyConfig(Section):
    """What to compare.

    levels: which to run; torch is left out where there is no trained module; cpu is the machine's best instruction set, others by
    name; netlist and hls take long and are run on request only. samples: test images, 0 for all. finn_samples, rtl_samples,
    netlist_samples, hls_samples: fewer for the slow levels, 0 for as many as `samples`. netlist_family: FPGA family to synthesise
    for. hlslib, ap_types: folders of finn-hlslib and of the ap_types headers, for hls; none: see docs/hls.md.
    stalled_samples: of these, how many once more through the RTL with random stalls on both ends. seed: of the stalls, and of the
    images where there is no data set.
    """

    levels: tuple[LevelName, ...] = LEVELS
    samples: int = Field(default=0, ge=0)
    finn_samples: int = Field(default=0, ge=0)
    rtl_samples: int = Field(default=0, ge=0)
    netlist_samples: int = Field(default=20, ge=0)
    netlist_family: Literal["ecp5", "gowin", "xc7", "xcup"] = "ecp5"
    hls_samples: int = Field(default=20, ge=0)
    hlslib: Path | None = None
    ap_types: Path | None = None
    stalled_samples: int = Field(default=16, ge=0)
    seed: int = Field(default=0, ge=0)

    @field_validator("levels")
    @classmethod
    def _check_levels(cls, levels: tuple[LevelName, ...]) -> tuple[LevelName, ...]:
        if "integer" not in levels:
            raise ValueError("`levels` must hold 'integer', the reference that the others are compared with")
        if len(set(levels)) != len(levels):
            raise ValueError(f"`levels` names something twice: {list(levels)}")
        return levels


class BenchConfig(Section):
    """images: how many each level works on while it is timed; repeats: how often, the median is shown."""

    images: int = Field(default=200, ge=1)
    repeats: int = Field(default=3, ge=1, le=100)
