"""Random topologies: the same seed gives the same graph; graphs are redrawn until one is connected."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hpcopt.checks import at_least, within
from hpcopt.errors import InputError
from hpcopt.topology.base import Graph, Layout, Topology, from_networkx, register
from hpcopt.topology.connected import apart
from hpcopt.topology.layout import circle

_DRAWS = 100


@dataclass(frozen=True, kw_only=True)
class _Drawn(Topology):
    """A graph from one of networkx's random generators.

    Parameters
    ----------
    seed
        Seed of the first draw, by default the run's; each further draw takes the next number.

    Class attributes
    ----------------
    advice
        How to make a connected graph more likely.
    """

    advice: ClassVar[str]

    seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seed is not None:
            at_least(0, seed=self.seed)

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:
        self.check(n)
        first = seed if self.seed is None else self.seed
        for draw in range(first, first + _DRAWS):
            graph = self.drawn(n, draw)
            if apart([graph]) is None:
                return (graph,)
        raise InputError(f"{self.name}: no connected graph of {n} nodes in {_DRAWS} draws; {self.advice}")

    @abc.abstractmethod
    def check(self, n: int) -> None:
        """Raise an `InputError` for parameters that `n` nodes cannot have."""

    @abc.abstractmethod
    def drawn(self, n: int, seed: int) -> Graph:
        """Return the graph for one seed, connected or not."""


@register("random-regular")
@dataclass(frozen=True, kw_only=True)
class RandomRegular(_Drawn):
    """Random regular graph, `degree` neighbours of each node: an expander, the spectral gap does not depend on n.

    Parameters
    ----------
    degree
        Neighbours of each node; n * degree must be even.
    seed
        Seed of the first draw, by default the run's; each further draw takes the next number.
    """

    advice = "increase degree"
    paper = "Steger and Wormald, Generating random regular graphs quickly, 1999"

    degree: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, degree=self.degree)

    def check(self, n: int) -> None:
        _below(n, degree=self.degree)
        if n * self.degree % 2:
            raise InputError(f"degree: expected an even number for an odd number of nodes ({n}), got {self.degree}")

    def drawn(self, n: int, seed: int) -> Graph:
        import networkx as nx

        return from_networkx(nx.random_regular_graph(self.degree, n, seed=seed))


@register("erdos-renyi")
@dataclass(frozen=True, kw_only=True)
class ErdosRenyi(_Drawn):
    """Each pair of nodes is connected with the same probability: mean degree (n - 1) * probability.

    Parameters
    ----------
    probability
        Probability of an edge; 0: 2 ln(n) / n, twice the connectivity threshold for large n.
    seed
        Seed of the first draw, by default the run's; each further draw takes the next number.
    """

    advice = "increase probability"
    paper = "Erdos and Renyi, On random graphs I, 1959"

    probability: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(0, 1.0, including="both", probability=self.probability)

    def check(self, n: int) -> None:
        """Every number of nodes will do."""

    def drawn(self, n: int, seed: int) -> Graph:
        import networkx as nx

        probability = self.probability or min(1.0, 2.0 * math.log(n) / n)
        return from_networkx(nx.fast_gnp_random_graph(n, probability, seed=seed))


@register("barabasi-albert")
@dataclass(frozen=True, kw_only=True)
class BarabasiAlbert(_Drawn):
    """Preferential attachment: each new node connects to `links` others, preferably of high degree; a few hubs.

    Parameters
    ----------
    links
        Edges of each new node.
    seed
        Seed of the first draw, by default the run's; each further draw takes the next number.
    """

    advice = "increase links"
    paper = "Barabasi and Albert, Emergence of scaling in random networks, Science 1999"

    links: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, links=self.links)

    def check(self, n: int) -> None:
        _below(n, links=self.links)

    def drawn(self, n: int, seed: int) -> Graph:
        import networkx as nx

        return from_networkx(nx.barabasi_albert_graph(n, self.links, seed=seed))


@register("geometric")
@dataclass(frozen=True, kw_only=True)
class Geometric(_Drawn):
    """Random points in the unit square, connected within `radius`: a sensor network.

    Parameters
    ----------
    radius
        Distance up to which nodes are connected; 0: sqrt(2 ln(n) / (pi n)), a mean degree of about 2 ln(n).
    seed
        Seed of the first draw, by default the run's; each further draw takes the next number.
    """

    advice = "increase radius"
    paper = "Penrose, Random Geometric Graphs, 2003"

    radius: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(0, math.sqrt(2.0), including="both", radius=self.radius)

    def check(self, n: int) -> None:
        """Every number of nodes will do."""

    def drawn(self, n: int, seed: int) -> Graph:
        import networkx as nx

        radius = self.radius or math.sqrt(2.0 * math.log(n) / (math.pi * n))
        drawn = nx.random_geometric_graph(n, radius, seed=seed)
        return from_networkx(drawn, Layout(np.array([drawn.nodes[node]["pos"] for node in range(n)])))


@register("small-world")
@dataclass(frozen=True, kw_only=True)
class SmallWorld(_Drawn):
    """Small-world graph: a ring of nearest neighbours with some edges rewired at random.

    Parameters
    ----------
    neighbours
        Number of nearest neighbours on the ring, before rewiring; even.
    rewiring
        Probability that an edge is rewired.
    seed
        Seed of the first draw, by default the run's; each further draw takes the next number.
    """

    advice = "increase neighbours or decrease rewiring"
    paper = "Watts and Strogatz, Collective dynamics of small-world networks, Nature 1998"

    neighbours: int = 4
    rewiring: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, neighbours=self.neighbours)
        within(0, 1.0, including="both", rewiring=self.rewiring)
        if self.neighbours % 2:
            raise InputError(f"neighbours: expected an even number, half on each side, got {self.neighbours}")

    def check(self, n: int) -> None:
        _below(n, neighbours=self.neighbours)

    def drawn(self, n: int, seed: int) -> Graph:
        import networkx as nx

        return from_networkx(nx.watts_strogatz_graph(n, self.neighbours, self.rewiring, seed=seed), circle(n))


def _below(n: int, **values: int) -> None:
    for name, value in values.items():
        if value >= n:
            raise InputError(f"{name}: expected less than the number of nodes, {n}, got {value}")
