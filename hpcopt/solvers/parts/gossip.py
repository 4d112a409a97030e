"""The base of decentralised solvers: nodes with their own models that communicate with neighbours only.

`Gossip.send` is their only communication: a node compresses a vector, sends the same message to all its neighbours, and
gets its own decoded vector (D, the node's column) and the mixed ones (D W), with W the mixing matrix of
`[cluster.topology]`.

    D, DW = gossip.send(X - Z, step)        # DeLi-CoCo, CHOCO: the difference to the public copy
    _, XW = gossip.send(X, step)            # DGD: the model itself

Columns are nodes, as in the papers; W is symmetric where the theory requires it; otherwise x_i <- sum_j w_ij x_j.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Vector
from hpcopt.checks import at_least
from hpcopt.compression import Compressor, NotFiniteError
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import S, Solver, State
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.batches import batch_rows
from hpcopt.solvers.parts.step_size import Schedule, StepSize, check_step_size, schedule_of
from hpcopt.topology.mixing import Mixing, Row

BLOCK = 8192  # numbers mixed at a time: a few such arrays fit into the cache


@dataclass
class GossipState(State):
    """A node's own model `w`, and counters of what was sent."""

    COMMON: ClassVar[tuple[str, ...]] = ("steps", "probed", "reduced")

    steps: int = 0  # gradient steps
    schedule: Schedule | None = None  # of the step sizes
    gamma: float | None = None  # consensus step size
    probed: int = 0  # gossip steps spent on finding gamma
    reduced: int = 0  # doubles reduced over all nodes to find step sizes


class GossipSolver(Solver[S], abc.ABC):
    """Base of decentralised solvers; `needs` defaults to the requirements of compressed gossip."""

    needs = Needs(models="own", topology="graph", weights="symmetric", fixed_graph=True, compressor="contractive")
    randomised = True

    compressor: Compressor = Identity()

    @abc.abstractmethod
    def exchanged(self, s: S, d: int) -> int:
        """Return the bytes that this node has sent to each neighbour so far; -1 if messages differ in size."""

    def doubles(self, s: S, d: int) -> int:  # noqa: ARG002
        assert isinstance(s, GossipState)
        return s.reduced


class Gossip:
    """A node's links and weights, and the buffers of its messages.

    Parameters
    ----------
    node
        The node, with a topology (`node.mixing`) unless `mixing` is given.
    compressor
        The compressor of all messages.
    d
        Length of the vectors.
    mixing, among, link_class
        Of links between some nodes only: their mixing matrix, their ranks in its order, and the class of links that
        the ledger books; default the cluster's topology of all nodes.
    """

    def __init__(
        self,
        node: Node,
        compressor: Compressor,
        d: int,
        mixing: Mixing | None = None,
        among: Sequence[int] | None = None,
        link_class: str = "neighbour",
    ) -> None:
        mixing = mixing or node.mixing
        assert mixing is not None, "a decentralised solver requires a topology"
        self.mixing = mixing
        self._node = node
        self._compressor = compressor
        ranks = range(node.size) if among is None else among
        place = ranks.index(node.rank)
        self._links = []
        for step in range(mixing.period):
            row = mixing.row(place, step)
            sources, targets = ([ranks[j] for j in ends] for ends in (row.sources, row.targets))
            links = node.neighbourhood(sources, targets, among=among, link_class=link_class)
            self._links.append((_terms(row, place), links))
        self._d = d
        self._size = compressor.size(d)
        self._room = np.empty(compressor.capacity(d), dtype=np.uint8)
        most = max(len(terms) for terms, _ in self._links)
        self._decoded = [np.empty(d) for _ in range(most if compressor.view(self._room, d) is None else 0)]
        self._mixed, self._zeros, self._scratch = np.empty(d), np.zeros(d), np.empty(min(d, BLOCK))

    def send(self, v: Vector, step: int, what: int = Draw.MESSAGE) -> tuple[Vector, Vector]:
        """Send C(v) to the neighbours; return C(v) and sum_j w_ij C(v_j), each (d,), valid until the next call.

        Messages, including this node's own, are summed in ascending order of the nodes, so the result is bitwise equal
        on all clusters.

        Parameters
        ----------
        v
            Shape (d,), float64. A vector that is not finite (a diverging run) is sent as zeros.
        step
            Selects the matrix of a time-varying topology, and the random numbers.
        what
            Distinguishes the random numbers of two vectors of the same step; a `Draw`.
        """
        terms, links = self._links[step % len(self._links)]
        key = self._node.key(what, step) if self._compressor.randomised else 0
        varying = self._size is None
        message = self._encode(v, key, self._room if self._size is None else links.outbox(self._size))
        received = iter(links.exchange_varying(message) if varying else links.exchange(message))
        parts = [
            (weight, self._vector(message if own else next(received), place))
            for place, (weight, own) in enumerate(terms)
        ]
        return next(part for (_, own), (_, part) in zip(terms, parts, strict=True) if own), self._combined(parts)

    def _vector(self, message: Bytes, place: int) -> Vector:
        """Return the vector of `message`, in the buffer with index `place` if it must be decoded."""
        view = self._compressor.view(message, self._d)
        return self._compressor.decode(message, self._decoded[place]) if view is None else view

    def _combined(self, parts: list[tuple[float, Vector]]) -> Vector:
        """Return the sum of weight times part, in order; block by block, so that memory is read only once."""
        (first, x), *others = parts
        for start in range(0, self._d, BLOCK):
            block = slice(start, start + BLOCK)
            mixed = self._mixed[block]
            np.multiply(x[block], first, out=mixed)
            scaled = self._scratch[: mixed.size]
            for weight, part in others:
                np.multiply(part[block], weight, out=scaled)
                mixed += scaled
        return self._mixed

    def _encode(self, v: Vector, key: int, out: Bytes) -> Bytes:
        try:
            return self._compressor.encode(v, key, out)
        except NotFiniteError:
            return self._compressor.encode(self._zeros, key, out)


def _terms(row: Row, place: int) -> list[tuple[float, bool]]:
    """Return the weights in ascending order of the nodes, and whether each is the node's own."""
    weights = [(source, weight, False) for source, weight in zip(row.sources, row.weights, strict=True)]
    return [(weight, own) for _, weight, own in sorted([*weights, (place, row.own, True)])]


class LocalGradient:
    """K (n_k / n) grad f_k, over all rows of the shard or a batch: its mean over the nodes is the gradient of f.

    The factor is one if all shards have the same number of rows; the papers omit it.

    Parameters
    ----------
    batch
        Rows per step, drawn without replacement; 0 = all.
    """

    def __init__(self, node: Node, f: Oracle, batch: int) -> None:
        self._node = node
        self._f = f
        self._batch = batch if 0 < batch < f.n else 0
        self._weight = node.size * f.share

    def __call__(self, x: Vector, step: int) -> Vector:
        """Return the gradient at `x`, shape (d,); with batches, of the batch of `step`."""
        if self._batch:
            return self._weight * self._f.gradient_of_rows(x, self._rows(step))
        return self._weight * self._f.at(x).gradient

    def _rows(self, step: int) -> NDArray[np.int64]:
        return batch_rows(self._node, self._f.n, self._batch, step)

    def schedule(self, step_size: StepSize, s: GossipState, factor: float = 1.0) -> Schedule:
        """Return the schedule for `step_size`, with L the largest L_k of all nodes; "auto" is factor / L.

        L_k is the smoothness of f_k or, with batches, the largest of a single row's loss. One round of one double.
        """

        def smoothness() -> float:
            own = self._f.row_smoothness() if self._batch else self._f.smoothness()
            s.reduced += 1
            return float(self._node.world.max(np.array([self._weight * own]))[0])

        return schedule_of(step_size, smoothness, auto=factor)


def check_descent(step_size: StepSize, batch: int) -> None:
    """Raise an error for a step size or a batch out of range."""
    check_step_size(step_size)
    at_least(0, batch=batch)
