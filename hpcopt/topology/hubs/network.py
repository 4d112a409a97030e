"""A hub network: who averages with whom, at which level, with which weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.topology.base import Graph
from hpcopt.topology.hubs.matrix import hub_matrix, rule_of
from hpcopt.topology.mixing import Mixing, four_digits

Level = tuple[tuple[int, ...], ...]
"""Groups of nodes; the first node of each speaks for it."""

Placement = Literal["dedicated", "colocated"]

_LISTED = 4  # sizes named one by one in words
_SHAPES = ("ring", "path", "star", "hypercube", "grid", "torus")  # these are nouns: "on a path"


@dataclass(frozen=True, eq=False)
class HubNetwork:
    """Workers under hubs, hubs under the groups of higher levels, the top level on a graph.

    Parameters
    ----------
    placement
        "dedicated": hubs hold no rows; "colocated": each hub is the first worker of its sub-network.
    levels
        First the sub-networks, each its hub and then its workers; then the groups of hubs, the groups of those who
        speak for these groups, and so on. The paper's two levels are one entry.
    graph
        Of those who speak for the groups of the last level, 0, 1, ... in their order; undirected, connected.
    name
        Of the graph, for messages: "path".
    rule
        How H is made, see `hub_matrix`.
    """

    placement: Placement
    levels: tuple[Level, ...]
    graph: Graph
    name: str
    rule: str

    @cached_property
    def size(self) -> int:
        """Number of nodes."""
        return sum(map(len, self.levels[0]))

    @cached_property
    def hubs(self) -> tuple[int, ...]:
        """The hubs' ranks, in the order of the sub-networks."""
        return tuple(group[0] for group in self.levels[0])

    @cached_property
    def workers(self) -> tuple[int, ...]:
        """The ranks of the nodes that hold rows, ascending."""
        first = 1 if self.placement == "dedicated" else 0
        return tuple(sorted(rank for group in self.levels[0] for rank in group[first:]))

    @cached_property
    def top(self) -> tuple[int, ...]:
        """The ranks of those who mix on the graph, in its order."""
        return tuple(group[0] for group in self.levels[-1])

    @property
    def link_classes(self) -> tuple[str, ...]:
        """The names of the links by level, from the workers to the top graph."""
        middle = (f"level-{level}" for level in range(2, len(self.levels) + 1))
        return ("worker-hub", *middle, "hub-hub")

    @property
    def links(self) -> tuple[int, ...]:
        """The number of links of each of the `link_classes`: from each group's members to its first, and edges."""
        below = (sum(len(group) - 1 for group in level) for level in self.levels)
        return (*below, len(self.graph.pairs))

    @cached_property
    def paths(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the group that it belongs to, or is spoken for in, at each level."""
        path: dict[int, tuple[int, ...]] = {}
        for level in reversed(self.levels):
            above = path
            path = {rank: (place, *above.get(group[0], ())) for place, group in enumerate(level) for rank in group}
        return tuple(path[rank] for rank in range(self.size))

    def level_of(self, a: int, b: int) -> int:
        """Return the level of the link between two nodes: the lowest at which they are in one group.

        The sub-networks are level 0; nodes without a common group meet on the graph, at level `len(levels)`.
        """
        levels = zip(self.paths[a], self.paths[b], strict=True)
        return next((level for level, (mine, other) in enumerate(levels) if mine == other), len(self.levels))

    def weights(self, w: Vector | None = None) -> Vector:
        """Return every node's weight a_i = w_i / sum(w), shape (size,), zero on dedicated hubs.

        Parameters
        ----------
        w
            Shape (workers,), not negative, by rank; None: all equal.

        Raises
        ------
        InputError
            For another number of weights, a negative one, and a sub-network without any weight.
        """
        holders = np.array(self.workers)
        given: Vector = np.ones(len(holders)) if w is None else np.asarray(w, dtype=np.float64)
        if given.shape != holders.shape:
            raise InputError(f"weights: expected one for each of the {len(holders)} workers, got {given.size}")
        bad = np.flatnonzero(~(np.isfinite(given) & (given >= 0.0)))
        if len(bad):
            raise InputError(f"weights: expected numbers >= 0, got {given[bad[0]]:g} for node {holders[bad[0]]}")
        a = np.zeros(self.size)
        a[holders] = given
        weightless = [group[0] for group in self.levels[0] if a[list(group)].sum() == 0.0]
        if weightless:
            raise InputError(f"weights: the workers of hub {weightless[0]} have weight 0; expected one above 0")
        a /= a.sum()
        return a

    def top_weights(self, a: Vector) -> Vector:
        """Return b, shape (len(top),): the sums of the nodes' weights `a` over each group of the last level."""
        place = np.array([path[-1] for path in self.paths])
        return np.bincount(place, a, minlength=len(self.top)).astype(np.float64)

    def mixing(self, b: Vector) -> Mixing:
        """Return the mixing matrix W = H^T of those on the graph, with weights `b`; raises as `hub_matrix` does.

        Its second eigenvalue is zeta: each step shrinks their b-weighted disagreement by that factor at least.
        """
        turned = hub_matrix(self.graph, b, self.rule).T.tocsr()
        turned.sort_indices()
        return Mixing(self.name, f"hub-{rule_of(self.graph, self.rule)}", (turned,), stationary=b)

    def words(self) -> str:
        """Return one line, for equal weights: '10 hubs on a path, 10 workers each, dedicated: second ...'."""
        mixing = self.mixing(self.top_weights(self.weights()))
        second, gap = four_digits(mixing.second_eigenvalue), four_digits(mixing.gap)
        first = 1 if self.placement == "dedicated" else 0
        parts = (
            "".join([counted(len(self.hubs), "hub"), *self._groups_in_words(), self._graph_in_words()]),
            workers_in_words([len(group) - first for group in self.levels[0]]),
            self.placement,
        )
        return f"{', '.join(parts)}: second eigenvalue of H {second}, spectral gap {gap}"

    def _groups_in_words(self) -> Sequence[str]:
        return [f" in {counted(len(level), 'group')}" for level in self.levels[1:]]

    def _graph_in_words(self) -> str:
        if self.graph.n == 1:
            return ""
        noun = self.name.split()[0] in _SHAPES
        return f" on a {self.name}" if noun else f" on the {self.name} graph"


def counted(number: int, noun: str) -> str:
    """Return "1 hub" or "2 hubs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def workers_in_words(sizes: Sequence[int]) -> str:
    """Return how many workers the hubs have: "10 workers each", "3 and 2 workers", "5 to 20 workers"."""
    low, high = min(sizes), max(sizes)
    if low == high:
        return counted(low, "worker") + (" each" if len(sizes) > 1 else "")
    if len(sizes) > _LISTED:
        return f"{low} to {high} workers"
    *most, last = map(str, sizes)
    return f"{', '.join(most)} and {last} workers"
