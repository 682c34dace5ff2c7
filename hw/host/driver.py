"""The driver of an accelerator on a board: open, check that it is the right one, infer, count."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.host.device import (
    STAMPS,
    Device,
    answer_bytes,
    answers_from_bytes,
    describe,
    image_bytes,
    images_to_bytes,
)
from flipflow.hw.host.link import Link, Statistics
from flipflow.hw.host.network import network_identity
from flipflow.hw.host.port import Port, open_port
from flipflow.hw.host.protocol import DEFAULT_BAUD, Counters, Kind
from flipflow.hw.host.transfer import Progress, Transfer
from flipflow.sim.beats import check_images

_TRIES = 10
_PATIENCE = 0.5  # seconds beyond what line and accelerator need, for the operating system


@dataclass(frozen=True)
class Answers:
    """What the device answered.

    logits: int64 [N, classes]. classes: int64 [N]. latency: int64 [N], clock cycles from an image's first beat into the
    accelerator to its last beat out, modulo 2^32. interval: int64 [N], clock cycles since the answer to the image before, modulo
    2^32; -1 for the first image, and where one of the two had to be sent again.
    """

    logits: NDArray[np.int64]
    classes: NDArray[np.int64]
    latency: NDArray[np.int64]
    interval: NDArray[np.int64]


class Accelerator:
    """An accelerator behind a serial port, as a context manager.

    >>> with Accelerator.open("/dev/ttyUSB0", Path("runs/digits-cnn")) as fpga:  # doctest: +SKIP
    ...     answers = fpga.infer(images)
    """

    def __init__(self, link: Link, device: Device, run_dir: Path) -> None:
        """Use `open`."""
        self._link = link
        self.device = device
        self.run_dir = run_dir

    @classmethod
    def open(
        cls, port: str | Port, run: Path, *, baud: int | None = None, timeout: float | None = None, tries: int = _TRIES
    ) -> "Accelerator":
        """Open the port, and see that the device holds the network and the build of `run`; then reset it.

        port: its name, or an open one. run: a run directory, or its accelerator.json. baud: of the bitstream; by default what
        the run's bitstreams were made with, else 1,000,000. timeout: seconds without an answer after which something is sent
        again; by default what line and accelerator need, and half a second. tries: of each image and request.

        Raises: FlipflowError E383 (port), E384 (no answer), E385 (another network), E386 (another build), E387 (pyserial
        is missing), E389 (no flipflow device), E406 (accelerator.json), E452 (the run lacks a file).
        """
        run_dir = run.parent if run.suffix == ".json" else run
        accel = _read_accelerator(run_dir)
        expected = Device.of(accel, network_identity(run_dir), 0.0)
        rate = baud or recorded_baud(run_dir) or DEFAULT_BAUD
        name = port if isinstance(port, str) else "the port"
        opened = open_port(port, rate) if isinstance(port, str) else port
        link = Link(opened, name, timeout or _default_timeout(accel, expected, rate), tries)
        try:
            device = Device.parse(link.request(Kind.IDENTITY))
            _check(device, expected, run_dir)
            link.request(Kind.RESET)
        except BaseException:
            link.close()
            raise
        return cls(link, device, run_dir)

    def __enter__(self) -> "Accelerator":
        """The accelerator itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the port back."""
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._link.close()

    @property
    def statistics(self) -> Statistics:
        """What happened on the link since it was opened."""
        return self._link.statistics

    def counters(self) -> Counters:
        """What the device has counted since its reset. Raises FlipflowError E384, E389."""
        try:
            return Counters.parse(self._link.request(Kind.COUNTERS))
        except ValueError as error:
            fix = "Make its bitstream again with this flipflow, and load it."
            raise FlipflowError("E389", f"it sends {error}.", "the device", fix) from error

    def reset(self) -> None:
        """Reset the accelerator, the buffers and the counters; what was in flight is gone. Raises FlipflowError E384."""
        self._link.request(Kind.RESET)

    def infer(self, images: NDArray[Any], progress: Progress | None = None) -> Answers:
        """Classify images [N, ...] as `flipflow infer` takes them: channels first, before the network's float preamble.

        Raises: FlipflowError E450 (shape), E200 (model.qonnx.onnx), and those of `infer_integers`.
        """
        from flipflow.export.host import CanonicalModel  # noqa: PLC0415 - onnx only where it is needed

        model = CanonicalModel.load(self.run_dir / "model.qonnx.onnx")
        return self.infer_integers(model.integers(model.accept(np.asarray(images))), progress)

    def infer_integers(self, images: NDArray[Any], progress: Progress | None = None) -> Answers:
        """Classify integer images [N, H, W, C] or [N, K] as the input quantizer gives them, bipolar as -1 and +1.

        progress: called with images done and images in all.
        Raises: FlipflowError E405 (images), E388 (no sound answer), E383 (the port is lost).
        """
        check_images(images, self.device.source)
        payloads = images_to_bytes(images, self.device.source)
        transfer = Transfer(self._link, payloads, answer_bytes(self.device.sink), self.device.slots)
        transfer.run(progress)
        logits, classes = answers_from_bytes(transfer.answers, self.device.sink)
        stamps = transfer.answers[:, -STAMPS.size :].copy().view("<u4").astype(np.int64)
        interval = np.full(len(images), -1, np.int64)
        interval[1:] = np.where(transfer.follows[1:], (stamps[1:, 1] - stamps[:-1, 1]) % 2**32, -1)
        return Answers(logits, classes, (stamps[:, 1] - stamps[:, 0]) % 2**32, interval)


def recorded_baud(run_dir: Path) -> int | None:
    """The baud rate that a run's bitstreams were made with; None where there is none, or more than one."""
    rates = set()
    for path in run_dir.glob("bitstream/*/link.json"):
        try:
            rates.add(int(json.loads(path.read_text())["baud"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not made by this flipflow; the device itself is asked who it is
    return rates.pop() if len(rates) == 1 else None


def _read_accelerator(run_dir: Path) -> dict[str, Any]:
    path = run_dir / "accelerator.json"
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError as error:
        fix = f"Run `flipflow build {run_dir}` first."
        raise FlipflowError("E452", "the run has no accelerator.json.", str(run_dir), fix) from error
    except (OSError, ValueError) as error:
        fix = f"Run `flipflow build {run_dir} --force`."
        raise FlipflowError("E452", f"it is damaged ({error}).", str(path), fix) from error
    if not isinstance(document, dict):
        raise FlipflowError("E452", "it is damaged.", str(path), f"Run `flipflow build {run_dir} --force`.")
    return document


def _default_timeout(accel: dict[str, Any], device: Device, baud: int) -> float:
    """Seconds: every byte escaped, a window of images out, and twice the accelerator's latency at the slowest likely clock."""
    frame = image_bytes(device.source) * 2 * 10 / baud
    predicted = accel.get("predicted")
    cycles = predicted.get("latency", 0) if isinstance(predicted, dict) else 0
    return _PATIENCE + 2 * frame * device.slots + 2 * cycles / 10e6


def _check(device: Device, expected: Device, run_dir: Path) -> None:
    if device.network != expected.network:
        raise FlipflowError(
            "E385",
            f"it holds the network {device.network.hex()[:16]}..., and the run has {expected.network.hex()[:16]}...",
            "the device",
            f"Load the bitstream of {run_dir}, or name the run that the device was made from.",
        )
    if (device.source, device.sink, device.slots) != (expected.source, expected.sink, expected.slots):
        raise FlipflowError(
            "E386",
            f"it takes images of {describe(device.source.shape)}, {device.source.elems_per_beat} elements a beat, and gives "
            f"{device.sink.pe} logits a beat; the run's accelerator.json says {describe(expected.source.shape)}, "
            f"{expected.source.elems_per_beat} and {expected.sink.pe}.",
            "the device",
            f"Load the bitstream of {run_dir} that belongs to its last build.",
        )
