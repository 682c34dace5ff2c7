"""From the folded kernel graph to FINN's dataflow graph: MVAU, Thresholding, Pool, ConvolutionInputGenerator, FMPadding.

FINN reads a padded zero of a one-bit stream as -1, so a bipolar map that is padded with zeros travels as INT2: its
producer has every threshold twice and counts from -1, and the layer after it is a plain MVAU with bipolar weights. All
other products of bipolar factors are XNOR-popcount MVAUs. Everything keeps the run's PE and SIMD.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flipflow.hw.graph import load_model
from flipflow.hw.hls.finn_graph import Chain, Tensor, folding_config, specialise
from flipflow.hw.hls.signs import rectify
from flipflow.hw.hls.steps import BIPOLAR, Levels, Pooling, Product, Quantizer, Sliding, read_steps, refusal

if TYPE_CHECKING:
    from flipflow.hw.hls.steps import Ints, Step

__all__ = ["DEFAULT_PART", "convert", "folding_config", "to_hls"]

DEFAULT_PART = "xc7z020clg400-1"
_VITIS_FOLDS = 1024  # FINN: "HLS synthesis of MatrixVectorActivation requires SIMD >= MW / 1024"


def to_hls(run_dir: Path, part: str = DEFAULT_PART) -> Any:
    """FINN's graph (ModelWrapper) of a built run, layers specialised for an FPGA part, PE and SIMD as the run is folded.

    Matrix products and thresholds become HLS layers; windows and padding exist in FINN as RTL only. The metadata property
    `flipflow` holds JSON: input {shape, dtype}, output {classes, scale, offset}; logits = scale * output + offset.

    Raises: FlipflowError E300 (no folded.onnx), E395 (a layer that FINN does not have), E250 (FINN is missing).
    """
    return specialise(convert(load_model(run_dir / "folded.onnx")), part)


def convert(model: Any) -> Any:
    """FINN's graph, not specialised yet, of a kernel graph. Raises: FlipflowError E395."""
    network = rectify(read_steps(model))
    steps = network.steps
    chain = Chain(network.shape, _map_form(steps, -1, network.dtype))
    source = {"shape": list(network.shape), "dtype": chain.dtype, "bipolar": network.dtype == BIPOLAR}
    output: dict[str, int] = {}
    for index, step in enumerate(steps):
        if isinstance(step, Pooling):
            _add_pool(chain, step)
            _cast(chain, step, _consumer_form(steps, index))
        elif isinstance(step, Quantizer):
            _add_quantizer(chain, step, _map_form(steps, index, step.levels.dtype))
        else:
            form = _map_form(steps, index, step.levels.dtype) if step.levels is not None else ""
            output = _add_product(chain, step, form)
    return chain.model({"flipflow": json.dumps({"input": source, "output": output})})


def _consumer_form(steps: "tuple[Step, ...]", index: int) -> str | None:
    """Datatype in which the product after the pool steps[index] takes a bipolar map; None: as it comes."""
    step = steps[index + 1] if index + 1 < len(steps) else None
    if isinstance(step, Product) and step.act == BIPOLAR:
        return _product_form(step)
    return None


def _product_form(step: Product) -> str:
    """Datatype in which a product takes a bipolar map: BINARY (for XNOR), INT2 (zeros among it) or BIPOLAR."""
    xnor = bool((np.abs(step.weights) == 1).all())
    padded = step.sliding is not None and step.sliding.padded
    if padded and step.sliding is not None and step.sliding.fill == 0:
        return "INT2"
    if padded and not xnor:
        raise refusal(step.name, "a border of -1 or +1 in front of integer weights has no place in FINN.")
    return "BINARY" if xnor else BIPOLAR


def _map_form(steps: "tuple[Step, ...]", index: int, dtype: str) -> str:
    """Datatype in which FINN's stream carries the result (or the input, for -1) of steps[index]."""
    if dtype != BIPOLAR:
        return dtype
    pooled = padded = False
    for step in steps[index + 1 :]:
        if isinstance(step, Pooling):
            pooled, padded = True, padded or step.sliding.padded
            continue
        if not isinstance(step, Product):
            break
        form = _product_form(step)
        if form == "BINARY" or padded:  # the smallest value pads a pool: 0 in BINARY, nothing in INT2
            return "BINARY"
        return "INT2" if pooled else form  # FINN's Pool compares numbers, which one bit of BIPOLAR is not
    return BIPOLAR


def _cast(chain: Chain, step: Pooling, form: str | None) -> None:
    """Thresholds that turn a BINARY map into the datatype that the next product takes."""
    if form is None or chain.dtype != "BINARY" or form == "BINARY":
        return
    ones = np.ones((chain.shape[-1], 1), np.int64)
    _thresholds(chain, f"{step.name}_cast", Levels(ones, np.zeros(len(ones), bool), 0, BIPOLAR), form, step.pe)


def _add_window(chain: Chain, name: str, sliding: Sliding, simd: int, depthwise: bool) -> None:
    """FMPadding where the windows reach beyond the map, then the sliding window."""
    height, width = sliding.ifm
    if sliding.padded:
        pads = sliding.pads
        values = {"ImgDim": [height, width], "Padding": list(pads), "NumChannels": sliding.channels, "SIMD": simd}
        height, width = height + pads[0] + pads[2], width + pads[1] + pads[3]
        chain.add(
            "FMPadding", f"{name}_padding", {**values, "inputDataType": chain.dtype}, (height, width, sliding.channels)
        )
    attributes = {
        "ConvKernelDim": list(sliding.kernel),
        "IFMChannels": sliding.channels,
        "IFMDim": [height, width],
        "OFMDim": list(sliding.ofm),
        "SIMD": simd,
        "Stride": list(sliding.stride),
        "Dilation": [1, 1],
        "inputDataType": chain.dtype,
        "outputDataType": chain.dtype,
        "depthwise": int(depthwise),
    }
    taps = sliding.kernel[0] * sliding.kernel[1] * sliding.channels
    chain.add("ConvolutionInputGenerator", f"{name}_window", attributes, (*sliding.ofm, taps))


def _add_pool(chain: Chain, step: Pooling) -> None:
    sliding = step.sliding
    if sliding.padded and not (chain.dtype == "BINARY" or chain.dtype.startswith("UINT")):
        raise refusal(step.name, f"FINN pads with zeros, which are not the smallest value of {chain.dtype}.")
    _add_window(chain, step.name, sliding, step.pe, depthwise=True)
    attributes = {
        "Channels": sliding.channels,
        "PE": step.pe,
        "KernelSize": list(sliding.kernel),
        "Function": "MaxPool",
        "OutImgDims": list(sliding.ofm),
        "InputDataType": chain.dtype,
        "OutputDataType": chain.dtype,
    }
    chain.add("Pool", step.name, attributes, (*sliding.ofm, sliding.channels))


def _add_quantizer(chain: Chain, step: Quantizer, form: str) -> None:
    _thresholds(chain, step.name, step.levels, form, step.pe)


def _result(levels: Levels, form: str) -> "tuple[Ints, int]":
    """Thresholds [C, N] and the start of the count for a result in datatype `form`."""
    if levels.bipolar and form == "INT2":
        return np.repeat(levels.levels, 2, axis=1), -1
    return levels.levels, levels.bias


def _thresholds(chain: Chain, name: str, levels: Levels, form: str, pe: int) -> None:
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    kind = DataType[chain.dtype]
    low, high = int(kind.min()), int(kind.max())
    values, start = _result(levels, form)
    tensor = Tensor("thresholds", np.clip(values, low, high + 1), _integer(low, high + 1))
    attributes = {
        "PE": pe,
        "NumChannels": chain.shape[-1],
        "numSteps": values.shape[1],
        "inputDataType": chain.dtype,
        "weightDataType": tensor.dtype,
        "outputDataType": form,
        "numInputVectors": [1, *chain.shape[:-1]],
        "ActVal": start,
    }
    chain.add("Thresholding", name, attributes, chain.shape, [tensor], form)


def _integer(low: int, high: int) -> str:
    """Smallest integer datatype that holds low..high."""
    from flipflow.hw.kernels.rom import signed_width, unsigned_width  # noqa: PLC0415

    return f"INT{max(2, signed_width(low, high))}" if low < 0 else f"UINT{unsigned_width(high)}"


def _add_product(chain: Chain, step: Product, form: str) -> dict[str, int]:
    """MVAU with its window; returns how its sums become logits, where it has no thresholds."""
    if step.sliding is not None and (step.sliding.kernel, step.sliding.stride) != ((1, 1), (1, 1)):
        _add_window(chain, step.name, step.sliding, step.simd, depthwise=False)
    fan_in, outputs = step.weights.shape
    xnor = chain.dtype == "BINARY"
    weights, low, high = _weights(step, chain.dtype)
    tensors, start, acc = [weights], 0, _integer(int(low.min()), int(high.max()) + 1)
    if step.levels is not None:
        levels, start = _result(step.levels, form)
        # p = (s + K) / 2 >= T is s >= 2 T - K
        levels = -((-levels - fan_in) // 2) if xnor else levels
        tensors.append(Tensor("thresholds", np.clip(levels, low[:, None], high[:, None] + 1), acc))
    result = form if step.levels is not None else acc
    attributes = {
        "MW": fan_in,
        "MH": outputs,
        "PE": step.pe,
        "SIMD": _simd(step),
        "resType": "lut",
        "ActVal": start,
        "inputDataType": chain.dtype,
        "weightDataType": weights.dtype,
        "outputDataType": result,
        "accDataType": acc,
        "binaryXnorMode": int(xnor),
        "noActivation": int(step.levels is None),
        "numInputVectors": [1, *step.leading],
        "mem_mode": "internal_embedded",
    }
    chain.add("MVAU", step.name, attributes, (*step.leading, outputs), tensors, result)
    return (
        {"classes": outputs, "scale": 2, "offset": -fan_in} if xnor else {"classes": outputs, "scale": 1, "offset": 0}
    )


def _weights(step: Product, act: str) -> "tuple[Tensor, Ints, Ints]":
    """Weights as FINN stores them, and the least and the largest accumulator of each channel."""
    from flipflow.hw.kernels.mvtu import sum_range  # noqa: PLC0415

    matrix = step.weights
    if act == "BINARY":
        zeros = np.zeros(matrix.shape[1], np.int64)
        return Tensor("weights", (matrix + 1) // 2, "BINARY"), zeros, zeros + len(matrix)
    low, high = sum_range(matrix, BIPOLAR if step.act == BIPOLAR else act)
    if bool((np.abs(matrix) == 1).all()) and act != BIPOLAR:
        return Tensor("weights", matrix, BIPOLAR), low, high
    return Tensor("weights", matrix, _integer(min(-1, int(matrix.min())), int(matrix.max()))), low, high


def _simd(step: Product) -> int:
    """The run's SIMD, or the next that Vitis HLS accepts."""
    fan_in = len(step.weights)
    legal = (size for size in range(step.simd, fan_in + 1, step.simd) if fan_in % size == 0)
    return next(size for size in legal if size * _VITIS_FOLDS >= fan_in)
