"""Draws random pipelines of RTL kernels, for their SystemVerilog (pipeline_text) and the cycle model.

The descriptions come straight from the micro-architecture (steps, buffers, latencies), not from the FINN ops or the
stitching, so that a slip in either cannot hide in both. What the chains compute is of no matter here, only when.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from random_branches import branches
from spec_model import mvtu_latency

MAX_BEATS = 1500  # a frame, at any point of a chain: keeps the runs short


@dataclass(frozen=True)
class Stream:
    """A frame of height x width pixels of `channels` elements of `bits` bits, `elems` elements a beat.

    aligned: beats do not straddle pixels. mask: a mask bit on top. taps: of a stream of windows, kernel_h * kernel_w.
    """

    height: int
    width: int
    channels: int
    bits: int
    elems: int
    aligned: bool = True
    mask: bool = False
    taps: int = 0

    @property
    def total(self) -> int:
        return self.height * self.width * self.channels

    @property
    def beats(self) -> int:
        return self.total // self.elems

    @property
    def data_width(self) -> int:
        return self.elems * self.bits + int(self.mask)


@dataclass
class Chain:
    """A drawn pipeline: `models` for the cycle model (they say how kernels are wired), `instances` (module, parameters, output
    width) for the RTL. The next kernel goes behind output `end` of a kernel, where the stream is `sink`.
    """

    source: Stream
    sink: Stream
    models: list[dict[str, Any]] = field(default_factory=list)
    instances: list[tuple[str, dict[str, str], int]] = field(default_factory=list)
    roms: dict[str, tuple[int, int]] = field(default_factory=dict)  # file: words, bits
    end: str = ""


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


class Draw:
    """One pipeline from one seed; with branches, or a chain."""

    most_beats = MAX_BEATS

    def __init__(self, seed: int, branching: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.branching = branching

    def pick(self, options: list[int]) -> int:
        return int(options[self.rng.integers(len(options))])

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def chain(self) -> Chain:
        channels = self.pick([1, 2, 3, 4, 6, 8, 12])
        source = Stream(
            height=self.pick([1, 2, 3, 4, 5, 6, 7]),
            width=self.pick([1, 2, 3, 4, 5, 6, 7]),
            channels=channels,
            bits=self.pick([1, 1, 2, 8]),
            elems=self.pick(divisors(channels)),
        )
        chain = Chain(source, source)
        kernels = {
            "width_converter": self.gearbox,
            "window": self.window,
            "pool": self.pool,
            "threshold": self.threshold,
        }
        for _ in range(self.pick([2, 3, 4, 5, 6])):
            if self.chance(0.6):
                self.fifo(chain)
            if self.branching and self.chance(0.5) and branches(self, chain):
                continue
            name = self.pick_kernel(chain.sink)
            if name == "mvtu":
                self.mvtu(chain)
            else:
                kernels[name](chain)
        if self.chance(0.7):
            self.fifo(chain)
        return chain

    def pick_kernel(self, stream: Stream) -> str:
        if stream.taps:
            return "pool" if self.chance(0.4) else "mvtu"
        options = ["width_converter", "mvtu", "threshold"] + (["window"] * 3 if stream.aligned else [])
        return options[self.rng.integers(len(options))]

    def add(self, chain: Chain, module: str, parameters: dict[str, Any], model: dict[str, Any], sink: Stream) -> None:
        name = f"c{self.seed}_{module}_{len(chain.models)}"
        wires = {"inputs": [chain.end]} if chain.models and "inputs" not in model else {}
        chain.models.append({"name": name, **wires, **model})
        chain.end = name
        text = {key: f'"{value}"' if isinstance(value, str) else str(int(value)) for key, value in parameters.items()}
        chain.instances.append((module, text, sink.data_width))
        chain.sink = sink

    def rom(self, chain: Chain, kind: str, words: int, bits: int) -> str:
        name = f"c{self.seed}_{len(chain.models)}_{kind}.mem"
        chain.roms[name] = (words, bits)
        return name

    def fifo(self, chain: Chain) -> None:
        depth = self.pick([2, 2, 3, 4, 7, 16, 70])
        stream = chain.sink
        self.add(chain, "fifo", {"Width": stream.data_width, "Depth": depth}, {"model": "fifo", "depth": depth}, stream)

    def gearbox(self, chain: Chain) -> None:
        stream = chain.sink
        wide = [d for d in divisors(stream.total) if d <= 16 and stream.total // d <= MAX_BEATS]
        out = (
            self.pick([d for d in wide if stream.channels % d == 0] if self.chance(0.5) else wide)
            if wide
            else stream.elems
        )
        parameters = {"ElemWidth": stream.bits, "InElems": stream.elems, "OutElems": out}
        model = {"model": "gearbox", "in_elems": stream.elems, "out_elems": out, "cap": stream.elems + out}
        aligned = stream.channels % out == 0
        self.add(chain, "width_converter", parameters, model, replace(stream, elems=out, aligned=aligned))

    def geometry(self, size: int, axis: str, side: str) -> dict[str, int]:
        """Kernel, stride, padding before and output size along one axis of an image; the padding after is implied."""
        kernel = self.pick([1, 2, 2, 3, 3])
        before, after = self.pick(list(range(kernel))), self.pick(list(range(kernel)))
        if size + before + after < kernel:
            kernel, before, after = 1, 0, 0
        stride = self.pick([1, 1, 2, 3])
        full = (size + before + after - kernel) // stride + 1
        ofm = full if self.chance(0.8) else self.pick(list(range(1, full + 1)))  # fewer: rows or columns unused
        shape = {f"kernel_{axis[0]}": kernel, f"stride_{axis[0]}": stride, f"pad_{side}": before}
        return {**shape, f"ifm_{axis}": size, f"ofm_{axis}": ofm}

    def window(self, chain: Chain) -> None:
        stream = chain.sink
        words = stream.channels // stream.elems
        shape = self.geometry(stream.height, "height", "top") | self.geometry(stream.width, "width", "left")
        taps = shape["kernel_h"] * shape["kernel_w"]
        if shape["ofm_height"] * shape["ofm_width"] * taps * words > MAX_BEATS:
            self.fifo(chain)
            return
        self.window_of(chain, shape)

    def window_of(self, chain: Chain, shape: dict[str, int], masks: bool = True) -> None:
        stream = chain.sink
        enough = max(shape["kernel_h"] + shape["stride_h"], 2 * shape["kernel_h"])
        rows = enough if self.chance(0.6) else self.pick(list(range(shape["kernel_h"], enough + 1)))
        shape = shape | {"words_per_pixel": stream.channels // stream.elems, "rows": rows}
        mask = masks and stream.bits == 1 and self.chance(0.5)
        taps = shape["kernel_h"] * shape["kernel_w"]
        parameters = {"".join(part.capitalize() for part in key.split("_")): value for key, value in shape.items()}
        parameters |= {"Width": stream.elems * stream.bits, "HasMask": mask}
        sink = replace(stream, height=shape["ofm_height"], width=shape["ofm_width"], mask=mask, taps=taps)
        sink = replace(sink, channels=stream.channels * taps)
        self.add(chain, "window", parameters, {"model": "window", **shape, "latency": 2}, sink)

    def pool(self, chain: Chain) -> None:
        stream = chain.sink
        channels = stream.channels // stream.taps
        words = channels // stream.elems
        parameters = {"Elems": stream.elems, "ElemBits": stream.bits, "HasMask": stream.mask}
        parameters |= {"Taps": stream.taps, "WordsPerPixel": words, "Signed": stream.bits > 1 and self.chance(0.5)}
        steps = stream.taps * words
        model = {"model": "steps", "steps": steps, "consume": steps, "latency": 1}
        model |= {"emit_from": steps - words, "emit_period": 1}
        self.add(chain, "pool", parameters, model, replace(stream, channels=channels, mask=False, taps=0))

    def mvtu(self, chain: Chain) -> None:
        stream = chain.sink
        dense = not stream.taps and (not stream.aligned or self.chance(0.3))  # one vector a frame
        fan_in = stream.total if dense else stream.channels
        height, width = (1, 1) if dense else (stream.height, stream.width)
        outputs = self.pick([1, 2, 3, 4, 6, 8, 10])
        pe = self.pick(divisors(outputs))
        sf, nf = fan_in // stream.elems, outputs // pe
        if sf * nf * height * width > 4 * MAX_BEATS:
            outputs, pe = 1, 1
        self.unit(chain, (height, width), outputs, pe)

    def unit(self, chain: Chain, size: tuple[int, int], outputs: int, pe: int) -> None:
        """A matrix-vector unit that gives `outputs` for each of so many pixels."""
        stream, (height, width) = chain.sink, size
        fan_in = stream.total // (height * width)
        sf, nf = fan_in // stream.elems, outputs // pe
        acc = int(2 * fan_in).bit_length() + stream.bits + 3
        thresholds = self.pick([0, 1, 1, 3])
        bits = acc if thresholds == 0 else thresholds.bit_length()
        binary = stream.bits == 1 and self.chance(0.7)
        weight_bits = 1 if binary else self.pick([1, 2, 4])
        parameters = {
            "MW": fan_in,
            "MH": outputs,
            "SIMD": stream.elems,
            "PE": pe,
            "HasMask": stream.mask,
            "AccWidth": acc,
            "NumThresholds": thresholds,
            "OutBits": bits,
            "WeightFile": self.rom(chain, "w", sf * nf, pe * stream.elems * weight_bits),
            "ThresholdFile": self.rom(chain, "t", nf, pe * (1 + thresholds * acc)),
        }
        bipolar, signed = stream.bits == 1, False
        if not binary:
            signed = not bipolar and self.chance(0.5)
            parameters |= {"ActBits": stream.bits, "ActBipolar": bipolar, "WeightBits": weight_bits}
            parameters |= {"ActSigned": signed}
        parameters |= {"ReadStages": self.pick([1, 2])}
        latency = mvtu_latency(stream.elems, stream.bits, signed, bipolar, weight_bits, parameters["ReadStages"])
        model = {"model": "mvtu", "steps": nf * sf, "consume": sf, "latency": latency}
        model |= {"emit_from": sf - 1, "emit_period": sf}
        sink = Stream(height, width, outputs, bits, pe)
        self.add(chain, "xnor_mvtu" if binary else "mixed_mvtu", parameters, model, sink)

    def threshold(self, chain: Chain) -> None:
        stream = chain.sink
        folds = stream.channels // stream.elems if stream.aligned else 1
        count = self.pick([1, 3])
        bits = count.bit_length()
        parameters = {
            "PE": stream.elems,
            "NF": folds,
            "InBits": stream.bits,
            "N": count,
            "OutBits": bits,
            "AccWidth": stream.bits + 1,
            "ThresholdFile": self.rom(chain, "t", folds, stream.elems * (1 + count * (stream.bits + 1))),
        }
        model = {"model": "steps", "steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 2}
        self.add(chain, "threshold", parameters, model, replace(stream, bits=bits))


def draw(seed: int, branching: bool = False) -> Chain:
    """The pipeline of a seed."""
    return Draw(seed, branching).chain()
