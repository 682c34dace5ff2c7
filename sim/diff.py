"""`diff`: the first layer, pixel and channel in which two levels differ."""

from pathlib import Path
from typing import Any

import numpy as np

from flipflow.config import Config
from flipflow.errors import FlipflowError
from flipflow.sim.images import read_images, test_images
from flipflow.sim.infer import level_name
from flipflow.sim.levels import Network
from flipflow.sim.reporter import Reporter
from flipflow.sim.taps import layer_names, taps


def diff(
    config: Config, run_dir: Path, levels: tuple[str, str], source: Path | None, samples: int, reporter: Reporter
) -> dict[str, Any]:
    """Compare two levels layer by layer on a few images.

    Returns {"levels", "images", "equal", "first": null | {"layer", "image", "row", "column", "channel", "values",
    "differing", "elements"}}; row and column are null for vectors.
    """
    first_level, second_level = level_name(levels[0]), level_name(levels[1])
    for level in (first_level, second_level):
        if level in {"netlist", "hls"}:
            what, fix = "has no layers that can be looked into.", "Compare `rtl`; `flipflow prove` compares kernels."
            raise FlipflowError("E421", what, f"level {level}", fix)
    network = Network(run_dir)
    if source is None:
        images = test_images(config, network.canonical, samples)
    else:
        images = read_images(source, network.canonical, config).first(samples)
    values = network.canonical.accept(images.values)
    reporter.progress("diff", 0, 2, first_level)
    one = taps(network, first_level, values)
    reporter.progress("diff", 1, 2, second_level)
    other = taps(network, second_level, values)
    reporter.progress("diff", 2, 2, "")
    found = first_difference(one, other, layer_names(network))
    result = {"levels": [first_level, second_level], "images": len(values), "equal": found is None, "first": found}
    reporter.message(_sentence(result))
    return result


def first_difference(one: list[np.ndarray], other: list[np.ndarray], names: list[str]) -> dict[str, Any] | None:
    """Where two lists of taps differ first: layer by layer, and in it image, row, column, channel."""
    for name, first, second in zip(names, one, other, strict=True):
        a, b = _alike(first, second)
        places = np.argwhere(a != b)
        if not len(places):
            continue
        place = [int(index) for index in places[0]]
        row, column = (place[1], place[2]) if a.ndim == 4 else (None, None)
        return {
            "layer": name,
            "image": place[0],
            "row": row,
            "column": column,
            "channel": place[-1],
            "values": [int(a[tuple(place)]), int(b[tuple(place)])],
            "differing": len(places),
            "elements": int(a.size),
        }
    return None


def _alike(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as vectors where one level flattens a map before it is tapped."""
    if a.shape == b.shape:
        return a, b
    return a.reshape(len(a), -1), b.reshape(len(b), -1)


def _sentence(result: dict[str, Any]) -> str:
    one, other = result["levels"]
    first = result["first"]
    if first is None:
        return f"{one} and {other} are equal in every layer on {result['images']} images"
    pixel = "" if first["row"] is None else f", pixel (row {first['row']}, column {first['column']})"
    return (
        f"{one} and {other} first differ at the {first['layer']}: image {first['image']}{pixel}, channel {first['channel']}: "
        f"{first['values'][0]} against {first['values'][1]} ({first['differing']} of {first['elements']} values differ)"
    )
