"""Lowering (b): from the canonical QONNX file to FINN's streamlined integer graph, `streamlined.onnx`.

What `streamlined.onnx` may contain (the hardware generator relies on exactly this)
------------------------------------------------------------------------------------
One input, one output; nodes stand behind their producers. In a chain every node has one activation input; in a residual
network a tensor may have several readers, and a `SaturatingAdd` has two activation inputs. All tensors are float32
containers of integer values with a FINN datatype annotation (`ModelWrapper.get_tensor_datatype`); batch 1; NHWC or NC. Node
kinds:

`Window` (domain `flipflow.export.finn.ops`): sliding window, [1,H,W,C] -> [1,OH,OW,KH*KW*C], last axis in (ky, kx, c)
    order. Attributes kernel [KH,KW], stride [SH,SW], pads [top,left,bottom,right] (ints), pad_kind "none" | "zero" |
    "minus_one" | "plus_one". The border holds integer 0 (zero), or the bipolar constant: -1/+1 where the tensor is
    BIPOLAR, bit 0/1 where it is BINARY. Zero border on a BIPOLAR tensor: the output is TERNARY (0 = masked tap), and
    its consumer is always a plain `MatMul`. A 1x1 convolution with stride 1 and no pads has no `Window`. FINN's
    `Im2Col` never remains.
`XnorPopcountMatMul` (domain `qonnx.custom_op.general`): x BINARY [...,K] (bit 1 = +1), weights initializer BINARY [K,M]
    (0/1). Output: popcount p of the XNOR, 0..K, annotated UINTb with b = ceil(log2(K+1)). The dot product is s = 2p -
    K.
`MatMul` (domain ""): x BIPOLAR | TERNARY (masked bipolar) | UINTk | INTk, weights initializer [K,M] BIPOLAR | INTk,
    integer values. Output: the signed integer sum s, annotated with the smallest INTb that holds every reachable value.
    Never BIPOLAR x BIPOLAR (that is always `XnorPopcountMatMul`). TERNARY x BIPOLAR is the zero-padded XNOR layer, in
    s. UINT1 (an unsigned 1-bit Quant, values 0 and 1) carries the same annotation as BINARY, for they are one datatype
    to FINN; before a `MatMul` it means the numbers 0 and 1, before an `XnorPopcountMatMul` the bits of -1 and +1.
`MultiThreshold` (domain `qonnx.custom_op.general`): on the sums of a MatMul kind, a `SaturatingAdd` or a `SumPool`, or on
    any quantized tensor. data_layout "NHWC" | "NC"; thresholds initializer [C,N], integer values, each row ascending;
    always rising: y = out_scale * #{i: x >= T_i} + out_bias. After an `XnorPopcountMatMul` T is in the popcount domain, in
    0..K+1 (0 = always, K+1 = never); else in the domain of x, from the smallest reachable value of the channel (always) to
    the largest + 1 (never; this may lie one outside x's annotation, and the thresholds' own annotation holds it).
    out_dtype, out_scale, out_bias: BINARY 1, 0 | BIPOLAR 2, -1 | UINTk 1, 0 | INTk 1, minimum. Bipolar values are
    BINARY where an `XnorPopcountMatMul` consumes the tensor (through Window, MaxMinPool, Flatten), BIPOLAR where a
    `MatMul` does. N = number of output levels - 1: 1 for bipolar, 2^k - 1 for k bits, one less if narrow. Falling
    channels do not exist here: their weight columns have been negated. A BIPOLAR tensor that an `XnorPopcountMatMul` reads
    beside others becomes BINARY by a MultiThreshold of T = 1.
`Threshold` (domain `flipflow.export.finn.ops`): as MultiThreshold, where some channel falls and there are no weights of its
    own to negate: on the graph input, on a sum of two tensors or over windows, on a tensor with several readers.
    Inputs x, thresholds [C,N], invert [C] (0.0 or 1.0); attributes out_dtype, out_scale, out_bias as above;
    count' = invert ? N - count : count; y = out_scale * count' + out_bias.
`MaxMinPool` (domain `flipflow.export.finn.ops`): [1,H,W,C] -> [1,OH,OW,C]; kernel, stride, pads
    [top,left,bottom,right], ofm_dim [OH,OW] (taps beyond the map are ignored, and so are padded taps), min_channels:
    the channels (ascending) that take the minimum; absent: all take the maximum. Input BINARY | BIPOLAR | UINTk | INTk,
    output of the same datatype. Always on a quantized tensor, never between sums and
    their thresholds.
`SaturatingAdd` (domain `flipflow.export.finn.ops`): a + b of two tensors of one shape and one unit, UINTk | INTk | BIPOLAR.
    Attributes minimum, maximum (ints): the sum is clipped to them, and annotated with the quantizer's INTk or UINTk. Without
    them it keeps all bits: the smallest INTk or UINTk that holds every sum.
`SumPool` (domain `flipflow.export.finn.ops`): [1,H,W,C] -> [1,OH,OW,C]; kernel, stride; the sum over each full window, without
    padding. A global sum has the kernel [H,W]. Thresholds always follow; they contain an average's division.
`Flatten` (axis 1): [1,H,W,C] -> [1,H*W*C]; the order of the stream does not change (the rows of the next weights are
    already in NHWC order). A last layer that is a convolution to one pixel is followed by a Flatten, too.

Graph input `global_in`: [1,H,W,C] or [1,K]; UINTk | INTk | BINARY | BIPOLAR. A bipolar input is BINARY (bits) where an
XnorPopcountMatMul consumes it, else BIPOLAR (-1 and +1); either way the stream is 1 bit wide, bit 1 = +1, and `execute`
takes -1 and +1.
Graph output `global_out`: [1,M], raw sums s of the last MatMul kind, or popcounts p where that is an XnorPopcountMatMul
(then logit = scale*p + offset with scale 2, offset -K).
Metadata property `flipflow` (JSON): {"input": {"shape": [H,W,C] or [K], "bits", "signed", "bipolar"}, "output":
{"classes", "kind": "sum" or "popcount", "scale", "offset"}}.

Who does what
-------------
`read` and `rewrite`, before FINN: cut the host's preamble and epilogue, and the rest into stages, where tensors have several
readers and where two meet; divide out the scales, derive integer thresholds, negate falling channels, move pools behind
thresholds, fold the order of a Flatten into the next weights. Every straight stretch of layers goes through FINN by itself.
FINN and qonnx (`passes`): LowerConvsToMatMul, AbsorbTransposeIntoMultiThreshold, AbsorbConsecutiveTransposes,
ConvertBipolarMatMulToXnorPopcount, the passes of Streamline that move an XNOR layer's s = 2p - K into the thresholds,
RoundAndClipThresholds.
`assemble`, behind FINN: puts the stretches, additions, sums over windows and thresholds of their own into one graph again.
Routed around: Im2Col becomes Window before the XNOR conversion, so that zero borders stay masked; accumulators are
annotated anew (FINN's are too narrow); the last layer's 2p - K becomes the output's scale and offset. The result is
executed against the QONNX file, layer by layer, before it is written.
"""

from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.export.finn.assemble import assemble
from flipflow.export.finn.environment import quiet, start_finn
from flipflow.export.finn.passes import run_finn
from flipflow.export.finn.read import read_network
from flipflow.export.finn.report import LoweringReport
from flipflow.export.finn.rewrite import to_integers
from flipflow.export.finn.selfcheck import check_equal

__all__ = ["lower"]


def lower(qonnx_path: Path, out_path: Path) -> LoweringReport:
    """Lowers a canonical QONNX file to FINN's streamlined graph and writes it.

    Raises: FlipflowError E250 (FINN missing), E251-E260 (the network cannot be lowered; names node, reason and remedy),
    E261 (the result does not equal the QONNX file; nothing is written), E262 (no readable ONNX file),
    E264 (cannot be written).
    """
    start_finn()
    with quiet():
        integer = to_integers(read_network(_load(qonnx_path)))
        result = assemble(integer, run_finn)
        check_equal(integer, result, samples=2)
    _save(result.model, out_path)
    return result.report


def _save(model: Any, path: Path) -> None:
    """Writes a model so that an interruption never leaves half of it under its name."""
    temporary = path.with_name(path.name + ".part")
    try:
        model.save(str(temporary))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        fix = "Free some space, or choose another folder."
        raise FlipflowError("E264", f"it cannot be written ({error}).", str(path), fix) from error


def _load(path: Path) -> Any:
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

    try:
        return ModelWrapper(str(path))
    except Exception as error:
        fix = "Export the model again, or check the path."
        raise FlipflowError("E262", f"it is not a readable ONNX file ({error}).", str(path), fix) from error
