"""From folded kernels to one accelerator: width converters and FIFOs on every edge of the graph.

Between two kernels there is always a FIFO, and a width converter with its own FIFO where beats differ in size. FIFOs get
their depths in `flipflow.hw.fifo_sizing`; here they have the least, or what the wait for another branch takes.
"""

from dataclasses import replace
from itertools import pairwise
from math import ceil, lcm
from typing import TYPE_CHECKING, Any

from flipflow.hw.graph import (
    SOURCE,
    Attributes,
    KernelNode,
    assemble,
    inputs_of,
    kernels_of,
    meta_of,
    node_of,
    port_name,
)
from flipflow.hw.lag import waits_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp, Stream

# A beat of the input is a whole pixel up to this width, as narrow streams are for their drivers' convenience.
MAX_INPUT_BITS = 512
# Beats of a FIFO, but for those that wait for another branch.
LEAST_DEPTH = 2


def stitch(model: Any) -> Any:
    """The folded kernel graph with converters and FIFOs between the kernels, FIFOs as deep as they are likely to be."""
    ops = kernels_of(model)
    inputs, waits = inputs_of(model), waits_of(model)
    interval = max(*(op.get_exp_cycles() for op in ops), meta_of(model).get("pace", 0))
    elems = {SOURCE: input_elems(ops[0])}  # a beat's, by output
    nodes: list[KernelNode] = []
    for op in ops:
        ends = []
        for port, (source, wanted) in enumerate(zip(inputs[op.name], op.in_streams(), strict=True)):
            wait = waits.get((op.name, port), 0.0)
            chain = adapters(op, replace(wanted, elems=elems[source]), interval, port, wait)
            names = [source, *(item.name for item in chain)]
            nodes += [replace(item, inputs=(name,)) for name, item in zip(names, chain, strict=False)]
            ends.append(names[-1])
        nodes.append(replace(node_of(model, op), inputs=tuple(ends)))
        elems |= {port_name(op.name, port): stream.elems for port, stream in enumerate(op.out_streams())}
    nodes.append(fifo("out_fifo", ops[-1].out_stream(), LEAST_DEPTH))
    return assemble(nodes, meta_of(model))


def input_elems(first: "KernelOp") -> int:
    """Elements a beat of the accelerator's input: a pixel in front of a window if it has at most 512 bits, else what
    the kernel takes.
    """
    stream = first.in_stream()
    if first.onnx_node.op_type == "Window" and first.integer("Channels") * stream.bits <= MAX_INPUT_BITS:
        return first.integer("Channels")
    return stream.elems


def adapters(op: "KernelOp", stream: "Stream", interval: int, port: int = 0, wait: float = 0.0) -> list[KernelNode]:
    """FIFO, and converters with FIFOs where needed, in front of input `port` of a kernel; the last is the kernel's own FIFO.

    stream: what comes in. interval: cycles a frame that converters must keep up with. wait: share of a frame that waits there for
    another input (see flipflow.hw.lag). The nodes' inputs are left open.
    """
    wanted = op.in_streams()[port]
    prefix = op.name if len(op.in_streams()) == 1 else f"{op.name}_in{port}"
    last = fifo(f"{prefix}_fifo", wanted, LEAST_DEPTH + ceil(wait * wanted.beats))
    if stream.elems == wanted.elems:
        return [last]
    sizes = _converter_sizes(stream, wanted, interval)
    chain = []
    for index, (into, out) in enumerate(pairwise(sizes)):
        name = f"{prefix}_width{index if len(sizes) > 2 else ''}"
        chain.append(fifo(f"{name}_fifo", replace(stream, elems=into), LEAST_DEPTH))
        values: Attributes = {"Shape": list(wanted.shape), "InElems": into, "OutElems": out, "dataType": wanted.dtype}
        chain.append(KernelNode("WidthConverter", name, values))
    return [*chain, last]


def _converter_sizes(stream: "Stream", wanted: "Stream", interval: int) -> list[int]:
    """Beat sizes along the converters: one step, or two over the common multiple where one gearbox would be too slow.

    A gearbox runs at full speed where one size divides the other, and loses cycles otherwise.
    """
    from flipflow.hw.kernels.width_converter import gearbox_rhythm  # noqa: PLC0415

    cycles, elements = gearbox_rhythm(stream.elems, wanted.elems)
    if wanted.beats * wanted.elems * cycles <= interval * elements:
        return [stream.elems, wanted.elems]
    return [stream.elems, lcm(stream.elems, wanted.elems), wanted.elems]


def fifo(name: str, stream: "Stream", depth: int) -> KernelNode:
    """A FIFO of at least two beats; its inputs are left open."""
    values: Attributes = {
        "Shape": list(stream.shape),
        "Elems": stream.elems,
        "Depth": max(2, depth),
        "dataType": stream.dtype,
        "HasMask": int(stream.mask),
        "SideBits": stream.side,
    }
    return KernelNode("Fifo", name, values)
