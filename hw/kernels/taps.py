"""What kernels share that make one word of the taps of a window."""

from abc import ABC
from typing import Any

from flipflow.hw.kernels.base import KernelOp, Schedule, Stream, Tensor


class TapsOp(KernelOp, ABC):
    """Base of the ops from [N, OH, OW, Taps * C] to [N, OH, OW, C], SIMD channels a beat."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Channels, folded into SIMD a beat; Taps; OfmDim (height, width)."""
        return {
            "Channels": ("i", True, 0),
            "SIMD": ("i", False, 1),
            "Taps": ("i", True, 0),
            "OfmDim": ("ints", True, []),
            "dataType": ("s", True, ""),
        }

    @property
    def words(self) -> int:
        """Words of a pixel."""
        return self.integer("Channels") // self.integer("SIMD")

    def windows(self, masked: bool = False) -> Stream:
        """The stream of windows."""
        shape = (1, *self.pair("OfmDim"), self.integer("Taps") * self.integer("Channels"))
        return Stream(shape, self.integer("SIMD"), self.text("dataType"), masked)

    def results(self, dtype: str) -> Stream:
        """The stream of results of `dtype`."""
        return Stream((1, *self.pair("OfmDim"), self.integer("Channels")), self.integer("SIMD"), dtype)

    def taps(self, tensor: Tensor) -> Tensor:
        """The windows as [N, OH, OW, Taps, C]."""
        return tensor.reshape(*tensor.shape[:-1], self.integer("Taps"), self.integer("Channels"))

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats

    def schedule(self) -> Schedule:
        """Every step takes a beat; results come with the last tap."""
        words, taps = self.words, self.integer("Taps")
        steps = {"steps": taps * words, "consume": taps * words, "emit_from": (taps - 1) * words, "emit_period": 1}
        return {"name": self.name, "model": "steps", **steps, "latency": 1}
