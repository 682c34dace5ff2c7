"""`flipflow host`: images through the accelerator on a board, compared with the reference."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from flipflow.cli.console import ConsoleReporter
from flipflow.cli.work import config_of
from flipflow.errors import Exit

if TYPE_CHECKING:
    from flipflow.hw.host import Accelerator, Answers
    from flipflow.sim.reporter import Reporter


def host(
    run_dir: Annotated[Path, typer.Argument(help="Run directory that the board's bitstream was made from.")],
    port: Annotated[str, typer.Option("--port", help="Serial port of the board, such as /dev/ttyUSB0.")],
    input_: Annotated[
        Path | None, typer.Option("--input", help="Images as for `infer`; the run's test images by default.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Images to send; 0 for all.")] = 0,
    baud: Annotated[
        int | None, typer.Option(min=1, help="Of the bitstream; by default what the run's bitstream was made with.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.01, help="Seconds without an answer until something is sent again.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Classify images on a board, and demand the integers of the reference."""
    from flipflow.hw.host import Accelerator  # noqa: PLC0415

    with (
        ConsoleReporter(as_json) as reporter,
        Accelerator.open(port, run_dir, baud=baud, timeout=timeout) as fpga,
    ):
        result = _classify(fpga, run_dir, input_, samples, reporter)
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    if result["mismatches"]:
        raise typer.Exit(Exit.CHECK_FAILED)


def _classify(
    fpga: "Accelerator", run_dir: Path, source: Path | None, samples: int, reporter: "Reporter"
) -> dict[str, Any]:
    from flipflow.sim.images import read_images, test_images  # noqa: PLC0415
    from flipflow.sim.levels import Network  # noqa: PLC0415

    config, network = config_of(run_dir, ()), Network(run_dir)
    if source is None:
        images = test_images(config, network.canonical, samples)
    else:
        images = read_images(source, network.canonical, config).first(samples)
    values = network.canonical.accept(images.values)
    start = time.monotonic()
    answers = fpga.infer_integers(
        network.canonical.integers(values), lambda done, total: reporter.progress("on the board", done, total)
    )
    seconds = time.monotonic() - start
    reference = network.run("integer", values)
    wrong = (answers.logits != reference.logits).any(axis=1) | (answers.classes != reference.classes)
    accuracy = None if images.labels is None else float(np.mean(answers.classes == images.labels))
    result = {
        "images": len(values),
        "data": images.name,
        "mismatches": int(wrong.sum()),
        "accuracy": accuracy,
        "class": answers.classes.tolist(),
        "seconds": seconds,
        "clock_mhz": fpga.device.clock_khz / 1000,
        "latency_cycles": sorted({int(cycles) for cycles in answers.latency}),
        **_link(fpga),
    }
    _show(result, answers, reporter)
    return result


def _link(fpga: "Accelerator") -> dict[str, Any]:
    """What happened on the link, as both ends counted it."""
    counters, statistics = fpga.counters(), fpga.statistics
    return {
        "host": {
            **{key: getattr(statistics, key) for key in ("sent", "answered", "resent", "silences", "damaged", "stray")},
            "reported": {fault.name.lower(): count for fault, count in statistics.reported.items()},
        },
        "device": {
            "answers": counters.answers,
            **{fault.name.lower(): count for fault, count in counters.faults.items()},
        },
    }


def _show(result: dict[str, Any], answers: "Answers", reporter: "Reporter") -> None:
    accuracy = "" if result["accuracy"] is None else f", accuracy {result['accuracy']:.2%}"
    rate = result["images"] / max(result["seconds"], 1e-9)
    reporter.message(
        f"{result['images']:,} images of {result['data']}: {result['mismatches']} differ from the reference{accuracy}; "
        f"{rate:,.0f} images/s over the link"
    )
    typical = float(np.median(answers.latency))
    microseconds = typical / result["clock_mhz"]
    reporter.message(f"an image takes {typical:,.0f} cycles, {microseconds:,.1f} us at {result['clock_mhz']:g} MHz")
    reporter.message(f"sent again: {result['host']['resent']}; damaged answers: {result['host']['damaged']}")
