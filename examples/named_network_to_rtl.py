"""A network of the papers with random weights, as a QONNX file: to fold, simulate and place before anything is trained.

    python examples/named_network_to_rtl.py cresnet20     writes cresnet20.onnx
    flipflow export cresnet20.onnx --out runs/cresnet20
    flipflow build runs/cresnet20 --cycles 131072
    flipflow verify runs/cresnet20 --samples 5            random images, the same integers at every level

The batch norms have scales of both signs and the statistics of real sums, as training leaves them.
"""

import argparse
import warnings
from pathlib import Path

import onnx

from flipflow.train.random_networks import INPUT_SHAPES, random_network


def write(name: str, seed: int, path: Path) -> None:
    """Export a named network with random weights to a QONNX file."""
    from flipflow.export.torch_export import export_module  # noqa: PLC0415 - slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = export_module(random_network(name, seed), INPUT_SHAPES[name][0])
    onnx.save(exported.model, path)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Writes a network of the papers with random weights as QONNX.")
    parser.add_argument("network", choices=sorted(INPUT_SHAPES))
    parser.add_argument("--out", type=Path, help="file to write; NETWORK.onnx by default")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batch norms")
    options = parser.parse_args()
    path = options.out or Path(f"{options.network}.onnx")
    write(options.network, options.seed, path)
    run = Path("runs") / path.stem
    print(f"wrote {path}; next:")
    for line in (f"export {path} --out {run}", f"build {run} --cycles 131072", f"verify {run} --samples 5"):
        print(f"  flipflow {line}")


if __name__ == "__main__":
    main()
