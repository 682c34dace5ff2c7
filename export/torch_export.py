"""From our own trained modules to the canonical QONNX file, so that the file gives torch's integers, ties included.

torch and onnxruntime evaluate a batch norm with different roundings. Where that moves a tie across a threshold, the exporter
moves the file's bias by the few units in the last place that restore torch's answer. It finds out by evaluating the trained
modules, too, on every reachable sum.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from brevitas.export import export_qonnx
from brevitas.nn import QuantIdentity
from onnx import numpy_helper
from torch import nn

from flipflow.errors import FlipflowError
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer.chain import Reach, chain_outputs, elements, real_values
from flipflow.export.integer.lower import lower
from flipflow.export.integer.monotone import bisect, keeps_order
from flipflow.export.integer.net import ActType
from flipflow.export.integer.thresholds import CHUNK_ELEMENTS, chunks
from flipflow.export.torch_trace import activation_chains, trace

_MOST_ULPS = 64
_EXPORT_OPSET = 13
_KEEP_ORDER = (nn.BatchNorm1d, nn.BatchNorm2d, nn.Hardtanh, nn.ReLU, nn.Identity, QuantIdentity)


@dataclass(frozen=True)
class TieRepair:
    """A bias that was moved: its node, the channel, and by how many units in the last place of what the norm adds."""

    node: str
    channel: int
    ulps: int


@dataclass(frozen=True)
class Exported:
    """The canonical model and what was done to make its ties those of the trained modules."""

    model: onnx.ModelProto
    repairs: tuple[TieRepair, ...]


def export_module(module: nn.Module, input_shape: tuple[int, ...]) -> Exported:
    """Export a trained network of flipflow.train in eval mode; input_shape: (C, H, W).

    Raises: FlipflowError of the importer's and the lowering's codes; E219 where a tie cannot be restored.
    """
    model = _to_onnx(module, input_shape)
    chains = activation_chains(trace(module, torch.zeros(1, *input_shape)))
    repairer = _TieRepairer(chains)
    lower(model, repairer.observe)
    for initializer in model.graph.initializer:
        if initializer.name in repairer.changed:
            initializer.CopyFrom(numpy_helper.from_array(repairer.changed[initializer.name], initializer.name))
    if repairer.repairs:
        # Two chains may share a norm: what was moved for one must be right for the other.
        again = _TieRepairer(chains)
        lower(model, again.observe)
        if again.repairs:
            raise _lost_again(again.repairs[0])
    return Exported(model, tuple(repairer.repairs))


def _to_onnx(module: nn.Module, input_shape: tuple[int, ...]) -> onnx.ModelProto:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "exported.onnx"
        export_qonnx(
            module, args=torch.zeros(1, *input_shape), export_path=str(path), opset_version=_EXPORT_OPSET, dynamo=False
        )
        source = read_model(path)
    model, problems = canonicalize(source)
    problems.raise_first()
    assert model is not None
    return model


class _TieRepairer:
    """Compares each chain of the file with the trained modules it came from, in order."""

    def __init__(self, chains: list[list[nn.Module]]) -> None:
        self._chains = chains
        self._next = 0
        self.repairs: list[TieRepair] = []
        self.changed: dict[str, np.ndarray] = {}

    def observe(
        self,
        nodes: Sequence[onnx.NodeProto],
        constants: dict[str, np.ndarray],
        reach: Reach,
        output: ActType,
        scale: float,
    ) -> None:
        modules = self._chains[self._next]
        self._next += 1
        repaired_before = len(self.repairs)
        telling = list(_telling_sums(modules, nodes, constants, reach, output, scale))
        for sums in telling:
            wanted = _torch_outputs(modules, real_values(sums, reach), reach.rank, scale)
            self._match(nodes, constants, sums, reach, scale, wanted)
        if len(self.repairs) == repaired_before:
            return
        # A bias moved for one chunk must still be right for the others.
        for sums in telling:
            wanted = _torch_outputs(modules, real_values(sums, reach), reach.rank, scale)
            given, _ = chain_outputs(nodes, constants, sums, reach, scale)
            wrong = np.flatnonzero(np.any(given != wanted, axis=0))
            if wrong.size:
                raise _lost(nodes, int(wrong[0]))

    def _match(
        self,
        nodes: Sequence[onnx.NodeProto],
        constants: dict[str, np.ndarray],
        sums: np.ndarray,
        reach: Reach,
        scale: float,
        wanted: np.ndarray,
    ) -> None:
        given, _ = chain_outputs(nodes, constants, sums, reach, scale)
        wrong = np.any(given != wanted, axis=0)
        if not wrong.any():
            return
        norm = next((node for node in nodes if node.op_type == "BatchNormalization"), None)
        if norm is None:
            raise _lost(nodes, int(np.flatnonzero(wrong)[0]))
        name = norm.input[2]
        original = constants[name].copy()
        unit = _rounding_unit(norm, constants)
        for ulps in (sign * count for count in range(1, _MOST_ULPS + 1) for sign in (1, -1)):
            current = constants[name].copy()
            current[wrong] = (original + ulps * unit)[wrong]
            constants[name] = current
            given, _ = chain_outputs(nodes, constants, sums, reach, scale)
            good = wrong & np.all(given == wanted, axis=0)
            self.repairs.extend(TieRepair(norm.doc_string, int(channel), ulps) for channel in np.flatnonzero(good))
            wrong &= ~good
            if not wrong.any():
                self.changed[name] = constants[name]
                return
        raise _lost(nodes, int(np.flatnonzero(wrong)[0]))


def _telling_sums(
    modules: list[nn.Module],
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    reach: Reach,
    output: ActType,
    scale: float,
) -> Iterator[np.ndarray]:
    """Sums [V] or [V, C] on which modules and nodes must agree to agree on all: every one, or both sides of every step.

    The latter where there are very many, and neither side's rounding can disturb its order.
    """
    ordered = keeps_order(nodes, constants) and all(isinstance(module, _KEEP_ORDER) for module in modules)
    steps = None
    if ordered and elements(reach) > CHUNK_ELEMENTS:
        steps = bisect(lambda sums: _torch_outputs(modules, real_values(sums, reach), reach.rank, scale), reach, output)
    if steps is None:
        yield from chunks(reach)
        return
    levels = steps.levels.T
    both = np.concatenate([reach.low[None], levels - reach.step, levels, reach.high[None]])
    yield np.clip(both, reach.low, reach.high)


def _rounding_unit(norm: onnx.NodeProto, constants: dict[str, np.ndarray]) -> np.ndarray:
    """float32 [C]: the spacing of floats at the size of what a batch norm adds, bias or mean times scale."""
    gamma, beta, mean, variance = (constants[name] for name in norm.input[1:5])
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    size = np.maximum(np.abs(beta), np.abs(mean * gamma / np.sqrt(variance + np.float32(epsilon))))
    unit: np.ndarray = np.spacing(size.astype(np.float32))
    return unit


def _torch_outputs(modules: list[nn.Module], values: np.ndarray, rank: int, scale: float) -> np.ndarray:
    """Integers int64 [V, C] that the trained modules give for float32 [V, C]."""
    tensor = torch.from_numpy(values)
    if rank == 4:
        # The layout of a feature map: values side by side within a channel.
        tensor = tensor.T.contiguous()[None, :, :, None]
    with torch.no_grad():
        for module in modules:
            tensor = module(tensor)
    result = tensor.numpy()[0, :, :, 0].T if rank == 4 else tensor.numpy()
    return np.rint(result.astype(np.float64) / scale).astype(np.int64)


def _lost_again(repair: TieRepair) -> FlipflowError:
    return FlipflowError(
        "E219",
        f"two activations share a batch norm, and no bias of channel {repair.channel} restores the ties of both.",
        f"BatchNormalization node {repair.node!r}",
        "Give each activation a batch norm of its own.",
    )


def _lost(nodes: Sequence[onnx.NodeProto], channel: int) -> FlipflowError:
    return FlipflowError(
        "E219",
        f"channel {channel} gives other integers in torch than in the exported file, and no small bias restores them.",
        f"{nodes[0].op_type} node {nodes[0].doc_string!r}",
        "Report this as a bug, with the checkpoint.",
    )
