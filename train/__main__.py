"""Training in several processes, on one machine or many, under torchrun:

    torchrun --nproc-per-node 4 -m flipflow.train CONFIG --out RUN [--set section.key=value ...]
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m flipflow.train CONFIG --out RUN

RUN is written by process 0; the other machines need the data (and train.init, train.teacher), and no access to RUN.
`flipflow train CONFIG --out RUN` or `flipflow run CONFIG --out RUN` afterwards goes on from the checkpoint, as does the same
command with another number of processes. Without torchrun it trains in this process alone.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from flipflow.cli.console import ConsoleReporter, show_error
from flipflow.config import Config, load_config, save_config
from flipflow.errors import FlipflowError
from flipflow.run.files import locked
from flipflow.train.distributed import Processes, joined
from flipflow.train.loop import train
from flipflow.train.progress import ProgressEvent


def main() -> None:
    """Entry point: trains, prints the accuracies (process 0), and exits with the code of a coded error."""
    parser = argparse.ArgumentParser(prog="python -m flipflow.train", description="Train in the processes of torchrun.")
    parser.add_argument("config", type=Path, help="TOML file of the network")
    parser.add_argument("--out", type=Path, help="run directory; runs/<name of the file> by default")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a key")
    options = parser.parse_args()
    try:
        config = load_config(options.config, tuple(options.set))
        with joined(config.train.device) as processes:
            _train(config, options.out or Path("runs") / options.config.stem, processes)
    except FlipflowError as error:
        show_error(error)
        sys.exit(int(error.exit_code))


def _train(config: Config, run_dir: Path, processes: Processes) -> None:
    if config.model is None or config.data is None:
        raise FlipflowError("E110", "it takes its model from a file.", "[export] model", "Nothing to train.")
    with ExitStack() as stack:
        reporter = stack.enter_context(ConsoleReporter(quiet=not processes.first))
        if processes.first:
            stack.enter_context(locked(run_dir))
            save_config(config, run_dir / "config.toml")

        def show(event: ProgressEvent) -> None:
            done = event.epoch + (event.step / event.steps if event.steps else 0.0)
            accuracy = "" if event.val_accuracy is None else f", validation {event.val_accuracy:.2%}"
            reporter.progress("train", done, event.epochs, f"loss {event.loss:.3f}{accuracy}")

        result = train(config.model, config.data, config.train, config.ovsw, run_dir, show)
        reporter.message(
            f"trained {result.epochs} epochs in {processes.size} processes; best epoch {result.best_epoch}: "
            f"validation {result.val_accuracy:.2%}, test {result.test_accuracy:.2%}"
        )


if __name__ == "__main__":
    main()
