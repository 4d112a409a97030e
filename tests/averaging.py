"""DSGD-AAU with a log, and the invariants of every log, on any cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from hpcopt.arrays import Vector
from hpcopt.solvers.dsgd_aau import DSGDAAU
from hpcopt.solvers.parts.pathsearch import Turn
from hpcopt.topology import Mixing


class Entry(NamedTuple):
    """The actions of one worker in one iteration."""

    k: int
    epoch: int
    rank: int
    turn: Turn
    before: Vector  # w, where the gradient was taken
    adapted: Vector  # w~
    after: Vector


@dataclass(frozen=True, kw_only=True)
class Logged(DSGDAAU):
    """DSGD-AAU that logs each worker's adapted and combined models."""

    log: list[Entry] = field(default_factory=list)

    def _combine(self, node: Any, models: Any, adapted: Vector, turn: Turn, s: Any, adapt: Any) -> Vector | None:
        before, own = s.w.copy(), adapted.copy()
        ahead = super()._combine(node, models, adapted, turn, s, adapt)
        self.log.append(Entry(turn.k, turn.epoch, node.rank, turn, before, own, s.w.copy()))
        return ahead


def iterations(log: Iterable[Entry]) -> list[dict[int, Entry]]:
    """Return the iterations in order, each as {rank: entry}."""
    by_k: dict[int, dict[int, Entry]] = {}
    for entry in log:
        by_k.setdefault(entry.k, {})[entry.rank] = entry
    return [by_k[k] for k in sorted(by_k)]


def check_log(log: Iterable[Entry], mixing: Mixing, start: Vector, models: list[Vector], rule: str = "unseen") -> None:
    """Assert the invariants of a whole run without departures.

    Parameters
    ----------
    start
        Every worker's first model, shape (d,).
    models
        Every worker's last one.
    """
    ordered = iterations(log)
    assert [next(iter(members.values())).k for members in ordered] == list(range(1, len(ordered) + 1))
    _check_averages(ordered, mixing)
    _check_replay(ordered, start, models)
    _check_epochs(ordered, mixing, rule)
    _check_ages(ordered, mixing, rule)


def _check_averages(ordered: list[dict[int, Entry]], mixing: Mixing) -> None:
    """The sum over the members is preserved (I1); the weights are symmetric and doubly stochastic (I2)."""
    n, largest = mixing.n, int(mixing.degrees.max())
    edges = {(i, j) for i, j in mixing.pairs.tolist()}
    for members in ordered:
        before = sum(entry.adapted for entry in members.values())
        after = sum(entry.after for entry in members.values())
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-12 * max(1.0, float(np.abs(before).max())))
        matrix = np.eye(n)
        for rank, entry in members.items():
            matrix[rank] = 0.0
            matrix[rank, entry.turn.ranks] = entry.turn.weights
            for i in entry.turn.ranks.tolist():
                assert i == rank or (min(rank, i), max(rank, i)) in edges
                assert i in members, f"{i} is a neighbour of {rank} in iteration {entry.k} and has not taken part"
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=1e-15)
        assert matrix.min() >= 0.0
        assert matrix.diagonal().min() >= 1.0 / (1 + largest) - 1e-15


def _check_replay(ordered: list[dict[int, Entry]], start: Vector, models: list[Vector]) -> None:
    """Applying the iterations in sequence gives the same models (I6); publications are consecutive (I4)."""
    replayed = [start.copy() for _ in models]
    published = [0] * len(models)
    for members in ordered:
        for rank, entry in members.items():
            np.testing.assert_array_equal(entry.before, replayed[rank])  # no other worker has changed it meanwhile
            published[rank] += 1
            assert entry.turn.publications[entry.turn.ranks == rank].tolist() == [published[rank]]
        for rank, entry in members.items():
            combined = np.zeros_like(start)
            for i, weight in zip(entry.turn.ranks.tolist(), entry.turn.weights.tolist(), strict=True):
                combined += weight * members[i].adapted
            np.testing.assert_array_equal(entry.after, combined)
            replayed[rank] = combined
    for model, again in zip(models, replayed, strict=True):
        np.testing.assert_array_equal(model, again)


def _edges_of(members: dict[int, Entry]) -> set[tuple[int, int]]:
    return {(rank, i) for rank, entry in members.items() for i in entry.turn.ranks.tolist() if rank < i}


def bound(mixing: Mixing, rule: str) -> int:
    """Return the maximum number of iterations of an epoch."""
    if rule == "component":
        return mixing.n - 1
    graph = nx.Graph(mixing.pairs.tolist())
    return len(mixing.pairs) - nx.edge_connectivity(graph) + 1


def _check_epochs(ordered: list[dict[int, Entry]], mixing: Mixing, rule: str) -> None:
    """Each epoch's edges span the graph, those of no proper prefix do, and its iterations satisfy the bound (I3)."""
    used = nx.empty_graph(mixing.n)
    length, epoch = 0, 0
    for members in ordered:
        assert {entry.epoch for entry in members.values()} == {epoch}
        used.add_edges_from(_edges_of(members))
        length += 1
        assert length <= bound(mixing, rule)
        if nx.is_connected(used):
            used, length, epoch = nx.empty_graph(mixing.n), 0, epoch + 1


def _check_ages(ordered: list[dict[int, Entry]], mixing: Mixing, rule: str) -> None:
    """No worker's last iteration is more than two epochs old (I5)."""
    last = dict.fromkeys(range(mixing.n), 0)
    for k, members in enumerate(ordered, start=1):
        last |= dict.fromkeys(members, k)
        assert k - min(last.values()) <= 2 * bound(mixing, rule)
