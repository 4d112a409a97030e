"""The picture of a hub network: hubs on their graph, each with its workers around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.results.canvas import COLOURS, GREY, entitle, explain, new_picture
from hpcopt.results.topology import Diagram, edge_lines
from hpcopt.topology.base import Layout
from hpcopt.topology.hubs import HubNetwork

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_INCHES = (7.0, 11.0)  # of a picture of few nodes, and of one of very many
_FEW, _MANY = 150, 1000
_LARGEST, _SMALLEST = 20.0, 2.0  # points across a worker
_FILLED = 0.62  # part of the distance to the nearest other node that a worker takes
_LARGER = 1.35  # of a hub, and again of one that speaks for a group
_MARK = 10.0  # points across a node in the legend, at most
_LEGIBLE = 10.0  # points across a worker from which nodes show their numbers
_WORKER, _HUB, _TOP = COLOURS[0], COLOURS[1], "#333333"
_LEVELS = (GREY, COLOURS[2], COLOURS[3], COLOURS[5])  # links, from the workers' up; in turn beyond that
_MOST_EDGES = 20_000  # of the graph; beyond that every so-many-th


def draw_hubs(network: HubNetwork, layout: Layout, path: str | Path, title: str) -> None:
    """Draw a hub network into the picture `path`; its suffix is the format.

    Parameters
    ----------
    layout
        Of all nodes, see `lay_out_hubs`.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    grown = np.clip((network.size - _FEW) / (_MANY - _FEW), 0.0, 1.0)
    inches = _INCHES[0] + grown * (_INCHES[1] - _INCHES[0])
    with new_picture(Path(path), inches, inches) as figure:
        axis = figure.subplots()
        axis.set_aspect("equal")
        axis.axis("off")
        across = _frame(axis, network, layout, inches)
        lines = _links(axis, network, layout, across)
        marks = _nodes(axis, network, layout.positions, across)
        entitle(figure, title, 11.0)
        explain(figure, [*marks.values(), *lines.values()], [*marks, *lines])


def _frame(axis: Axes, network: HubNetwork, layout: Layout, inches: float) -> float:
    """Set the limits of the axes; return how many points a worker is across."""
    from scipy.spatial import cKDTree

    positions = layout.positions
    low, high = positions.min(axis=0), positions.max(axis=0)
    half = 0.5 * float((high - low).max()) * 1.08 + (0.3 if layout.box else 0.0) or 1.0
    middle = 0.5 * (low + high)
    wide = np.maximum(0.5 * (high - low) + 0.08 * half + (0.3 if layout.box else 0.0), 0.3 * half)
    axis.set_xlim(middle[0] - wide[0], middle[0] + wide[0])
    axis.set_ylim(middle[1] - wide[1], middle[1] + wide[1])
    if network.size == 1:
        return _LARGEST
    distances, _ = cKDTree(positions).query(positions, k=2)
    points = 72.0 * inches / (2.0 * half)
    return float(np.clip(_FILLED * float(distances[:, 1].min()) * points, _SMALLEST, _LARGEST))


def _links(axis: Axes, network: HubNetwork, layout: Layout, across: float) -> dict[str, Artist]:
    """Draw the links of each level; return a line of each kind by its name."""
    from matplotlib.collections import LineCollection

    width = float(np.clip(0.12 * across, 0.4, 1.6))
    kinds: dict[str, Artist] = {}
    for level, (name, count) in enumerate(zip(network.link_classes, network.links, strict=True)):
        if not count:
            continue
        top = level == len(network.levels)
        lines = _edges(network, layout) if top else _spokes(network, layout, level)
        colour = _TOP if top else _LEVELS[level % len(_LEVELS)]
        pale = 0.6 if level == 0 else float(np.clip(600.0 / len(lines), 0.1, 1.0))
        collection = LineCollection(
            list(lines),
            linewidths=width * (1.0 if level == 0 else 1.8),
            colors=colour,
            alpha=pale,
            zorder=1 + 0.1 * top,
        )
        axis.add_collection(collection)
        kinds[f"{name} link"] = collection
    return kinds


def _spokes(network: HubNetwork, layout: Layout, level: int) -> NDArray[np.float64]:
    """Return the lines from the first node of each group of a level to its others, shape (lines, 2, 2)."""
    pairs = np.array([(group[0], other) for group in network.levels[level] for other in group[1:]])
    lines: NDArray[np.float64] = layout.positions[pairs]
    return lines


def _edges(network: HubNetwork, layout: Layout) -> NDArray[np.float64]:
    """Return the lines of the graph's edges, shape (lines, 2, 2); two stubs across the border of a closed plane."""
    top = np.array(network.top)
    every = -(-len(network.graph.pairs) // _MOST_EDGES)
    diagram = Diagram(layout.positions[top], network.graph.pairs, box=layout.box)
    return edge_lines(diagram, diagram.pairs[::every])[0]


def _nodes(axis: Axes, network: HubNetwork, positions: NDArray[np.float64], across: float) -> dict[str, Artist]:
    """Draw the nodes; return a mark of each kind by its name."""
    hubs = np.array(network.hubs)
    speakers = np.array(network.top if len(network.levels) > 1 else ())
    others = np.setdiff1d(hubs, speakers)
    workers = np.setdiff1d(np.arange(network.size), hubs)
    hub = "hub" if network.placement == "dedicated" else "hub and worker"
    kinds: tuple[tuple[str, NDArray[Any], dict[str, Any], float], ...] = (
        ("worker", workers, {"marker": "o", "color": _WORKER}, 1.0),
        (hub, others, {"marker": "s", "color": _HUB}, _LARGER),
        (f"{hub} on the graph", speakers, {"marker": "D", "color": _TOP}, _LARGER),
    )
    from matplotlib.lines import Line2D

    marks: dict[str, Artist] = {}
    for name, ranks, style, larger in kinds:
        if len(ranks):
            x, y = positions[ranks.astype(int)].T
            size = larger * across
            axis.scatter(x, y, s=size**2, edgecolors="white", linewidths=0.05 * across, zorder=3, **style)
            marks[name] = Line2D([], [], linestyle="", markersize=min(size, _MARK), **style)
    for rank in range(network.size) if across >= _LEGIBLE else ():
        _number(axis, rank, positions[rank], across)
    return marks


def _number(axis: Axes, rank: int, place: NDArray[np.float64], across: float) -> None:
    text = str(rank)
    size = across * (0.55 if len(text) < 3 else 0.42)
    axis.text(place[0], place[1], text, ha="center", va="center_baseline", color="white", fontsize=size, zorder=4)
