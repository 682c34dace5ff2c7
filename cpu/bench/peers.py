"""What the CPU engine is measured against: onnxruntime in fp32 and int8, and torch in fp32, each on its best setting.

Peers take one float image and run with a fixed number of threads. Making one takes seconds (quantization), so a peer of the
same graph and thread count is made once in a process.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import torch

from flipflow.cpu.bench.float_graph import FloatGraph
from flipflow.cpu.bench.float_onnx import INPUT, to_onnx
from flipflow.cpu.bench.float_torch import GraphModule
from flipflow.cpu.bench.quantize import to_int8

EngineName = Literal["flipflow", "onnxruntime-fp32", "onnxruntime-int8", "torch-fp32"]
PEERS: tuple[EngineName, ...] = ("onnxruntime-fp32", "onnxruntime-int8", "torch-fp32")


@dataclass(frozen=True)
class Contender:
    """Something to time. `call` runs one inference on an image of its own.

    isa: the instruction set, "auto" where a library chooses for itself. file_bytes: what a user would ship. load_ms: from
    the file's bytes to something that can be called; first_ms: the first call. logits: float or integer [classes] of a call.
    details: anything else worth reporting.
    """

    engine: EngineName
    isa: str
    threads: int
    file_bytes: int
    load_ms: float
    first_ms: float
    call: Callable[[], np.ndarray]
    details: dict[str, Any]


def peers(graph: FloatGraph, threads: int) -> list[Contender]:
    """The three peers of a float graph."""
    return [_peer(name, graph, threads) for name in PEERS]


def onnxruntime_session(model: bytes, threads: int, profile: Path | None = None) -> onnxruntime.InferenceSession:
    """A CPU session that uses exactly `threads` threads. profile: where a profile of its operators is to begin, if at all."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=16)
def model_bytes(graph: FloatGraph, int8: bool) -> bytes:
    """The ONNX file of a graph, fp32 or quantized."""
    model = to_onnx(graph)
    if not int8:
        return bytes(model.SerializeToString())
    with tempfile.TemporaryDirectory(prefix="flipflow-int8-") as folder:
        return bytes(to_int8(model, Path(folder)).SerializeToString())


@lru_cache(maxsize=32)
def _peer(name: EngineName, graph: FloatGraph, threads: int) -> Contender:
    image = np.random.default_rng(0).standard_normal((1, *graph.input_shape), np.float32)
    if name == "torch-fp32":
        return _torch_peer(graph, image, threads)
    model = model_bytes(graph, name == "onnxruntime-int8")

    def load() -> Callable[[], np.ndarray]:
        session = onnxruntime_session(model, threads)
        feed = {INPUT: image}
        return lambda: np.asarray(session.run(None, feed)[0][0])

    return contender(name, "auto", threads, len(model), load)


def _torch_peer(graph: FloatGraph, image: np.ndarray, threads: int) -> Contender:
    """Eager, channels last: faster than the default layout, and than a frozen and optimized TorchScript."""
    size = GraphModule(graph).file_bytes()

    def load() -> Callable[[], np.ndarray]:
        module, value = GraphModule(graph).eval(), torch.from_numpy(image)
        if value.ndim == 4:
            value = value.contiguous(memory_format=torch.channels_last)

        def call() -> np.ndarray:
            if torch.get_num_threads() != threads:  # it is one number for the whole process
                torch.set_num_threads(threads)
            with torch.inference_mode():
                return np.asarray(module(value)[0])

        return call

    return contender("torch-fp32", "auto", threads, size, load)


def contender(
    engine: EngineName,
    isa: str,
    threads: int,
    file_bytes: int,
    load: Callable[[], Callable[[], np.ndarray]],
    details: Callable[[], dict[str, Any]] = dict,
) -> Contender:
    """Load and call once, timing both. details: asked for after the first call."""
    started = time.perf_counter()
    call = load()
    loaded = time.perf_counter()
    call()
    done = time.perf_counter()
    times = ((loaded - started) * 1e3, (done - loaded) * 1e3)
    return Contender(engine, isa, threads, file_bytes, *times, call, details())
