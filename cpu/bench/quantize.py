"""int8 models for onnxruntime, made the way that is fast."""

import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from flipflow.cpu.bench.float_onnx import INPUT

_CALIBRATION_IMAGES = 4


def to_int8(model: onnx.ModelProto, folder: Path, seed: int = 0) -> onnx.ModelProto:
    """The model as onnxruntime runs it fastest in int8: every convolution a QLinearConv, quantized at the input, once.

    Unsigned activations and signed weights per output channel are what VNNI multiplies; processors without it saturate
    16-bit pair sums, so weights there keep to 7 bits, as onnxruntime advises. ARM's dot product wants both signed.
    QOperator and QDQ models end as the same optimized graph; this is the former.

    folder: for the files that the quantizer insists on; calibrated on random images of the given seed.
    """
    plain, prepared, quantized = (folder / f"{name}.onnx" for name in ("plain", "prepared", "quantized"))
    onnx.save(model, plain)
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    arm = platform.machine() in ("aarch64", "arm64")
    quantize_static(
        str(prepared),
        str(quantized),
        _RandomImages(model, seed),
        quant_format=QuantFormat.QOperator,
        per_channel=True,
        reduce_range=not arm and not has_vnni(),
        activation_type=QuantType.QInt8 if arm else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(quantized)


def has_vnni() -> bool:
    """Whether this x86 processor multiplies bytes into 32-bit sums without saturation in between."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_vnni" in text or "avx_vnni" in text


class _RandomImages(CalibrationDataReader):  # type: ignore[misc]
    """Images of normal noise."""

    def __init__(self, model: onnx.ModelProto, seed: int) -> None:
        shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
        random = np.random.default_rng(seed)
        self._images: Iterator[np.ndarray] = (
            random.standard_normal(shape, np.float32) for _ in range(_CALIBRATION_IMAGES)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """One feed, or None at the end."""
        image = next(self._images, None)
        return None if image is None else {INPUT: image}
