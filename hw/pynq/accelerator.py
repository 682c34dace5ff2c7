"""A network on a device: identity, images in, answers out, counters, reset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .links import AcceleratorError, Link, PynqLink, XdmaLink
from .stream import check_images, pack, unpack

MAGIC, VERSION = 0x464C4950, 1
# Byte addresses of registers, as hw/rtl/axi/axi_registers.sv lists them.
CONTROL, STATUS, PACKET_FRAMES, NETWORK = 0x008, 0x00C, 0x010, 0x040
SHAPE = {"in_bits": 0x014, "in_words": 0x018, "out_bits": 0x01C, "out_words": 0x020, "classes": 0x024}
COUNTERS = {"frames_in": 0x080, "frames_out": 0x084, "frames_cut_short": 0x088, "latency": 0x08C, "interval": 0x090}
WIDE_COUNTERS = {"cycles": 0x0A0, "stalled_in": 0x0A8, "stalled_out": 0x0B0}
RESET, CLEAR = 1, 2
MAX_TRANSFER = 1 << 24  # bytes; below the limit of AXI DMA with a length of 26 bits


@dataclass(frozen=True)
class Answers:
    """logits: int64 [N, classes]; classes: int64 [N], the lowest index on a tie.

    latency, interval: clock cycles from a frame's first word in to its last word out, and between the last two frames.
    """

    logits: np.ndarray
    classes: np.ndarray
    latency: int
    interval: int


class Accelerator:
    """A network on a device. Every call leaves the device ready for the next one, or says that it did not."""

    def __init__(self, link: Link, network: dict[str, Any]) -> None:
        self.network = network
        self._link = link
        self._source, self._sink = network["input"], network["output"]
        self._check()

    @classmethod
    def open(cls, bitstream: Any = None, network: Any = None, xdma: str | None = None) -> Accelerator:
        """Load a bitstream on a PYNQ board, or open a card that holds it, and check that it is this network's.

        network: network.json, beside the bitstream by default.
        Raises: AcceleratorError where a file is missing, the device does not answer, or it holds another network.
        """
        if (bitstream is None) == (xdma is None):
            raise AcceleratorError("Name either a bitstream (PYNQ) or an XDMA device.")
        place = Path(network) if network is not None else Path(bitstream or ".").parent / "network.json"
        try:
            about = json.loads(place.read_text())
        except (OSError, ValueError) as error:
            raise AcceleratorError(f"{place} cannot be read: {error}.") from error
        link: Link = XdmaLink(xdma) if xdma is not None else PynqLink(Path(bitstream))
        try:
            return cls(link, about)
        except BaseException:
            link.close()
            raise

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the device."""
        self._link.close()

    @property
    def identity(self) -> bytes:
        """SHA-256 of the network that the device holds, 32 bytes."""
        return b"".join(self._link.read(NETWORK + 4 * index).to_bytes(4, "little") for index in range(8))

    def _check(self) -> None:
        magic, version = self._link.read(0), self._link.read(4)
        if magic != MAGIC:
            raise AcceleratorError(
                f"The device answers {magic:#010x}, not {MAGIC:#010x}: it holds no flipflow accelerator."
            )
        if version != VERSION:
            raise AcceleratorError(
                f"The device has registers of version {version}, this driver knows {VERSION}: build it again."
            )
        held, wanted = self.identity.hex(), str(self.network["identity"])
        if held != wanted:
            raise AcceleratorError(
                f"The device holds network {held[:16]}..., and this is {wanted[:16]}...: load its bitstream."
            )
        shape = {name: self._link.read(address) for name, address in SHAPE.items()}
        expected = {"classes": self._sink["classes"]}
        for side, stream in (("in", self._source), ("out", self._sink)):
            expected.update({f"{side}_bits": stream["word_bits"], f"{side}_words": stream["words_per_frame"]})
        if shape != expected:
            raise AcceleratorError(f"The device is folded otherwise ({shape}) than network.json says ({expected}).")

    def reset(self) -> None:
        """Forget every frame under way, and set the counters to 0."""
        self._link.halt()  # first: what comes later would be taken for the start of a new frame
        self._link.write(CONTROL, RESET | CLEAR)
        self._link.start()

    def counters(self) -> dict[str, int]:
        """Counters since the last reset or `clear`: frames, and clock cycles in which a word waited."""
        values = {name: self._link.read(address) for name, address in COUNTERS.items()}
        for name, address in WIDE_COUNTERS.items():
            low = self._link.read(address)  # keeps the high half
            values[name] = low | self._link.read(address + 4) << 32
        return values

    def clear(self) -> None:
        """Set the counters to 0."""
        self._link.write(CONTROL, CLEAR)

    def infer(self, images: np.ndarray, timeout: float = 10.0) -> Answers:
        """Answers to integer images [N, *shape], bipolar ones as -1 and +1. timeout: in seconds, for one transfer.

        Raises: AcceleratorError where the images do not fit (nothing is sent then), or the device does not answer (it is reset).
        """
        images = np.asarray(images)
        check_images(images, self._source)
        frame_bytes = [stream["words_per_frame"] * stream["word_bits"] // 8 for stream in (self._source, self._sink)]
        chunk = max(1, MAX_TRANSFER // max(frame_bytes))
        parts = [self._packet(images[at : at + chunk], frame_bytes[1], timeout) for at in range(0, len(images), chunk)]
        logits, classes = (np.concatenate(column) for column in zip(*parts))  # noqa: B905 - Python 3.8
        return Answers(logits, classes, self._link.read(COUNTERS["latency"]), self._link.read(COUNTERS["interval"]))

    def _packet(self, images: np.ndarray, answer_bytes: int, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        try:
            if self._link.read(STATUS) & 1:
                raise AcceleratorError(
                    "Frames of an earlier call are still under way. The accelerator was reset; try again."
                )
            self._link.write(PACKET_FRAMES, len(images))
            data = self._link.exchange(pack(images, self._source), len(images) * answer_bytes, timeout)
        except BaseException:  # Ctrl-C too: half a transfer must not spoil the next one
            self.reset()
            raise
        return unpack(data, self._sink)
