"""Our own engine as a contender, and the exactness check that comes before any timing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flipflow.cpu.bench.peers import Contender, contender
from flipflow.cpu.compile import write_plan
from flipflow.cpu.engine import Engine
from flipflow.cpu.isa import available_isas, core, runnable
from flipflow.errors import Exit, FlipflowError
from flipflow.export.integer.net import Add, IntegerNet, Threshold
from flipflow.sim import reference


@dataclass(frozen=True)
class LayerTime:
    """One operator of a plan, as timed by the engine. macs: products of a convolution, 0 elsewhere."""

    name: str
    kernel: str
    ms: float
    macs: int
    fallback: bool


def choose_isas(wanted: Sequence[str]) -> list[str]:
    """The instruction sets to time, fastest first: those asked for, or all that this processor has.

    The portable code is left out unless it is asked for, or there is nothing else.
    Raises: FlipflowError E550 where one is unknown or not available here, E556 where the compiled part is missing.
    """
    available = available_isas()
    names = {runnable(name) for name in wanted} or set(available) - {"scalar"} or {"scalar"}
    return [name for name in available if name in names]


def random_images(net: IntegerNet, count: int, seed: int = 0) -> np.ndarray:
    """int16 images [N, H, W, C] or [N, K] over the whole range of the net's input."""
    random = np.random.default_rng(seed)
    shape = (count, *net.input_shape)
    if net.input.bipolar:
        return (random.integers(0, 2, shape) * 2 - 1).astype(np.int16)
    return random.integers(net.input.minimum, net.input.maximum + 1, shape).astype(np.int16)


def require_exact(net: IntegerNet, engines: dict[str, Engine], images: np.ndarray) -> dict[str, Any]:
    """Demand the NumPy reference's logits of every engine (by instruction set); says what was compared.

    Raises: FlipflowError E572 naming the first difference.
    """
    expected = reference.run(net, images)
    for isa, engine in engines.items():
        found = engine(images)
        if not np.array_equal(found, expected):
            image, index = (int(i) for i in np.argwhere(found != expected)[0])
            raise FlipflowError(
                "E572",
                f"logit {index} of image {image} is {found[image, index]}, and the reference gives "
                f"{expected[image, index]}; nothing was timed.",
                f"cpu:{isa}",
                "Report this as a bug, with integer.json and integer.npz.",
                Exit.CHECK_FAILED,
            )
    return {"images": len(images), "isas": list(engines)}


def our_contender(net: IntegerNet, plan: Path, isa: str, threads: int, image: np.ndarray) -> tuple[Contender, Engine]:
    """The engine on a plan file. image: one, with the batch axis."""
    made: list[Engine] = []
    compact = _compact(net, image)

    def load() -> Callable[[], np.ndarray]:
        made.append(Engine(plan, isa=isa, threads=threads))
        return lambda: made[0](compact)

    found = contender("flipflow", isa, threads, plan.stat().st_size, load, lambda: _details(net, made[0], image))
    return found, made[0]


def _compact(net: IntegerNet, images: np.ndarray) -> np.ndarray:
    """Images in the type that the engine takes as it is, as a camera or a decoder gives them."""
    low, high = net.input.minimum, net.input.maximum
    kinds = (np.uint8, np.int8, np.int16)
    return images.astype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))


def _details(net: IntegerNet, engine: Engine, image: np.ndarray) -> dict[str, Any]:
    """Memory in bytes and what runs slower than it could."""
    described = engine.describe()
    beyond = sum(size for part, size in described.bytes.items() if part != "plan")
    return {
        "memory": described.bytes,
        "beyond_plan_bytes": beyond,
        "largest_map_bytes": largest_map_bytes(net, image),
        "fallbacks": list(described.fallbacks),
    }


def largest_map_bytes(net: IntegerNet, image: np.ndarray) -> int:
    """Size of the largest map between two layers of an integer net, at the width of its type; sums are not stored."""
    sizes = [int(np.prod(net.input_shape)) * net.input.bits]
    for operator, value in reference.layers(net, image[:1]):
        if isinstance(operator, Threshold | Add):
            sizes.append(value.size * operator.output.bits)
    return -(-max(sizes) // 8)


def layer_times(engine: Engine, images: np.ndarray, calls: int) -> list[LayerTime]:
    """Each operator's time: median over `calls` inferences, after one that does not count."""
    engine.profile(images)
    rows = engine.profile(images, calls)
    return [
        LayerTime(row["name"], row["kernel"], row["nanoseconds"] * 1e-6, row["macs"], operator.fallback)
        for row, operator in zip(rows, engine.describe().operators, strict=True)
    ]


def save_plan(net: IntegerNet, folder: Path, isa: str) -> Path:
    """The plan of a net in the layouts of an instruction set."""
    path = folder / f"{isa}.plan"
    write_plan(net, path, isa)
    return path


def clock_ghz() -> float:
    """Clock of this core now, by a chain of dependent additions."""
    return float(core().clock_ghz())


def limit(isa: str, rounds: int) -> float:
    """Run the vector operations of an instruction set's inner loop on registers alone; returns the binary MAC done."""
    return float(core().limit(isa, rounds))
