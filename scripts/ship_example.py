"""Ships a trained, exported and verified run as examples/networks/NAME, for the other stages to use without training.

    python scripts/ship_example.py runs/fashion-cnn [--name NAME]

The folder gets the network (model.qonnx.onnx), its configuration without paths, and manifest.json: the record of the training,
what was verified on how many images, and the network's sha256. `flipflow export examples/networks/NAME` starts a run
from it. Refused are runs that are not verified on all test images, or whose files do not belong
together, and networks of more than 1 MB.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from flipflow.config import load_config, save_config
from flipflow.errors import FlipflowError
from flipflow.results import TRAINING, read_training
from flipflow.run.example import FORMAT, VERSION
from flipflow.run.files import digest, write_json
from flipflow.run.manifest import Manifest
from flipflow.run.stages import CHECKPOINT, QONNX, VERIFY

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "networks"
LARGEST = 1_000_000  # bytes: a repository is no place for large files


def evidence(run: Path) -> dict[str, Any]:
    """manifest.json of the example. Raises: FlipflowError E185 where something is missing or does not belong together."""
    training = read_training(run)
    stages = Manifest(run).stages
    wanted = (("train", CHECKPOINT), ("train", TRAINING), ("export", QONNX), ("verify", VERIFY))
    for stage, name in wanted:
        if stage not in stages or stages[stage].outputs.get(name) != digest(run / name):
            raise _refused(f"{name} is not what the run's stage {stage} wrote.", run)
    if stages["export"].inputs.get(CHECKPOINT) != digest(run / CHECKPOINT):
        raise _refused("the network was exported from another checkpoint.", run)
    if stages["verify"].inputs.get(QONNX) != digest(run / QONNX):
        raise _refused("another network was verified.", run)
    verified = json.loads((run / VERIFY).read_text(encoding="utf-8"))
    if any(level["mismatches"] for level in verified["levels"]):
        raise _refused("its levels differ.", run)
    if verified["accuracy"] is None or 100.0 * verified["accuracy"] != training["accuracy"]:
        what = f"accuracy is {training['accuracy']} % after training and {verified['accuracy']} (a share) as verified."
        raise _refused(what, run)
    levels = {level["level"]: level["samples"] for level in verified["levels"]}
    return {"format": FORMAT, "version": VERSION, "model_sha256": digest(run / QONNX),
            "accuracy": training["accuracy"], "verified_images": levels, "training": training}  # fmt: skip


def _refused(what: str, run: Path) -> FlipflowError:
    return FlipflowError("E185", what, str(run), "Run `flipflow run CONFIG --set verify.samples=0` to its end.")


def ship(run: Path, name: str, examples: Path) -> Path:
    """Write examples/NAME. Raises: FlipflowError E185."""
    manifest = evidence(run)
    if (run / QONNX).stat().st_size > LARGEST:
        raise _refused(f"{QONNX} is larger than {LARGEST:,} bytes.", run)
    target = examples / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copyfile(run / QONNX, target / QONNX)
    config = load_config(run / "config.toml", drop=("data.path", "train.init", "train.teacher"))
    save_config(config, target / "config.toml")
    write_json(target / "manifest.json", manifest)
    return target


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Ships a verified run as an example.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", help="folder below examples/networks; the run's name by default")
    options = parser.parse_args()
    try:
        target = ship(options.run, options.name or options.run.resolve().name, EXAMPLES)
    except FlipflowError as error:
        sys.exit(str(error))
    print(f"shipped {target.relative_to(EXAMPLES.parent.parent)}")


if __name__ == "__main__":
    main()
