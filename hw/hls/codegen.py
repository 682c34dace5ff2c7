"""C++ of a FINN graph: each HLS layer as FINN generates it for Vitis HLS, and a main program that chains them.

FINN's `code_generation_ipgen` writes a layer's top function, its weights (params.h) and thresholds (thresh.h); exactly these
files are compiled, each in a namespace of its own. Layers without HLS come from cpp/include/flipflow_layers.hpp.
"""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.errors import FlipflowError

INCLUDE = Path(__file__).parent / "cpp" / "include"
_CLOCK_NS = 10.0  # FINN writes it into a Tcl script that nothing here reads
_WEIGHTS = re.compile(r"const ((?:BinaryWeights|FixedPointWeights)<(.+),(\d+),(\d+)>) weights = \{(.*)\};", re.DOTALL)
_WORD = re.compile(r'ap_uint<\d+>\(("0x[0-9a-f]+"), 16\)')


@dataclass(frozen=True)
class Program:
    """C++ sources by path, and the frame: integers in and out, logits = scale * output + offset.

    bipolar: images -1 and +1 go in as `zero` and 1.
    """

    files: dict[str, str]
    inputs: int
    outputs: int
    scale: int
    offset: int
    bipolar: bool
    zero: int


def generate(model: Any, part: str) -> Program:
    """Program of a graph as `finn_graph.specialise(..., converters=True)` returns it.

    Raises: FlipflowError E395 where FINN refuses to generate a layer, or a layer is of an unknown kind.
    """
    from flipflow.export.finn.environment import quiet, start_finn  # noqa: PLC0415

    start_finn()
    from qonnx.core.datatype import DataType  # noqa: PLC0415
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    about = json.loads(model.get_metadata_prop("flipflow"))
    ops = [getCustomOp(node) for node in model.graph.node]
    files: dict[str, str] = {}
    calls = []
    with quiet():
        for op in ops:
            if op.onnx_node.op_type == "Pool_hls" or op.onnx_node.op_type.endswith("_rtl"):
                calls.append(_own_layer(op))
            elif op.onnx_node.op_type.endswith("_hls"):
                files |= _finn_layer(op, model, part)
                calls.append(f"{op.onnx_node.name}_space::{op.onnx_node.name}")
            else:
                raise _unknown(op)
    widths = [ops[0].get_instream_width(0), *(op.get_outstream_width() for op in ops)]
    files["main.cpp"] = _main(ops, list(files), calls, widths)
    inputs, outputs = (int(np.prod(shape)) for shape in (about["input"]["shape"], [about["output"]["classes"]]))
    kind = DataType[about["input"]["dtype"]]
    zero = -1 if kind.name == "INT2" else 0  # BINARY and BIPOLAR streams have the bit 0 for -1
    output = about["output"]
    return Program(files, inputs, outputs, output["scale"], output["offset"], about["input"]["bipolar"], zero)


def _unknown(op: Any) -> FlipflowError:
    fix = "Convert the network with flipflow.hw.hls.convert."
    what = f"there is no C++ for a layer of type {op.onnx_node.op_type}."
    return FlipflowError("E395", what, f"layer {op.onnx_node.name}", fix)


def _finn_layer(op: Any, model: Any, part: str) -> dict[str, str]:
    """FINN's files of an HLS layer, below a folder of its name."""
    from finn.custom_op.fpgadataflow.hlsbackend import HLSBackend  # noqa: PLC0415

    name = op.onnx_node.name
    with tempfile.TemporaryDirectory(prefix="flipflow-hls-") as scratch:
        op.set_nodeattr("code_gen_dir_ipgen", scratch)
        try:
            # The subclass would add RTL around the layer, which wants FINN's own folders.
            HLSBackend.code_generation_ipgen(op, model, part, _CLOCK_NS)
        except Exception as error:  # FINN raises AssertionError, Exception and its own
            fix = "Fold the layer differently (`flipflow build --set fold.layers...`), or leave the level out."
            raise FlipflowError("E395", f"FINN refuses to generate it ({error}).", f"layer {name}", fix) from error
        finally:
            op.set_nodeattr("code_gen_dir_ipgen", "")
        texts = {path.name: path.read_text() for path in Path(scratch).iterdir() if path.suffix in (".h", ".cpp")}
    return {f"{name}/{file}": _quick(text) for file, text in texts.items()}


def _quick(text: str) -> str:
    """FINN's weights as an array of their words' digits, read once.

    As FINN writes them, a constructor call a word inside the function, they take minutes to compile, and every call of the
    function would build them again.
    """
    found = _WEIGHTS.search(text)
    if found is None:
        return text
    kind, _, pe, tiles, words = found.groups()
    digits = _WORD.sub(r"\1", words)
    return (
        f"static char const *const words[{pe}][{tiles}] = {digits};\n"
        f"static {kind} const weights = flipflow::filled<{kind}>(words);\n"
    )


def _own_layer(op: Any) -> str:
    """Call of a layer of flipflow_layers.hpp, without its arguments."""
    kind = op.onnx_node.op_type.rpartition("_")[0]
    if kind == "FMPadding":
        folds = op.get_nodeattr("NumChannels") // op.get_nodeattr("SIMD")
        return _template("pad", *op.get_nodeattr("ImgDim"), *op.get_nodeattr("Padding"), folds)
    if kind == "ConvolutionInputGenerator":
        sizes = [*op.get_nodeattr("IFMDim"), *op.get_nodeattr("ConvKernelDim"), *op.get_nodeattr("Stride")]
        folds = op.get_nodeattr("IFMChannels") // op.get_nodeattr("SIMD")
        depthwise = "true" if op.get_nodeattr("depthwise") else "false"
        return _template("window", *sizes, *op.get_nodeattr("OFMDim"), folds, depthwise)
    if kind == "Pool":
        taps, pe = int(np.prod(op.get_nodeattr("KernelSize"))), op.get_nodeattr("PE")
        words = int(np.prod(op.get_nodeattr("OutImgDims"))) * (op.get_nodeattr("Channels") // pe)
        return _template("max_pool", words, taps, pe, _cpp_type(op.get_input_datatype()))
    raise _unknown(op)


def _template(name: str, *arguments: object) -> str:
    return f"flipflow::{name}<{', '.join(str(item) for item in arguments)}>"


def _cpp_type(dtype: Any) -> str:
    """C++ type of an element; one bit of a bipolar stream is an unsigned 0 or 1."""
    return "ap_uint<1>" if dtype.name == "BIPOLAR" else str(dtype.get_hls_datatype_str())


def _main(ops: list[Any], files: list[str], calls: list[str], widths: list[int]) -> str:
    from finn.util.basic import MAX_ALLOWED_AP_INT_W  # noqa: PLC0415

    source, sink = ops[0].get_folded_input_shape(), ops[-1].get_folded_output_shape()
    bits = ops[0].get_input_datatype().bitwidth()
    tops = [file for file in files if file.rpartition("/")[2].startswith("top_")]
    spaces = [f'namespace {file.partition("/")[0]}_space {{\n#include "{file}"\n}}' for file in tops]
    streams = [f'  hls::stream<ap_uint<{width}>> s{index}("s{index}");' for index, width in enumerate(widths)]
    steps = [f"    {call}(s{index}, s{index + 1});" for index, call in enumerate(calls)]
    element = _cpp_type(ops[-1].get_output_datatype())
    inputs, outputs = int(np.prod(source)), int(np.prod(sink))
    return "\n".join([
        f"#define AP_INT_MAX_W {MAX_ALLOWED_AP_INT_W}",
        "#define HLS_CONSTEXPR_ENABLE",
        '#include "bnn-library.h"',
        '#include "flipflow_layers.hpp"',
        *spaces,
        "",
        "int main(int argc, char **argv) {",
        *streams,
        f"  return flipflow::run(argc, argv, {inputs}, {outputs}, [&](auto const &source, auto &sink) {{",
        f"    flipflow::feed<{source[-1]}, {bits}>(source, s0);",
        *steps,
        f"    flipflow::drain<{sink[-1]}, {element}>(s{len(calls)}, sink);",
        "  });",
        "}",
        "",
    ])  # fmt: skip
