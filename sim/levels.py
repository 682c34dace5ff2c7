"""The levels at which a network can be executed. All give the same integers, or something is wrong.

torch: the trained module. qonnx: the file, in QONNX's float semantics. finn: FINN's streamlined graph. integer: the NumPy
reference. rtl: the generated SystemVerilog in Verilator. netlist: what synthesis makes of it, in FPGA cells. hls: FINN's HLS
layers of the same network, as C++. cpu: the CPU engine, on the best instruction set of this machine; cpu:ISA on one of them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flipflow.config import LevelName, VerifyConfig
from flipflow.errors import FlipflowError
from flipflow.export.host import CanonicalModel
from flipflow.export.integer.net import IntegerNet
from flipflow.sim import reference
from flipflow.sim.reporter import Reporter

if TYPE_CHECKING:
    from flipflow.cpu import Engine

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a level said. logits: int64 [N, classes]; classes: int64 [N]; details: of the simulation, where there was one."""

    logits: np.ndarray
    classes: np.ndarray
    details: Any = None


class Network:
    """A run's network at every level that the run's files allow. Parts are loaded when they are first needed."""

    def __init__(self, run_dir: Path, settings: VerifyConfig | None = None) -> None:
        """settings: for the levels that ask for more than images (netlist's family, hls' libraries); the defaults if None."""
        self.run_dir = run_dir
        self.settings = settings or VerifyConfig()
        self.canonical = CanonicalModel.load(run_dir / "model.qonnx.onnx")
        self.net = IntegerNet.load(run_dir / "integer.json", run_dir / "integer.npz")
        self._engines: dict[str, Engine] = {}

    @property
    def has_torch(self) -> bool:
        """Whether the run trained this network itself."""
        return (self.run_dir / "checkpoint.pt").is_file()

    def run(  # noqa: PLR0911 - a level a return
        self,
        level: LevelName,
        images: np.ndarray,
        progress: Progress | None = None,
        stall: float = 0.0,
        seed: int = 0,
        trace: Path | None = None,
        reporter: Reporter | None = None,
    ) -> Answer:
        """Execute `images` (float32, as CanonicalModel.accept gives them) at one level.

        stall, seed: for rtl and netlist: probability of stalls on both ends, their seed. trace: for rtl: a waveform file.
        reporter: for netlist: shows the synthesis, where there is one to be done.
        Raises: FlipflowError E452 where the level's files are missing, E550 where this machine lacks a cpu level's instruction
        set, and the errors of the level itself.
        """
        if level == "torch":
            return _plain(self._torch(images))
        if level == "qonnx":
            return _plain(self.canonical.logits(images, self.net.logit_scale))
        integers = self.canonical.integers(images)
        if level == "integer":
            return _plain(reference.run(self.net, integers))
        isa = cpu_isa(level)
        if isa is not None:
            return _plain(self.engine(isa)(integers))
        if level == "finn":
            from flipflow.export.finn.execute import execute  # noqa: PLC0415 - FINN only where it is needed

            return _plain(execute(self._need("streamlined.onnx", "export"), integers))
        if level == "hls":
            from flipflow.sim import hls  # noqa: PLC0415

            self._need("folded.onnx", "build")
            paths = self.settings.hlslib, self.settings.ap_types
            found = hls.simulate(self.run_dir, integers, *paths, progress)
            return Answer(found.logits, reference.classify(found.logits), found)
        if level == "netlist":
            return self._netlist(integers, progress, stall, seed, reporter)
        return self._rtl(integers, progress, stall, seed, trace)

    def _torch(self, images: np.ndarray) -> np.ndarray:
        import torch  # noqa: PLC0415

        from flipflow.train.loop import load_model  # noqa: PLC0415

        module = load_model(self._need("checkpoint.pt", "train"))
        outputs, batch = [], self.canonical.batch
        with torch.no_grad():
            for start in range(0, len(images), batch):
                outputs.append(module(torch.from_numpy(images[start : start + batch])).numpy())
        values = np.concatenate(outputs).astype(np.float64) / self._torch_unit()
        whole = np.rint(values)
        if not np.array_equal(values, whole):
            raise FlipflowError("E451", "torch's logits are no integers.", "checkpoint.pt", "Report this as a bug.")
        return whole.astype(np.int64)

    def _torch_unit(self) -> float:
        """Real value of one unit of the integer logits in torch's output: our networks end in a power-of-two scale."""
        one = np.full((1, self.net.classes), self.net.logit_scale, np.float32)
        return float(self.canonical.epilogue(one)[0, 0])

    def _rtl(
        self, integers: np.ndarray, progress: Progress | None, stall: float, seed: int, trace: Path | None
    ) -> Answer:
        from flipflow.sim.accelerator import simulate  # noqa: PLC0415

        result = simulate(
            self.run_dir / "rtl", self.accelerator(), integers, stall=stall, seed=seed, trace=trace, progress=progress
        )
        return Answer(result.logits, result.classes, result)

    def _netlist(
        self, integers: np.ndarray, progress: Progress | None, stall: float, seed: int, reporter: Reporter | None
    ) -> Answer:
        from flipflow.sim.netlist import simulate_netlist  # noqa: PLC0415

        family = self.settings.netlist_family
        done = simulate_netlist(
            self.run_dir, self.accelerator(), integers, family,
            stall=stall, seed=seed, reporter=reporter, progress=progress,
        )  # fmt: skip
        return Answer(done.result.logits, done.result.classes, done.result)

    def engine(self, isa: str) -> "Engine":
        """The CPU engine of this network for an instruction set, or "auto"; compiled once."""
        if isa not in self._engines:
            from flipflow.cpu import Engine  # noqa: PLC0415

            self._engines[isa] = Engine(self.net, isa)
        return self._engines[isa]

    def accelerator(self) -> dict[str, Any]:
        """accelerator.json of the run. Raises: FlipflowError E452 where it is missing or damaged."""
        path = self._need("accelerator.json", "build")
        try:
            document: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            fix = f"Run `flipflow build {self.run_dir} --force`."
            raise FlipflowError("E452", f"it is damaged ({error}).", str(path), fix) from error
        return document

    def _need(self, name: str, stage: str) -> Path:
        path = self.run_dir / name
        if not path.is_file():
            raise FlipflowError(
                "E452", f"the run has no {name}.", str(self.run_dir), f"Run `flipflow {stage} {self.run_dir}` first."
            )
        return path


def cpu_isa(level: str) -> str | None:
    """The instruction set that a level runs on, "auto" for the best one; None where it is no cpu level."""
    name, _, isa = level.partition(":")
    return (isa or "auto") if name == "cpu" else None


def _plain(logits: np.ndarray) -> Answer:
    return Answer(logits, reference.classify(logits))
