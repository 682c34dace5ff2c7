"""Random branches of a pipeline: a fork, two or three ways through the kernels, and sums where they meet."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flipflow.errors import FlipflowError
from flipflow.sim.cycle_model import predict

if TYPE_CHECKING:
    from random_pipelines import Chain, Draw, Stream

MAX_BITS = 12  # an element, where branches meet


def branches(draw: "Draw", chain: "Chain") -> bool:
    """Append a fork and what follows it up to one stream again; False where the stream does not allow it."""
    stream = chain.sink
    if stream.taps or not stream.aligned or stream.mask or stream.bits > MAX_BITS:
        return False
    shape = draw.geometry(stream.height, "height", "top") | draw.geometry(stream.width, "width", "left")
    words = stream.channels // stream.elems
    before, after = draw.pick([0, 0, 1, 2]), draw.pick([0, 0, 1])
    taps = shape["kernel_h"] * shape["kernel_w"]
    pixels = shape["ofm_height"] * shape["ofm_width"]
    if pixels * taps * (words + before + after) * max(words, 1) > draw.most_beats:
        return False
    count = draw.pick([2, 2, 2, 3])
    draw.add(
        chain,
        "fork_stream",
        {"Width": stream.data_width, "Outputs": count},
        {"model": "fork", "outputs": count},
        stream,
    )
    fork, ways = chain.end, []
    for port in (int(port) for port in draw.rng.permutation(count)):
        chain.end, chain.sink = f"{fork}:{port}" if port else fork, stream
        _way(draw, chain, shape, (before, after), learned=port == 1)
        ways.append(chain.end)
    _meet(draw, chain, ways)
    return True


def _way(draw: "Draw", chain: "Chain", shape: dict[str, int], padding: tuple[int, int], learned: bool) -> None:
    """From the fork to the meeting: a convolution, or a pool (or nothing) and zeros in further channels."""
    stream = chain.sink
    size = shape["ofm_height"], shape["ofm_width"]
    channels = stream.channels + sum(padding) * stream.elems
    if draw.chance(0.5):
        draw.fifo(chain)
    same = size == (stream.height, stream.width)
    if learned:
        draw.window_of(chain, shape)
        if draw.chance(0.5):
            draw.fifo(chain)
        draw.unit(chain, size, channels, stream.elems)
    elif not same or draw.chance(0.3):
        summed = draw.chance(0.5)
        draw.window_of(chain, shape, masks=not summed)
        if summed:
            _sum_pool(draw, chain)
        else:
            draw.pool(chain)
    if not learned and any(padding):
        _pad(draw, chain, padding)
    if draw.chance(0.3) and chain.sink.bits > 1:
        _line(draw, chain)
    depth = draw.pick([2, 5, 20, 50])
    stream = chain.sink
    draw.add(chain, "fifo", {"Width": stream.data_width, "Depth": depth}, {"model": "fifo", "depth": depth}, stream)


def _sum_pool(draw: "Draw", chain: "Chain") -> None:
    stream = chain.sink
    channels = stream.channels // stream.taps
    words = channels // stream.elems
    steps = stream.taps * words
    bits = stream.bits + stream.taps.bit_length()
    parameters: dict[str, Any] = {"Elems": stream.elems, "ElemBits": stream.bits, "Signed": draw.chance(0.5)}
    parameters |= {"Taps": stream.taps, "WordsPerPixel": words, "SumBits": bits}
    model = {
        "model": "steps",
        "steps": steps,
        "consume": steps,
        "emit_from": steps - words,
        "emit_period": 1,
        "latency": 1,
    }
    draw.add(chain, "sum_pool", parameters, model, replace(stream, channels=channels, bits=bits, taps=0))


def _pad(draw: "Draw", chain: "Chain", padding: tuple[int, int]) -> None:
    stream, (before, after) = chain.sink, padding
    words = stream.channels // stream.elems
    parameters = {"Width": stream.data_width, "Before": before, "Pass": words, "After": after}
    model = {"model": "pad", "before": before, "pass": words, "after": after, "latency": 1}
    channels = stream.channels + (before + after) * stream.elems
    draw.add(chain, "channel_pad", parameters, model, replace(stream, channels=channels))


def _line(draw: "Draw", chain: "Chain") -> None:
    """A requantize kernel: y = (3-bit factor * x + 4-bit offset) >> 1, clipped."""
    stream = chain.sink
    folds = stream.channels // stream.elems
    bits = draw.pick([2, 4, 8])
    parameters: dict[str, Any] = {"PE": stream.elems, "NF": folds, "InBits": stream.bits, "Signed": draw.chance(0.5)}
    parameters |= {"FactorBits": 3, "OffsetBits": 4, "AccWidth": stream.bits + 6, "Shift": 1, "OutBits": bits}
    parameters |= {"Minimum": -(1 << (bits - 1)), "Maximum": (1 << (bits - 1)) - 1}
    parameters["LineFile"] = draw.rom(chain, "l", folds, stream.elems * 7)
    wide = stream.bits + int(not parameters["Signed"]) > 18  # a multiplier of two stages
    model = {"model": "steps", "steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 6 if wide else 5}
    draw.add(chain, "requantize", parameters, model, replace(stream, bits=bits))


def _meet(draw: "Draw", chain: "Chain", ways: list[str]) -> None:
    """Sums of the ways, two and two, in any order; FIFOs before them as deep as they must be."""
    sinks: dict[str, Stream] = {}
    for end in ways:
        index = next(i for i, model in enumerate(chain.models) if model["name"] == end)
        elems = chain.sink.elems
        bits = (chain.instances[index][2]) // elems
        sinks[end] = replace(chain.sink, bits=bits)
    fifos = list(ways)
    order = [str(end) for end in draw.rng.permutation(ways)]
    first = order[0]
    for second in order[1:]:
        low, high = sinks[first].bits, sinks[second].bits
        bits = draw.pick([3, 6, 8])
        signed = draw.chance(0.5)
        parameters = {
            "Elems": chain.sink.elems,
            "ABits": low,
            "BBits": high,
            "ASigned": signed,
            "BSigned": draw.chance(0.5),
        }
        parameters |= {"OutBits": bits, "Minimum": -(1 << (bits - 1)), "Maximum": (1 << (bits - 1)) - 1}
        model = {"model": "join", "latency": 1, "inputs": [first, second]}
        draw.add(chain, "residual_add", parameters, model, replace(chain.sink, bits=bits))
        first = chain.end
        sinks[first] = chain.sink
    _free(chain, fifos)


def _free(chain: "Chain", fifos: list[str]) -> None:
    """Make the FIFOs before a meeting deeper until its branches do not block each other."""
    while True:
        try:
            predict(chain.models, 2, chain.source.beats, chain.sink.beats)
        except FlipflowError as error:
            assert error.code == "E402", error
            for index, model in enumerate(chain.models):
                if model["name"] in fifos:
                    model["depth"] *= 2
                    chain.instances[index][1]["Depth"] = str(model["depth"])
        else:
            return
