"""Topologies of a fixed shape: ring, path, star, complete, hypercube."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.errors import InputError
from hpcopt.topology.base import Graph, Layout, Topology, from_networkx, register
from hpcopt.topology.layout import circle


@register("ring")
@dataclass(frozen=True, kw_only=True)
class Ring(Topology):
    """Each node is connected to the previous and the next one: degree 2, spectral gap O(1/n^2)."""

    rules = (*Topology.rules, "authors")

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        import networkx as nx

        return (from_networkx(nx.cycle_graph(n), circle(n)),)


@register("path")
@dataclass(frozen=True, kw_only=True)
class Path(Topology):
    """A ring without one edge: the slowest topology, spectral gap O(1/n^2), a quarter of the ring's."""

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        import networkx as nx

        return (from_networkx(nx.path_graph(n), circle(n, open_part=0.2)),)


@register("star")
@dataclass(frozen=True, kw_only=True)
class Star(Topology):
    """Node 0 is connected to all others: one hub of degree n - 1, spectral gap O(1/n)."""

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        import networkx as nx

        return (from_networkx(nx.star_graph(n - 1), Layout(np.vstack([np.zeros((1, 2)), circle(n - 1).positions]))),)


@register("complete")
@dataclass(frozen=True, kw_only=True)
class Complete(Topology):
    """All nodes are connected: degree n - 1, one step averages exactly with any weight rule."""

    rules = (*Topology.rules, "authors")

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        first, second = np.triu_indices(n, k=1)  # with networkx, 4,000 nodes would take gigabytes
        return (Graph(n, np.column_stack([first, second]), layout=circle(n)),)


@register("hypercube")
@dataclass(frozen=True, kw_only=True)
class Hypercube(Topology):
    """Nodes whose numbers differ in one bit are connected: 2^k nodes of degree k, spectral gap 2 / (k + 1)."""

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        if n & (n - 1):
            below = 1 << (n.bit_length() - 1)
            raise InputError(f"hypercube: expected a power of two nodes ({below} or {2 * below}), got {n}")
        first = np.arange(n)[:, None]
        second = first ^ (1 << np.arange(n.bit_length() - 1))
        pairs = np.column_stack([np.broadcast_to(first, second.shape).ravel(), second.ravel()])
        return (Graph(n, pairs[pairs[:, 0] < pairs[:, 1]]),)
