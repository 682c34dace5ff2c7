"""What the two matrix-vector-threshold units share: folding, weights and thresholds in ROM, and the cycle model.

A vector of MW activations comes in MW / SIMD beats and makes MH / PE beats of PE results. The unit takes NF * SF cycles
a vector (NF = MH / PE, SF = MW / SIMD): the vector's beats in the first SF of them, from its replay buffer after that.
"""

from abc import abstractmethod
from typing import Any

import numpy as np

from flipflow.hw.kernels.area import Storage, ram, rom, rom_in_blocks, rom_row_words
from flipflow.hw.kernels.area_mvtu import CONSTANT_WEIGHTS, control_luts, results_luts
from flipflow.hw.kernels.base import KernelOp, Parameters, RtlModule, Schedule, Stream, Tensor, flag
from flipflow.hw.kernels.rom import bits_of, hex_lines, row_files, signed_width
from flipflow.hw.kernels.thresholding import apply_thresholds, threshold_lines

# Where a ROM lies: in block RAM, in LUTs, or where `rom_in_blocks` of the area model has it.
MEMORIES = ("auto", "block", "lut")


class MvtuOp(KernelOp):
    """A matrix-vector unit with fused thresholds, or with raw sums where `Thresholds` is 0.

    Inputs: the stream [N, ..., MW]; weights [MW, MH]; with thresholds also thresholds [MH, Thresholds] (rising, in the
    accumulator's domain) and invert [MH].
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """MW, MH, SIMD, PE: sizes and folding. Leading: the frame's shape before the last axis. AccWidth: accumulator
        bits. WeightMemory, ThresholdMemory: where these lie, one of MEMORIES.
        """
        return {
            "MW": ("i", True, 0),
            "MH": ("i", True, 0),
            "SIMD": ("i", False, 1),
            "PE": ("i", False, 1),
            "Leading": ("ints", True, []),
            "inputDataType": ("s", True, ""),
            "weightDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "AccWidth": ("i", True, 0),
            "HasMask": ("i", False, 0, {0, 1}),
            "Thresholds": ("i", False, 0),
            "OutBias": ("i", False, 0),
            "WeightMemory": ("s", False, "auto", set(MEMORIES)),
            "ThresholdMemory": ("s", False, "auto", set(MEMORIES)),
        }

    @abstractmethod
    def accumulate(self, sums: Tensor) -> Tensor:
        """Signed dot products to the accumulator's domain, in which the thresholds are."""

    @abstractmethod
    def sum_stages(self) -> int:
        """Register stages from a step's word and weights to the sum of their products, as the RTL has them."""

    def read_stages(self) -> int:
        """Register stages of reading a step's word and weights: block RAM, which is slow, gets a register behind it."""
        depth, width = self.replay()
        in_blocks = self.roms_in_blocks()[0] or (depth > 0 and ram(depth, width).bram > 0)
        return 2 if in_blocks else 1

    @abstractmethod
    def sum_luts(self) -> float:
        """LUTs of a channel's products of a step and of their sum."""

    @abstractmethod
    def has_carry(self) -> bool:
        """True where that sum brings a carry bit for the accumulator."""

    def threshold_bits(self) -> int:
        """Bits of a threshold that differ in the ROM."""
        return self.integer("AccWidth")

    @property
    def folds(self) -> tuple[int, int]:
        """(NF, SF): output and input folds."""
        return self.integer("MH") // self.integer("PE"), self.integer("MW") // self.integer("SIMD")

    @property
    def vectors(self) -> int:
        """Vectors of a frame."""
        return int(np.prod([int(size) for size in self.get_nodeattr("Leading")]))

    def parameter_names(self) -> tuple[str, ...]:
        """Weights, and thresholds where there are any."""
        return ("weights", "thresholds", "invert") if self.integer("Thresholds") else ("weights",)

    def in_stream(self) -> Stream:
        """SIMD activations a beat."""
        shape = (*(int(size) for size in self.get_nodeattr("Leading")), self.integer("MW"))
        return Stream(shape, self.integer("SIMD"), self.text("inputDataType"), bool(self.integer("HasMask")))

    def out_stream(self) -> Stream:
        """PE results a beat."""
        shape = (*(int(size) for size in self.get_nodeattr("Leading")), self.integer("MH"))
        return Stream(shape, self.integer("PE"), self.text("outputDataType"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Signed dot products (masked taps are 0), then thresholds."""
        # float64 products of integers below 2^53 are exact, and run through BLAS.
        rows = tensor.reshape(-1, self.integer("MW")).astype(np.float64)
        sums = np.rint(rows @ params["weights"].astype(np.float64)).astype(np.int64)
        sums = sums.reshape(*tensor.shape[:-1], self.integer("MH"))
        if not self.integer("Thresholds"):
            return sums
        acc = self.accumulate(sums)
        bipolar = self.text("outputDataType") == "BIPOLAR"
        return apply_thresholds(acc, params["thresholds"], params["invert"], self.integer("OutBias"), bipolar)

    def get_exp_cycles(self) -> int:
        """Cycles a frame."""
        nf, sf = self.folds
        return nf * sf * self.vectors

    def schedule(self) -> Schedule:
        """NF * SF steps a vector, of which the first SF take a beat; a result every SF steps.

        Latency: 1 cycle each to take the word, to accumulate and to compare, those of reading and those of the sum.
        """
        nf, sf = self.folds
        steps = {"steps": nf * sf, "consume": sf, "emit_from": sf - 1, "emit_period": sf}
        return {"name": self.name, "model": "mvtu", **steps, "latency": 3 + self.read_stages() + self.sum_stages()}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """LUT4s: the channels, the control, and those of the memories that are not in block RAM."""
        (nf, sf), levels = self.folds, self.integer("Thresholds")
        popcounts = self.text("inputDataType") == "BIPOLAR" and self.weight_bits == 1
        offset = self.integer("MW") if popcounts else 0
        constant = CONSTANT_WEIGHTS if nf * sf == 1 else 1.0
        results = results_luts(
            self.integer("AccWidth"), self.has_carry(), sf == 1, levels, self.out_stream().bits, offset
        )
        channels = self.integer("PE") * (constant * self.sum_luts() + results)
        return round(channels) + control_luts(nf, sf, levels > 0) + self._storage().lut

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of ROMs and replay buffer."""
        return self._storage().bram

    def _storage(self) -> Storage:
        depth, width = self.replay()
        replay = ram(depth, width) if depth else Storage()
        roms = zip(self.roms(), self.roms_in_blocks(), strict=True)
        return sum((rom(*size, block) for size, block in roms), replay)

    def roms(self) -> list[tuple[int, int]]:
        """(depth, width) of the weight ROM and of the threshold ROM, if there is one."""
        nf, sf = self.folds
        pe, simd = self.integer("PE"), self.integer("SIMD")
        sizes = [(nf * sf, pe * simd * self.weight_bits)]
        if self.integer("Thresholds"):
            sizes.append((nf, pe * (1 + self.integer("Thresholds") * self.threshold_bits())))
        return sizes

    def roms_in_blocks(self) -> list[bool]:
        """For each of `roms`, whether it lies in block RAM."""
        asked = (self.text("WeightMemory"), self.text("ThresholdMemory"))
        return [
            rom_in_blocks(*size) if kind == "auto" else kind == "block"
            for size, kind in zip(self.roms(), asked, strict=False)
        ]

    def row_words(self) -> list[int]:
        """For each of `roms`, the words of its rows in block RAM, 0 where it is one memory."""
        return [
            rom_row_words(*size) if block else 0 for size, block in zip(self.roms(), self.roms_in_blocks(), strict=True)
        ]

    def replay(self) -> tuple[int, int]:
        """(depth, width) of the replay buffer; (0, 0) where nothing is read twice, or where it is a register."""
        nf, sf = self.folds
        return (sf, self.in_stream().width) if nf > 1 and sf > 1 else (0, 0)

    @property
    def weight_bits(self) -> int:
        """Bits of a weight: 1 for bipolar ones."""
        return Stream((1,), 1, self.text("weightDataType")).bits

    def weight_lines(self, weights: Tensor) -> list[str]:
        """Weight ROM, NF * SF words: word nf * SF + sf holds element pe * SIMD + simd at its low end first."""
        nf, sf = self.folds
        pe, simd = self.integer("PE"), self.integer("SIMD")
        matrix = np.rint(weights).astype(np.int64).T
        if self.weight_bits == 1:
            matrix = (matrix + 1) // 2
        words = matrix.reshape(nf, pe, sf, simd).transpose(0, 2, 1, 3).reshape(nf * sf, pe * simd)
        return hex_lines(bits_of(words, self.weight_bits))

    def rom_parameters(self, params: dict[str, Tensor]) -> tuple[Parameters, dict[str, list[str]]]:
        """Parameters and memory files for weights and thresholds."""
        lines = {"Weight": self.weight_lines(params["weights"])}
        if self.integer("Thresholds"):
            pe, width = self.integer("PE"), self.integer("AccWidth")
            lines["Threshold"] = threshold_lines(params["thresholds"], params["invert"], pe, width)
        values: Parameters = {}
        memory: dict[str, list[str]] = {}
        for (kind, words), row in zip(lines.items(), self.row_words(), strict=True):
            file = f"{self.name}_{kind.lower()}s.mem"
            values |= {f"{kind}File": file, f"{kind}Row": row}
            memory |= row_files(file, words, row) if row else {file: words}
        return values, memory

    def common_parameters(self) -> Parameters:
        """Parameters that both units have."""
        return {
            "MW": self.integer("MW"),
            "MH": self.integer("MH"),
            "SIMD": self.integer("SIMD"),
            "PE": self.integer("PE"),
            "AccWidth": self.integer("AccWidth"),
            "HasMask": flag(self.integer("HasMask")),
            "NumThresholds": self.integer("Thresholds"),
            "OutBits": self.out_stream().bits,
            "OutBias": 0 if self.text("outputDataType") == "BIPOLAR" else self.integer("OutBias"),
            "ReadStages": self.read_stages(),
        }

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit with its ROMs."""
        files, memory = self.rom_parameters(params)
        values = {**self.common_parameters(), **self.extra_parameters(), **files, **self.rom_styles()}
        return RtlModule(self.module_name(), values, memory)

    def rom_styles(self) -> Parameters:
        """Where the ROMs lie: 1 block RAM, 2 LUTs."""
        names = ("WeightStyle", "ThresholdStyle")
        return {name: 1 if block else 2 for name, block in zip(names, self.roms_in_blocks(), strict=False)}

    @abstractmethod
    def module_name(self) -> str:
        """The RTL module."""

    def extra_parameters(self) -> Parameters:
        """Parameters of this unit alone."""
        return {}


def popcount_stages(simd: int) -> int:
    """Register stages of the RTL module xnor_popcount: after every odd level of its tree and after the last.

    Level k counts up to 2^(k+1) - 1 matches; of a power of two from 4 on, one match stays outside the tree.
    """
    counted = simd - 1 if simd >= 4 and simd & (simd - 1) == 0 else simd
    levels = max(1, counted.bit_length() - 1)
    return levels // 2 + 1


def sum_range(weights: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Smallest and largest sum of each output channel over all inputs of `dtype`: weights [K, M] to two int64 arrays
    [M].

    Bipolar inputs are taken as -1..+1, so that masked taps (0) are covered too.
    """
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    low, high = (-1, 1) if dtype == "BIPOLAR" else (int(DataType[dtype].min()), int(DataType[dtype].max()))
    matrix = np.rint(weights).astype(np.int64)
    return np.minimum(matrix * low, matrix * high).sum(0), np.maximum(matrix * low, matrix * high).sum(0)


def sum_dtype(low: int, high: int) -> str:
    """The smallest signed datatype of low..high."""
    return f"INT{max(2, signed_width(low, high))}"
