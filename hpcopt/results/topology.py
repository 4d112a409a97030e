"""The picture of a topology: its nodes, its edges, and the bytes that each edge carried if they are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Pairs
from hpcopt.results.canvas import COLOURS, GREY, UNITS, entitle, new_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_INCHES = 7.0
_NUMBERED = 300  # up to this many nodes, each shows its number
_ARROWS = 500  # up to this many directed edges, each is drawn as an arrow
_MOST_EDGES = 20_000  # most edges drawn; beyond that, every k-th
_MOST_LINES, _DENSE = 1000, 0.25  # with more edges than this, and this fraction of all pairs, lines hide one another
_STUB = 0.45  # fraction of an edge across the border of a periodic plane that is drawn at each end


@dataclass(frozen=True, eq=False)
class Diagram:
    """The data of a picture.

    Parameters
    ----------
    positions
        Shape (n, 2), where the nodes are.
    pairs
        Shape (edges, 2), nodes 0 to n - 1.
    one_way
        Whether a pair is (sender, receiver).
    box
        Width and height of a periodic plane, as for a torus: an edge across its border is drawn as two stubs. None for
        an ordinary plane.
    sent
        Shape (edges,), bytes that each edge carried: drawn as colour and width.
    """

    positions: Floats
    pairs: Pairs
    one_way: bool = False
    box: tuple[float, float] | None = None
    sent: Floats | None = None


def draw_topology(diagram: Diagram, path: str | Path, title: str) -> None:
    """Draw nodes and edges into the picture `path`; its suffix is the format.

    A dense topology is drawn as its matrix, one square for each edge. Otherwise nodes show their numbers if there are
    at most 300; of more than 20,000 edges only every k-th is drawn, and the title says so.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    every = math.ceil(len(diagram.pairs) / _MOST_EDGES) or 1
    with new_picture(Path(path), _INCHES + (1.2 if diagram.sent is not None else 0.0), _INCHES) as figure:
        axis = figure.subplots()
        if _is_dense(diagram):
            _matrix(figure, axis, diagram)
            drawn = ""
        else:
            axis.set_aspect("equal")
            axis.axis("off")
            _nodes(axis, diagram)
            _edges(figure, axis, diagram, every)
            _frame(axis, diagram)
            drawn = "" if every == 1 else f"\n(one of {every} edges drawn)"
        entitle(figure, f"{title}{drawn}", 10.0)


def _is_dense(diagram: Diagram) -> bool:
    """Return whether edges would hide one another and the nodes."""
    nodes, edges = len(diagram.positions), len(diagram.pairs)
    return edges > _MOST_LINES and edges > _DENSE * nodes * (nodes - 1) / 2


def _matrix(figure: Figure, axis: Axes, diagram: Diagram) -> None:
    """Draw a square for each edge, in the row of one node and the column of the other."""
    nodes = len(diagram.positions)
    weights = np.ones(len(diagram.pairs)) if diagram.sent is None else diagram.sent
    squares = np.full((nodes, nodes), np.nan)
    first, second = diagram.pairs.T
    squares[first, second] = weights
    if not diagram.one_way:
        squares[second, first] = weights
    most = float(weights.max(initial=0.0)) or 1.0
    size, unit = next(((size, unit) for size, unit in UNITS if most >= size), UNITS[-1])
    greys = diagram.sent is None
    image = axis.imshow(
        squares / size, cmap="gray" if greys else "viridis_r", vmin=0.0, vmax=(2.0 if greys else 1.0) * most / size
    )
    axis.set_xlabel("receiving node" if diagram.one_way else "node")
    axis.set_ylabel("sending node" if diagram.one_way else "node")
    if not greys:
        figure.colorbar(image, ax=axis, label=f"{unit} sent over the edge", shrink=0.7)


def _nodes(axis: Axes, diagram: Diagram) -> None:
    n = len(diagram.positions)
    numbered = n <= _NUMBERED
    across = float(np.clip(110.0 / math.sqrt(n), 9.0 if numbered else 2.0, 26.0))  # points
    x, y = diagram.positions.T
    axis.scatter(x, y, s=across**2, color=COLOURS[0], edgecolors="white", linewidths=0.05 * across, zorder=2)
    for node in range(n) if numbered else ():
        digits = len(str(node))
        axis.text(
            x[node],
            y[node],
            str(node),
            ha="center",
            va="center_baseline",
            color="white",
            fontsize=across * (0.5 if digits < 3 else 0.38),
            zorder=3,
        )


def _frame(axis: Axes, diagram: Diagram) -> None:
    """Leave room around the nodes, even for a single node or nodes above each other."""
    low, high = diagram.positions.min(axis=0), diagram.positions.max(axis=0)
    longest = float((high - low).max()) or 1.0
    room = 0.6 if diagram.box else 0.08 * longest  # room for the stubs of a torus
    across, up = np.where(high - low > room, room, 0.5 * longest)
    axis.set_xlim(low[0] - across, high[0] + across)
    axis.set_ylim(low[1] - up, high[1] + up)


def _edges(figure: Figure, axis: Axes, diagram: Diagram, every: int) -> None:
    """Draw the edges below the nodes, with a colour bar if bytes are known."""
    from matplotlib.collections import LineCollection

    pairs = diagram.pairs[::every]
    lines, edge_of = edge_lines(diagram, pairs)
    wide = float(np.clip(60.0 / math.sqrt(len(pairs) + 1.0), 0.3, 1.6))
    if diagram.one_way and len(pairs) <= _ARROWS:
        _heads(axis, lines, 6.0 + 6.0 * wide)
    if diagram.sent is None:
        pale = float(np.clip(2_000.0 / (len(pairs) + 1.0), 0.08, 1.0))
        axis.add_collection(LineCollection(list(lines), linewidths=wide, colors=GREY, alpha=pale, zorder=1))
        return
    sent = diagram.sent[::every]
    most = float(sent.max(initial=0.0)) or 1.0
    size, unit = next(((size, unit) for size, unit in UNITS if most >= size), UNITS[-1])
    widths = wide * (0.6 + 2.4 * sent / most)
    collection = LineCollection(list(lines), linewidths=widths[edge_of], array=(sent / size)[edge_of], zorder=1)
    collection.set(cmap="viridis_r", clim=(0.0, most / size))
    axis.add_collection(collection)
    figure.colorbar(collection, ax=axis, label=f"{unit} sent over the edge", shrink=0.7)


def edge_lines(diagram: Diagram, pairs: Pairs) -> tuple[Floats, NDArray[np.int64]]:
    """Return the lines to draw, shape (lines, 2, 2), and the edge of each; an edge across a border has two stubs."""
    first, second = diagram.positions[pairs[:, 0]], diagram.positions[pairs[:, 1]]
    edges = np.arange(len(pairs))
    if diagram.box is None:
        return np.stack([first, second], axis=1), edges
    box = np.array(diagram.box)
    step = second - first
    shortest = step - box * np.round(step / box)
    inside = np.all(np.isclose(step, shortest), axis=1)
    across = ~inside
    lines = [
        np.stack([first[inside], second[inside]], axis=1),
        np.stack([first[across], first[across] + _STUB * shortest[across]], axis=1),
        np.stack([second[across] - _STUB * shortest[across], second[across]], axis=1),
    ]
    return np.concatenate(lines), np.concatenate([edges[inside], edges[across], edges[across]])


def _heads(axis: Axes, lines: Floats, size: float) -> None:
    """Draw an arrowhead shortly before the end of each line."""
    for start, end in lines:
        axis.annotate(
            "",
            xy=start + 0.82 * (end - start),
            xytext=start + 0.7 * (end - start),
            arrowprops={"arrowstyle": "-|>", "color": GREY, "mutation_scale": size, "shrinkA": 0.0, "shrinkB": 0.0},
            zorder=1,
        )
