"""What a lowering made, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputFormat:
    """What `execute` and the accelerator take: shape [H,W,C] or [K], integers of so many bits; bipolar: -1 and +1."""

    shape: tuple[int, ...]
    bits: int
    signed: bool
    bipolar: bool


@dataclass(frozen=True)
class OutputFormat:
    """logit = scale * y + offset, y the graph's output: "sum" (1, 0) or "popcount" (2, -K)."""

    classes: int
    kind: str
    scale: int
    offset: int


@dataclass(frozen=True)
class LayerReport:
    """One layer. source: its name in the QONNX file; node: in streamlined.onnx; datatypes by FINN's names.

    output: datatype after the thresholds. falling: number of channels whose weights were negated.
    """

    source: str
    node: str
    op: str
    fan_in: int
    outputs: int
    input: str
    weights: str
    accumulator: str
    output: str
    pad_kind: str
    falling: int


@dataclass(frozen=True)
class LoweringReport:
    """What `lower` made."""

    input: InputFormat
    output: OutputFormat
    layers: tuple[LayerReport, ...]
    rewrites: tuple[str, ...]
