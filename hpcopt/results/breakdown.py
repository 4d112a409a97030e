"""The picture of where the nodes' time went: one stacked bar a node, or a band over very many nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcopt.results.canvas import COLOURS, entitle, explain, new_picture, plain, shortened
from hpcopt.results.operations import OperationTable, Times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

PARTS = {
    "compute": ("computing", COLOURS[0]),
    "exchange": ("exchanging", COLOURS[2]),
    "wait": ("waiting for others", COLOURS[7]),
    "other": ("other", "#BBBBBB"),
    "monitoring": ("monitoring (wall clock, on top)", COLOURS[3]),
}
"""The parts of a bar from below: what the legend calls them, and their colours."""
BARS = 64  # most nodes that have a bar each
STEPS = 256  # of a band over more nodes
_COLUMNS = 3  # of panels
_ALIKE = 12.0  # runs whose longest clocks differ by less share their axis
_UNITS = ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds"))
_LEAST = 5e-4  # smallest share of a part that is drawn
_TITLE = 60  # characters of a run's name


def stacked(times: Times) -> dict[str, NDArray[np.float64]]:
    """Return the parts of the bars of one run, shape (bars,) each.

    Of up to `BARS` nodes, each has a bar, in their order. Of more, the nodes are sorted by their computing, and a bar
    is the mean of neighbours in that order.
    """
    parts: dict[str, NDArray[np.float64]] = {name: getattr(times, name) for name in PARTS}
    nodes = len(times.compute)
    if nodes <= BARS:
        return parts
    order = np.argsort(times.compute, kind="stable")
    starts = np.linspace(0, nodes, min(nodes, STEPS), endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, nodes))
    return {name: np.add.reduceat(values[order], starts) / sizes for name, values in parts.items()}


def draw_breakdown(tables: Mapping[str, OperationTable], path: Path, title: str) -> None:
    """Draw the picture, with a panel for each run; the suffix is the format.

    Parameters
    ----------
    tables
        The name of each run, at least one, and its operations.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    times = {name: table.times() for name, table in tables.items()}
    parts = [name for name in PARTS if any(_is_seen(getattr(one, name), one) for one in times.values())]
    highest = {name: float((one.clock + one.monitoring).max()) for name, one in times.items()}
    together = max(highest.values()) <= _ALIKE * min(highest.values())
    columns = min(len(tables), _COLUMNS)
    rows = -(-len(tables) // columns)
    with new_picture(path, max(6.0, 4.4 * columns), 3.2 * rows + 0.2) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=together).reshape(-1)
        for panel, (name, one) in zip(panels, times.items(), strict=False):
            unit = _panel(panel, one, parts, max(highest.values()) if together else highest[name])
            panel.set_title(plain(shortened(name, _TITLE)), fontsize="medium")
            if not together or panel in panels[::columns]:
                panel.set_ylabel(unit)
        for panel in panels[len(tables) :]:
            panel.set_visible(False)
        known = all(table.knows_waiting for table in tables.values())
        explain(figure, _handles(parts), [_words(name, known=known) for name in parts])
        entitle(figure, title)


def _is_seen(part: NDArray[np.float64], times: Times) -> bool:
    return float(part.sum()) > _LEAST * float((times.clock + times.monitoring).sum())


def _panel(axis: Axes, times: Times, parts: list[str], most: float) -> str:
    """Draw the bars of one run up to `most` seconds; return the unit of the axis."""
    from matplotlib.ticker import MaxNLocator

    size, unit = _unit(most)
    bars = stacked(times)
    nodes, count = len(times.compute), len(bars["compute"])
    edges = np.arange(count + 1) - 0.5 if nodes <= BARS else np.linspace(0.0, 100.0, count + 1)
    below = np.zeros(count)
    for name in parts:
        above = below + bars[name] / size
        if nodes <= BARS:
            axis.bar(np.arange(count), above - below, bottom=below, width=0.9, color=PARTS[name][1])
        else:
            axis.stairs(above, edges, baseline=below, fill=True, color=PARTS[name][1])
        below = above
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0.0, 1.02 * most / size if most else 1.0)
    axis.set_xlabel("node" if nodes <= BARS else f"% of the {nodes:,d} nodes, those that compute least first")
    axis.spines[["top", "right"]].set_visible(False)
    if nodes <= BARS:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return unit


def _unit(most: float) -> tuple[float, str]:
    return next(((size, unit) for size, unit in _UNITS if most >= size), _UNITS[-1])


def _handles(parts: list[str]) -> list[Patch]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=PARTS[name][1]) for name in parts]


def _words(name: str, *, known: bool) -> str:
    return "exchanging, or waiting for others" if name == "exchange" and not known else PARTS[name][0]
