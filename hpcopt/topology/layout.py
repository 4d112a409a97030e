"""Where the nodes of a graph are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcopt.arrays import Pairs
from hpcopt.topology.base import Graph, Layout, Topology

_ENOUGH = 200  # iterations of the spring layout
_PATIENCE = 30_000  # iterations times nodes, from 500 nodes on: a few seconds; no layout helps such a picture


def circle(n: int, open_part: float = 0.0) -> Layout:
    """Return `n` nodes on the unit circle, clockwise with node 0 at the top, or on an arc that is open at the top."""
    whole = 2.0 * np.pi * (1.0 - open_part)
    steps = np.arange(n) / (n - 1 if open_part and n > 1 else n)
    angles = 0.5 * np.pi - np.pi * open_part - whole * steps
    return Layout(np.column_stack([np.cos(angles), np.sin(angles)]))


def rectangle(rows: int, columns: int, *, closed: bool) -> Layout:
    """Return a node at each point of a lattice, row by row from the top; `closed`: opposite sides are neighbours."""
    places = np.arange(rows * columns)
    positions = np.column_stack([places % columns, -(places // columns)]).astype(np.float64)
    return Layout(positions, (float(columns), float(rows)) if closed else None)


def lay_out(topology: Topology, n: int, seed: int = 0) -> Layout:
    """Return the drawing positions of the nodes of `build(topology, n, seed)`.

    Raises
    ------
    InputError
        As `build` does.
    """
    if n == 1:
        return circle(1)
    return places_of(topology.graphs(n, seed))


def places_of(graphs: Sequence[Graph]) -> Layout:
    """Return where the nodes of graphs that are used in turn are drawn: where these say, or by springs."""
    return graphs[0].layout or _springs(graphs[0].n, np.concatenate([graph.pairs for graph in graphs]))


def _springs(n: int, pairs: Pairs) -> Layout:
    """Return a spring layout: edges attract, nodes repel."""
    import networkx as nx

    drawn = nx.Graph()
    drawn.add_nodes_from(range(n))
    drawn.add_edges_from(pairs.tolist())
    places = nx.spring_layout(drawn, seed=0, iterations=_ENOUGH if n < 500 else _PATIENCE // n + 1)
    return Layout(np.array([places[node] for node in range(n)]))
