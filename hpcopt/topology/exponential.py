"""Exponential graphs: neighbours at distances 1, 2, 4, ..., so that log2(n) steps reach all nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.topology.base import Graph, Topology, register
from hpcopt.topology.layout import circle

_PAPER = "Ying et al., Exponential graph is provably efficient for decentralized deep training, NeurIPS 2021"


def _distances(n: int) -> list[int]:
    """Return 1, 2, 4, ... below `n`."""
    return [1 << k for k in range((n - 1).bit_length())]


def _hops(n: int, distance: int) -> NDArray[np.int64]:
    """Return the pairs (i, i + distance modulo n), shape (n, 2)."""
    senders = np.arange(n)
    return np.column_stack([senders, (senders + distance) % n])


@register("exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Topology):
    """Neighbours at distances 1, 2, 4, ... on a ring: degree about 2 log2(n), spectral gap O(1/log n).

    Parameters
    ----------
    directed
        Whether a node only sends forwards, as in Ying et al. (2021), with half as many messages; many solvers require
        symmetric weights and thus the undirected graph.
    """

    paper = _PAPER

    directed: bool = False

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        pairs = np.concatenate([_hops(n, distance) for distance in _distances(n)])
        if not self.directed:
            pairs = np.unique(np.sort(pairs, axis=1), axis=0)  # i + n/2 and i - n/2 are the same neighbour
        return (Graph(n, pairs, directed=self.directed, layout=circle(n)),)

    def one_way(self) -> bool:
        return self.directed


@register("one-peer-exponential")
@dataclass(frozen=True, kw_only=True)
class OnePeerExponential(Topology):
    """One neighbour per step, at distances 1, 2, 4, ... in turn: exact average after log2(n) steps if n = 2^k.

    Directed and time-varying, weights 1/2, each matrix doubly stochastic.
    """

    rules = ("auto", "uniform")
    paper = _PAPER

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        return tuple(Graph(n, _hops(n, distance), directed=True, layout=circle(n)) for distance in _distances(n))

    def one_way(self) -> bool:
        return True
