"""Sliding-window generator in front of convolutions and pools (RTL module window)."""

from typing import Any

import numpy as np

from flipflow.hw.kernels.area_window import window_area
from flipflow.hw.kernels.base import Bits, KernelOp, Parameters, RtlModule, Schedule, Stream, Tensor, flag, mask_value


class Window(KernelOp):
    """[N, H, W, C] to [N, OH, OW, KH * KW * C], taps in the order (ky, kx, c): SIMD channels a beat on both sides.

    Taps outside the map hold PadValue, or, with HasMask, the datatype's mask value (on the wire: mask bit 0). The
    output may be larger than full windows cover (ceil mode of pooling): those taps are outside too.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Geometry (height, width); PadTopLeft: rows above and columns left; Rows: rows that the ring buffer holds."""
        return {
            "Channels": ("i", True, 0),
            "SIMD": ("i", False, 1),
            "IfmDim": ("ints", True, []),
            "Kernel": ("ints", True, []),
            "Stride": ("ints", True, []),
            "PadTopLeft": ("ints", True, []),
            "OfmDim": ("ints", True, []),
            "dataType": ("s", True, ""),
            "HasMask": ("i", False, 0, {0, 1}),
            "PadValue": ("i", False, 0),
            "Rows": ("i", True, 0),
        }

    def in_stream(self) -> Stream:
        """The map."""
        return Stream((1, *self.pair("IfmDim"), self.integer("Channels")), self.integer("SIMD"), self.text("dataType"))

    def out_stream(self) -> Stream:
        """The windows."""
        shape = (1, *self.pair("OfmDim"), int(np.prod(self.pair("Kernel"))) * self.integer("Channels"))
        return Stream(shape, self.integer("SIMD"), self.text("dataType"), bool(self.integer("HasMask")))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Cut the windows out of the padded map."""
        (height, width), (kernel_h, kernel_w) = self.pair("IfmDim"), self.pair("Kernel")
        (stride_h, stride_w), (top, left) = self.pair("Stride"), self.pair("PadTopLeft")
        ofm_h, ofm_w = self.pair("OfmDim")
        bottom = max(0, (ofm_h - 1) * stride_h + kernel_h - top - height)
        right = max(0, (ofm_w - 1) * stride_w + kernel_w - left - width)
        fill = mask_value(self.text("dataType")) if self.integer("HasMask") else self.integer("PadValue")
        padded = np.pad(tensor, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
        taps = [
            padded[:, ky : ky + (ofm_h - 1) * stride_h + 1 : stride_h, kx : kx + (ofm_w - 1) * stride_w + 1 : stride_w]
            for ky in range(kernel_h)
            for kx in range(kernel_w)
        ]
        return np.concatenate(taps, axis=-1)

    def get_exp_cycles(self) -> int:
        """Cycles a frame: writing and reading overlap."""
        return max(self.in_stream().beats, self.out_stream().beats)

    def schedule(self) -> Schedule:
        """Geometry for the cycle model."""
        return {"name": self.name, "model": "window", **self._geometry(), "latency": 2}

    def _geometry(self) -> dict[str, int]:
        (ifm_h, ifm_w), (kernel_h, kernel_w) = self.pair("IfmDim"), self.pair("Kernel")
        (stride_h, stride_w), (top, left) = self.pair("Stride"), self.pair("PadTopLeft")
        ofm_h, ofm_w = self.pair("OfmDim")
        return {
            "words_per_pixel": self.integer("Channels") // self.integer("SIMD"),
            "ifm_height": ifm_h,
            "ifm_width": ifm_w,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": stride_h,
            "stride_w": stride_w,
            "pad_top": top,
            "pad_left": left,
            "ofm_height": ofm_h,
            "ofm_width": ofm_w,
            "rows": self.integer("Rows"),
        }

    def lut_estimation(self, fpgapart: str = "") -> int:
        """Counters, addresses and their choices, and shallow rings."""
        return window_area(self._geometry(), self.in_stream().width).lut

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of the ring."""
        return window_area(self._geometry(), self.in_stream().width).bram

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """Parameters are the geometry's names in camel case."""
        values: Parameters = {_camel(key): value for key, value in self._geometry().items()}
        stream = self.in_stream()
        pad = self.integer("PadValue")
        element = int(pad > 0) if self.text("dataType") == "BIPOLAR" else pad % (1 << stream.bits)
        word = sum(element << (stream.bits * index) for index in range(stream.elems))
        values |= {
            "Width": stream.width,
            "HasMask": flag(self.integer("HasMask")),
            "PadValue": Bits(word, stream.width),
        }
        return RtlModule("window", values)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def ring_rows(kernel_h: int, stride_h: int) -> int:
    """Rows of the ring buffer: an output row's rows and those of the next, or of the next frame's first."""
    return max(kernel_h + stride_h, 2 * kernel_h)
