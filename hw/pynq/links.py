"""How images, answers and registers travel: AXI DMA under PYNQ, or the XDMA core of a PCI Express card."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# Control register of AXI DMA's sending channel (PG021, table of MM2S_DMACR); its reset bit resets both channels.
_DMA_CONTROL, _DMA_RESET = 0x00, 0x4


class AcceleratorError(RuntimeError):
    """What went wrong with a device, and what to do."""


class Link(Protocol):
    """How words and registers travel."""

    def read(self, address: int) -> int:
        """A 32-bit register."""

    def write(self, address: int, value: int) -> None:
        """Write a 32-bit register."""

    def exchange(self, data: np.ndarray, size: int, timeout: float) -> np.ndarray:
        """Send one packet, uint8 [n], and receive one of `size` bytes."""

    def halt(self) -> None:
        """Give up transfers under way; nothing more reaches the accelerator."""

    def start(self) -> None:
        """Make transfers possible again."""

    def close(self) -> None:
        """Let go of the device."""


class PynqLink:
    """A Zynq under PYNQ: an overlay with the cells `dma` (AXI DMA, simple mode) and `accelerator`."""

    def __init__(self, bitstream: Path) -> None:
        try:
            import pynq  # noqa: PLC0415 - only on the board
        except ImportError as error:
            raise AcceleratorError(
                "The package pynq is missing: run this on a PYNQ board, or name an XDMA device."
            ) from error
        self._pynq = pynq
        overlay = pynq.Overlay(str(bitstream))
        self._dma, self._registers = overlay.dma, overlay.accelerator
        self._overlay = overlay

    def read(self, address: int) -> int:
        """A 32-bit register."""
        return int(self._registers.read(address))

    def write(self, address: int, value: int) -> None:
        """Write a 32-bit register."""
        self._registers.write(address, value)

    def exchange(self, data: np.ndarray, size: int, timeout: float) -> np.ndarray:
        """Send one packet and receive one; the receiver is ready before anything is sent."""
        source = self._pynq.allocate(shape=(len(data),), dtype=np.uint8)
        sink = self._pynq.allocate(shape=(size,), dtype=np.uint8)
        try:
            source[:] = data
            self._dma.recvchannel.transfer(sink)
            self._dma.sendchannel.transfer(source)
            until = time.monotonic() + timeout
            self._finish(self._dma.sendchannel, until, "sending images")
            self._finish(self._dma.recvchannel, until, "receiving answers")
            received = int(self._dma.recvchannel.transferred)
            if received != size:
                raise AcceleratorError(
                    f"{received} bytes of answers came instead of {size}: is the bitstream this network's?"
                )
            return np.array(sink, dtype=np.uint8)
        finally:
            source.freebuffer()
            sink.freebuffer()

    @staticmethod
    def _finish(channel: Any, until: float, what: str) -> None:
        while not channel.idle:
            if channel.error:
                raise AcceleratorError(f"The DMA reports an error while {what}; load the bitstream again.")
            if time.monotonic() > until:
                raise AcceleratorError(
                    f"Timeout while {what}: the accelerator does not go on. It was reset; try again."
                )
        channel.wait()  # invalidates the caches, and raises on an error

    def halt(self) -> None:
        """Reset the DMA, both channels at once: a channel that is merely stopped would wait for its transfer's end."""
        self._dma.write(_DMA_CONTROL, _DMA_RESET)
        until = time.monotonic() + 1.0
        while self._dma.read(_DMA_CONTROL) & _DMA_RESET:
            if time.monotonic() > until:
                raise AcceleratorError("The DMA does not come out of reset; load the bitstream again.")

    def start(self) -> None:
        """Start both channels."""
        self._dma.sendchannel.start()
        self._dma.recvchannel.start()

    def close(self) -> None:
        """Nothing: the overlay stays loaded."""


class XdmaLink:
    """A PCI Express card with AMD's XDMA core and its Linux driver. device: prefix of its files, such as /dev/xdma0."""

    def __init__(self, device: str) -> None:
        flags = {"user": os.O_RDWR, "h2c_0": os.O_WRONLY, "c2h_0": os.O_RDONLY}
        self._files: dict[str, int] = {}
        try:
            for name, flag in flags.items():
                self._files[name] = os.open(f"{device}_{name}", flag)
        except OSError as error:
            self.close()
            fix = "load the driver (dma_ip_drivers, XDMA/linux-kernel) and rescan the PCI bus after the bitstream."
            raise AcceleratorError(f"{error.filename}: {error.strerror}; {fix}") from error

    def read(self, address: int) -> int:
        """A 32-bit register."""
        return int.from_bytes(os.pread(self._files["user"], 4, address), "little")

    def write(self, address: int, value: int) -> None:
        """Write a 32-bit register."""
        os.pwrite(self._files["user"], value.to_bytes(4, "little"), address)

    def exchange(self, data: np.ndarray, size: int, timeout: float) -> np.ndarray:
        """Send one packet and receive one. The driver has a timeout of its own."""
        failures: list[OSError] = []

        def send() -> None:
            view, done = memoryview(data.tobytes()), 0
            try:
                while done < len(view):
                    done += os.write(self._files["h2c_0"], view[done:])
            except OSError as error:
                failures.append(error)

        # Answers come while images are still sent, so both go on at once.
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        answer = bytearray()
        until = time.monotonic() + timeout
        while len(answer) < size:
            if time.monotonic() > until or failures:
                raise AcceleratorError(f"{len(answer)} of {size} bytes of answers came ({failures or 'timeout'}).")
            received = self._receive(size - len(answer))
            if not received:
                raise AcceleratorError(f"The card ended its answers after {len(answer)} of {size} bytes.")
            answer += received
        sender.join(max(0.0, until - time.monotonic()))
        return np.frombuffer(bytes(answer), dtype=np.uint8)

    def _receive(self, size: int) -> bytes:
        try:
            return os.read(self._files["c2h_0"], size)
        except OSError as error:
            raise AcceleratorError(f"No answers from the card: {error.strerror}.") from error

    def halt(self) -> None:
        """Nothing: the Linux driver gives a transfer up by itself. Words that the core holds by then still come."""

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Close the device files."""
        for handle in self._files.values():
            os.close(handle)
        self._files = {}
