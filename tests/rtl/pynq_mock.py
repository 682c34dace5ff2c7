"""pynq's Overlay, DMA and allocate, as far as the driver uses them, with Verilator's model of the accelerator as the device.

The behaviour is that of pynq/lib/dma.py (its _SDMAChannel and DMA classes) and of AXI DMA in simple mode (PG021): a transfer
needs a running, idle channel; the receiving one ends at tlast; the core's reset bit ends all transfers and leaves both channels
stopped.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from axi_device import Device

RESET_BIT = 0x4
ACCESS = 40  # cycles that a register access takes to arrive
MAX_BYTES = (1 << 26) - 1
STEP = 500  # cycles at most that a look at `idle` lets pass


class Buffer(np.ndarray):
    """pynq's ContiguousArray: what the device wrote is seen only after `invalidate`."""

    written: bytes | None = None
    freed = False

    def freebuffer(self) -> None:
        assert not self.freed, "freed twice"
        self.freed = True

    def invalidate(self) -> None:
        if self.written is not None:
            self[: len(self.written)] = np.frombuffer(self.written, np.uint8)


@dataclass
class Channel:
    """One direction of a DMA. stuck: the memory gives only a few words, or takes no results."""

    dma: "Dma"
    sends: bool
    running: bool = True
    error: bool = False
    stuck: bool = False
    transferred: int = 0
    buffer: Buffer | None = None  # of the transfer under way
    received: bytes = b""
    done: bool = False

    def transfer(self, buffer: Buffer) -> None:
        assert self.running, "DMA channel not started"
        assert self.buffer is None or self.done, "DMA channel not idle"
        assert 0 < buffer.nbytes <= MAX_BYTES and not buffer.freed
        self.buffer, self.received, self.done = buffer, b"", False
        if self.sends:
            self.dma.device.queue(buffer.tobytes()[: 5 if self.stuck else None], last=not self.stuck)

    @property
    def idle(self) -> bool:
        if self.buffer is not None and not self.done and not self.error:
            self.dma.step()
        return self.done

    def take(self, data: bytes, last: bool) -> None:
        """A packet ends at tlast, wherever that is, and the channel takes no more."""
        assert self.buffer is not None
        self.received += data
        self.done = last or len(self.received) >= self.buffer.nbytes
        self.buffer.written = self.received
        self.transferred = len(self.received)

    def wait(self) -> None:
        assert self.running and self.idle and self.buffer is not None
        if not self.sends:
            self.buffer.invalidate()

    def start(self) -> None:
        self.running = True

    def halt(self) -> None:
        self.running = self.done = self.error = False
        self.buffer = None


class Dma:
    """overlay.dma."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.sendchannel = Channel(self, sends=True)
        self.recvchannel = Channel(self, sends=False)

    def step(self) -> None:
        """Let some cycles pass, in which both directions go on."""
        sink, source = self.recvchannel, self.sendchannel
        if sink.buffer is not None and not sink.done and not sink.stuck:
            data, last = self.device.collect(1, STEP)
            if last:
                sink.take(data, last[0])
        else:
            self.device.send(STEP)
        if source.buffer is not None and not source.stuck:
            source.done = self.device.send(0) == 0

    def read(self, offset: int) -> int:
        assert offset == 0
        return 0x10002 | int(self.sendchannel.running)  # the reset bit is clear again

    def write(self, offset: int, value: int) -> None:
        assert (offset, value) == (0, RESET_BIT)
        self.device.send(ACCESS)  # words go on flowing until the write arrives
        self.device.drop()
        for channel in (self.sendchannel, self.recvchannel):
            channel.halt()


@dataclass
class Registers:
    """overlay.accelerator, a DefaultIP."""

    device: Device
    spoilt: dict[int, int] = field(default_factory=dict)  # address -> value read instead

    def read(self, offset: int) -> int:
        response, value = self.device.read(offset)
        assert response == 0, f"no register at {offset:#x}"
        return self.spoilt.get(offset, value)

    def write(self, offset: int, value: int) -> None:
        assert self.device.write(offset, value) == 0, f"write of {value:#x} to {offset:#x} refused"


class Pynq:
    """The module: `Overlay` and `allocate`."""

    def __init__(self, device: Device) -> None:
        self.dma, self.accelerator = Dma(device), Registers(device)
        self.buffers: list[Buffer] = []
        self.loaded: list[str] = []

    def Overlay(self, path: str) -> "Pynq":
        assert Path(path).is_file()
        self.loaded.append(path)
        return self

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        buffer = np.full(shape, 0xA5, dtype).view(Buffer)  # as memory is found
        self.buffers.append(buffer)
        return buffer
