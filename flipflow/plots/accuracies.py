"""A sweep's accuracies: against each numeric axis (OvSW, Fig. 3), and as bars, one a row. Whiskers: sd of the seeds."""

import json
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flipflow.plots.style import COLOURS, MARKERS, ONE_COLUMN, TWO_COLUMNS, line_style, new_figure, styled, subplots

Row = dict[str, Any]


@dataclass(frozen=True)
class Series:
    """One line: its accuracies (percent, mean and sd, 0 for one seed) at the values x of an axis."""

    label: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]


def numeric_axes(rows: list[Row]) -> list[str]:
    """Keys that take at least two values, all of them numbers."""
    keys = dict.fromkeys(key for row in rows for key in row["axes"])
    return [key for key in keys if len(set(map(json.dumps, values := _values(rows, key)))) > 1 and _numbers(values)]


def _values(rows: list[Row], key: str) -> list[Any]:
    return [row["axes"].get(key) for row in rows]


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def series_along(rows: list[Row], key: str) -> list[Series]:
    """Lines of accuracy against `key`, one for each variant at each value of the other axes."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(_label_without(row, key), []).append(row)
    result = []
    for label, members in lines.items():
        ordered = sorted(members, key=lambda row: float(row["axes"][key]))
        result.append(
            Series(
                label,
                tuple(float(row["axes"][key]) for row in ordered),
                tuple(row["mean"] for row in ordered),
                tuple(row["sd"] or 0.0 for row in ordered),
            )
        )
    return result


def _label_without(row: Row, key: str) -> str:
    """The row's name without the part that says the value of `key`."""
    others = [
        f"{_short(other)}={json.dumps(value).strip(chr(34))}" for other, value in row["axes"].items() if other != key
    ]
    return ", ".join([row["variant"], *others])


def _short(key: str) -> str:
    return key.rpartition(".")[2].rstrip("_")


@styled
def along_axis(document: dict[str, Any], key: str) -> Figure:
    """Accuracy against one key: points with bars of one sd, joined."""
    lines = series_along(document["rows"], key)
    figure = new_figure(ONE_COLUMN if len(lines) < 5 else TWO_COLUMNS / 1.5, 2.9, _title(document))
    (axes,) = subplots(figure, 1, 1)
    for index, line in enumerate(lines):
        axes.errorbar(line.x, line.mean, yerr=line.sd, label=line.label, capsize=2.5, elinewidth=0.9,
                      marker=MARKERS[index % len(MARKERS)], **line_style(index))  # fmt: skip
    _scale(axes, sorted({value for line in lines for value in line.x}))
    axes.set_xlabel(key.rstrip("_"))
    axes.set_ylabel("test accuracy, %")
    if len(lines) > 1:
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _scale(axes: Axes, values: list[float]) -> None:
    """A logarithmic axis where the values span more than a decade; one that begins with 0 is linear up to the first."""
    positive = [value for value in values if value > 0]
    if len(positive) < 2 or positive[-1] < 8 * positive[0]:
        return
    if len(positive) == len(values):
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=positive[0])
    axes.set_xticks(values, [f"{value:g}" for value in values], rotation=45 if len(values) > 6 else 0)
    axes.minorticks_off()


@styled
def bars(document: dict[str, Any]) -> Figure:
    """Accuracy of every row, from a little below the lowest."""
    rows = document["rows"]
    figure = new_figure(ONE_COLUMN, 1.1 + 0.24 * len(rows), _title(document))
    (axes,) = subplots(figure, 1, 1)
    names = [row["method"] for row in rows]
    mean, sd = [row["mean"] for row in rows], [row["sd"] or 0.0 for row in rows]
    shown = axes.barh(names, mean, xerr=sd, color=COLOURS[0], height=0.66, error_kw={"elinewidth": 0.9, "capsize": 2.5})
    axes.bar_label(shown, [f"{value:.2f}" for value in mean], padding=4, fontsize=7)
    low, high = min(m - s for m, s in zip(mean, sd, strict=True)), max(m + s for m, s in zip(mean, sd, strict=True))
    reach = max(high - low, 0.5)
    axes.set_xlim(max(0.0, low - 0.25 * reach), min(high + 0.35 * reach, 100 + 0.2 * reach))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("test accuracy, % (axis cut)")
    return figure


def _title(document: dict[str, Any]) -> str:
    counts = sorted({len(row["seeds"]) for row in document["rows"]})
    seeds = "-".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    spread = f"{seeds} seeds, bars: 1 sd" if counts[-1] > 1 else "1 seed"
    return f"{document['title']}\n{document['data']}; {spread}"
