"""The base of all topologies: parameters, and a function from the number of nodes to a graph or a sequence of graphs.

A graph determines which nodes communicate, a rule (`hpcopt.topology.weights`) the weight of each neighbour's vector;
both together give a mixing matrix (`hpcopt.topology.build`). Nothing here depends on a cluster.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.annotations import named
from hpcopt.arrays import Pairs
from hpcopt.errors import InputError
from hpcopt.registry import Registry, nearest

UNDIRECTED_RULES = ("metropolis", "max-degree", "laplacian")
RULES = ("auto", *UNDIRECTED_RULES, "uniform", "authors", "file")


@dataclass(frozen=True, eq=False)
class Layout:
    """Where nodes are drawn.

    Parameters
    ----------
    positions
        Shape (n, 2), x and y.
    box
        Width and height of a periodic plane, as for a torus; None for an ordinary plane.
    """

    positions: NDArray[np.float64]
    box: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """The edges between nodes.

    Parameters
    ----------
    n
        Number of nodes, named 0 to n - 1.
    pairs
        Shape (edges, 2). Undirected: each edge once, in any order. Directed: (sender, receiver).
    directed
        Whether a pair is one way only.
    weights
        Shape (edges,), if a file gives them; else None.
    layout
        Where the nodes are drawn; None for a spring layout.
    """

    n: int
    pairs: Pairs
    directed: bool = False
    weights: NDArray[np.float64] | None = None
    layout: Layout | None = None

    def arcs(self) -> tuple[Pairs, Pairs]:
        """Return senders and receivers, each of shape (messages,): an undirected edge is two messages."""
        first, second = self.pairs[:, 0], self.pairs[:, 1]
        if self.directed:
            return first, second
        return np.concatenate([first, second]), np.concatenate([second, first])


@dataclass(frozen=True, kw_only=True)
class Topology(abc.ABC):
    """Base of all topologies; subclasses are frozen keyword-only dataclasses, registered with `register`.

    Parameters
    ----------
    weights
        The rule of the mixing matrix. With d_i the number of neighbours of node i, d the largest of these, and L the
        graph's Laplacian, the weight w_ij that i gives to j's value is

        - "auto": the file's weights if it has any; on directed graphs as "uniform"; else as "metropolis"
        - "metropolis": 1 / (1 + max(d_i, d_j))
        - "max-degree": 1 / (1 + d)
        - "laplacian": 2 / (l_1 + l_{n-1}), from the largest and the smallest nonzero eigenvalue of L: the best constant
        - "uniform": 1 / (1 + d_i), with d_i the number of nodes that i receives from; also for directed graphs
        - "authors": DeLi-CoCo's (ring 1/3, torus 1/5, complete 1/n), there equal to "uniform"
        - "file": as given in the file

        and w_ii is the remainder to one. Not every topology accepts every rule.

    Class attributes
    ----------------
    rules
        The rules that it supports.
    paper
        The publication that describes it, if there is one.

    Raises
    ------
    InputError
        For a rule that it does not support.
    """

    name: ClassVar[str]
    rules: ClassVar[tuple[str, ...]] = ("auto", *UNDIRECTED_RULES, "uniform")
    paper: ClassVar[str | None] = None

    weights: Annotated[str, named(RULES)] = "auto"

    def __post_init__(self) -> None:
        if self.weights not in self.rules:
            known = ", ".join(f'"{rule}"' for rule in self.rules)
            guess = nearest(self.weights, self.rules)
            raise InputError(f'weights: expected one of {known} for {self.name}, got "{self.weights}"{guess}')
        if self.one_way() and self.weights in UNDIRECTED_RULES:
            raise InputError(
                f'weights: expected "uniform" on a directed graph, got "{self.weights}", '
                "which requires an undirected graph"
            )

    @abc.abstractmethod
    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:
        """Return the graphs of `n` >= 2 nodes, one per gossip step and repeated cyclically; mostly just one.

        Parameters
        ----------
        n
            Number of nodes.
        seed
            The run's seed, for random topologies without a seed of their own.

        Raises
        ------
        InputError
            If this topology cannot have `n` nodes.
        """

    def one_way(self) -> bool:
        """Return whether its edges are directed."""
        return False

    def words(self, n: int) -> str:  # noqa: ARG002
        """Return its name with `n` nodes, for messages and pictures."""
        return self.name


TOPOLOGIES: Registry[type[Topology]] = Registry("topology")
register = TOPOLOGIES.register


def from_networkx(drawn: Any, layout: Layout | None = None) -> Graph:
    """Return an undirected networkx graph of the nodes 0 to n - 1."""
    pairs = np.array(list(drawn.edges), dtype=np.int64).reshape(-1, 2)
    return Graph(len(drawn), pairs, layout=layout)
