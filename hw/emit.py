"""Texts of an accelerator: the stitched top, the memory files, and accelerator.json."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipflow.hw.fifo_sizing import Timing
from flipflow.hw.folding import FoldRequest
from flipflow.hw.graph import SINK, SOURCE, kernels_of, meta_of, params_of, pipeline_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp, RtlModule

RTL = Path(__file__).parent / "rtl"
TEMPLATES = Path(__file__).parent / "templates"
TOP = "accelerator"
_MVTU = ("mvtu_accumulator", "mvtu_control", "mvtu_results", "rom", "skid_buffer", "threshold_unit")
# Modules that an RTL kernel instantiates.
_CHILDREN = {
    "fifo": ("fifo_memory", "fifo_pair"),
    "xnor_mvtu": (*_MVTU, "xnor_popcount"),
    "mixed_mvtu": (*_MVTU, "adder_tree", "mixed_dot", "xnor_popcount"),
    "pool": ("window_steps",),
    "requantize": ("channel_rom", "multiplier", "rom", "saturate"),
    "residual_add": ("saturate",),
    "sum_pool": ("window_steps",),
    "threshold": ("channel_rom", "rom", "threshold_unit"),
    "width_converter": ("width_converter_down", "width_converter_up"),
    "window": ("window_padding",),
}


def modules_of(model: Any) -> "list[RtlModule]":
    """RTL instances of a stitched graph's kernels, in topological order, with their memory files."""
    return [op.rtl_module(params_of(model, op)) for op in kernels_of(model)]


def children(module: str) -> tuple[str, ...]:
    """Modules that an RTL kernel instantiates, at any depth."""
    return _CHILDREN.get(module, ())


def sources(modules: "list[RtlModule]") -> dict[str, str]:
    """SystemVerilog of the kernels in use: file name -> text."""
    names: set[str] = set()
    for module in modules:
        names |= {module.name, *children(module.name)}
    return {f"{name}.sv": (RTL / f"{name}.sv").read_text() for name in sorted(names)}


def memories(modules: "list[RtlModule]") -> dict[str, str]:
    """Memory files of the kernels in use: file name -> hexadecimal words, one a line."""
    return {name: "\n".join(lines) + "\n" for module in modules for name, lines in module.memory.items()}


def top(model: Any, modules: "list[RtlModule]", name: str, timing: Timing) -> str:
    """The top level `accelerator` of a stitched graph and its modules, as SystemVerilog."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    ops = kernels_of(model)
    links = _links(ops)
    fifos = [op.name for op in ops if op.onnx_node.op_type == "Fifo"]
    instances = [
        {
            "name": op.name,
            "module": module.name,
            "parameters": _parameters(module),
            "sources": [links[tensor] for tensor in op.onnx_node.input if tensor in links],
            "sinks": [links[tensor] for tensor in op.onnx_node.output],
            "fifo": fifos.index(op.name) if op.name in fifos else 0,
        }
        for op, module in zip(ops, modules, strict=True)
    ]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    template = environment.get_template("accelerator.sv.j2")
    ends = {"first": links[SOURCE], "last": links[SINK]}
    return template.render(
        name=name, links=list(links.values()), **ends, instances=instances, fifos=fifos, **_facts(ops, timing)
    )


def _links(ops: "list[KernelOp]") -> dict[str, dict[str, Any]]:
    """Streams by tensor: the signals' stem and the width of their data."""
    links: dict[str, dict[str, Any]] = {SOURCE: {"name": "source", "width": ops[0].in_stream().width}}
    for op in ops:
        streams = op.out_streams()
        for port, (tensor, stream) in enumerate(zip(op.onnx_node.output, streams, strict=True)):
            stem = f"{op.name}_out{port if len(streams) > 1 else ''}"
            links[tensor] = {"name": stem, "width": stream.width}
    return links


def _facts(ops: "list[KernelOp]", timing: Timing) -> dict[str, Any]:
    source, sink = ops[0].in_stream(), ops[-1].out_stream()
    return {
        "ii": timing.ii,
        "latency": timing.latency,
        "in_beats": source.beats,
        "in_elems": source.elems,
        "in_bits": source.bits,
        "in_kind": _kind(source.dtype),
        "in_width": source.width,
        "classes": source_classes(ops),
        "out_beats": sink.beats,
        "out_elems": sink.elems,
        "logit_bits": sink.bits,
        "out_width": sink.width - 1,
    }


def _kind(dtype: str) -> str:
    from flipflow.hw.kernels.base import is_signed  # noqa: PLC0415

    if dtype == "BIPOLAR":
        return "bipolar, bit 1 = +1, bit 0 = -1"
    return "two's complement" if is_signed(dtype) else "unsigned"


def source_classes(ops: "list[KernelOp]") -> int:
    """Number of logits."""
    return int(ops[-1].out_stream().shape[-1])


def _parameters(module: "RtlModule") -> list[tuple[str, str]]:
    """Parameter values as SystemVerilog expressions."""
    from flipflow.hw.kernels.base import Bits  # noqa: PLC0415

    texts = []
    for key, value in module.parameters.items():
        if isinstance(value, Bits):
            texts.append((key, f"{value.width}'h{value.value:x}"))
        else:
            texts.append((key, f'"{value}"' if isinstance(value, str) else str(value)))
    return texts


def description(model: Any, name: str, request: FoldRequest, timing: Timing, files: list[str]) -> dict[str, Any]:
    """The content of accelerator.json. files: the run's RTL and memory files, relative to it."""
    from flipflow.hw.kernels.base import is_signed  # noqa: PLC0415

    ops = kernels_of(model)
    source, sink = ops[0].in_stream(), ops[-1].out_stream()
    shape = meta_of(model).get("input", {}).get("shape", list(source.shape[1:]))
    class_bits = sink.side - 1
    return {
        "format": "flipflow-accelerator",
        "version": 1,
        "name": name,
        "top": TOP,
        "input": {
            "shape": shape,
            "bits": source.bits,
            "signed": is_signed(source.dtype),
            "bipolar": source.dtype == "BIPOLAR",
            "elems_per_beat": source.elems,
            "beats_per_frame": source.beats,
            "tdata_width": source.width,
        },
        "output": {
            "classes": source_classes(ops),
            "logit_bits": sink.bits,
            "pe": sink.elems,
            "class_bits": class_bits,
            "beats_per_frame": sink.beats,
            "tdata_width": sink.width - 1,
        },
        "pipeline": pipeline_of(model),
        "fifos": [
            {"name": op.name, "depth": op.integer("Depth"), "high_water": timing.high_water[op.name]}
            for op in ops
            if op.onnx_node.op_type == "Fifo"
        ],
        "layers": [layer_entry(op) for op in ops if op.onnx_node.op_type != "Fifo"],
        "predicted": {"ii": timing.ii, "latency": timing.latency},
        "sources": files,
        "target": {"fps": request.fps, "clock_mhz": request.clock_mhz},
    }


def layer_entry(op: "KernelOp") -> dict[str, Any]:
    """A kernel in accelerator.json: pe and simd are elements a beat out and in; mw and mh a vector's inputs and
    outputs.
    """
    source, sink = op.in_stream(), op.out_stream()
    return {
        "name": op.name,
        "op": op.onnx_node.op_type,
        "pe": sink.elems,
        "simd": source.elems,
        "mw": source.shape[-1],
        "mh": sink.shape[-1],
        "cycles": op.get_exp_cycles(),
        "lut": int(op.lut_estimation("")),
        "bram": int(op.bram_estimation("")),
    }
