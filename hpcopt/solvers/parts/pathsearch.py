"""Pathsearch: which workers average with each other when they finish their gradients at different times.

Workers that have finished a gradient are ready. An iteration completes as soon as two ready neighbours are joined by
an edge that is new in this epoch: the worker that finds it is the closer, ready workers take part, and every edge
between them counts as used. An epoch ends when the used edges span the graph. So a straggler never delays the others
for long, every edge that matters is used again and again, and no worker can wait forever: if all were ready and no new
edge were left, the used edges would span the graph and the epoch would have ended.

This is the rule of DSGD-AAU (Xiong, Yan, Wang, Li, MobiHoc 2024, arXiv 2306.06559), one logical state without an
owner. The listing was not available when this was written, so these are our choices: which ready workers take part,
grace, departures, and that the search is repeated on the workers still waiting after a close.

Everything is a pure function of the state and the events (a `fabric.board.Machine`), so all clusters share it:

    ARRIVE (j, publication)   j has finished a gradient and offers its publication of that number, from 0
    CLOSE (j)                 the grace of j, which was told PENDING, is over; no effect for other workers
    STOP (j)                  all workers that are ready or arrive from now on are told STOPPED
    DETACH (j)                j leaves for good, and its edges are removed; it gets no answer

Simultaneous events form one batch: first all arrivals become ready, then departures are processed, then the search
runs; the closer is the lowest of the batch's arrivals that finds a new edge. So workers of equal speed on a virtual
cluster do D-PSGD, with all workers in each iteration; processed one after another they would average in pairs. A worker
gets one answer for each arrival: GROUP or STOPPED, preceded by PENDING if it is given grace.

A worker whose neighbours have all left completes iterations alone and immediately, with weight one. These count in k,
so the bounds below hold while no worker is alone (for a single worker, every iteration is an epoch).

Bounds, with E the edges and l the size of a minimum cut: an epoch has at most B = |E| - l + 1 iterations
(`component`: B = n - 1), every worker takes part in each, so no model is older than 2 B iterations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Words
from hpcopt.checks import one_of
from hpcopt.errors import InputError
from hpcopt.fabric.board import Mail
from hpcopt.kernels import pathsearch as kernels
from hpcopt.kernels.cache import compile_safely
from hpcopt.kernels.pathsearch import ARRIVE, CLOSE, DETACH, GROUP, PENDING, STOP, STOPPED

__all__ = ["ARRIVE", "CLOSE", "DETACH", "GROUP", "MEMBERS", "PENDING", "RULES", "STOP", "STOPPED", "Pathsearch", "Turn"]

RULES = ("unseen", "component")
MEMBERS = {
    "all_linked": kernels.ALL_LINKED,
    "all": kernels.ALL,
    "piece": kernels.PIECE,
    "star": kernels.STAR,
}


@dataclass(frozen=True, eq=False)
class Turn:
    """The search's answer to a worker.

    Parameters
    ----------
    kind
        GROUP: its iteration is complete. PENDING: it found a new edge and closes after its grace. STOPPED: its
        publication will not go into any average.
    k
        Number of iterations completed; for GROUP including this one, so the first is 1.
    epoch
        The epoch of the iteration, from 0. This field and the following ones are for GROUP only.
    participations
        Number of gradients that went into iterations so far, including this one.
    ranks
        Shape (m,): the worker itself and its neighbours in this iteration, ascending.
    publications
        Shape (m,): the number of the publication that each of them offers.
    weights
        Shape (m,): the worker's row of the iteration's Metropolis matrix, symmetric and doubly stochastic.
    """

    kind: int
    k: int
    epoch: int
    participations: int
    ranks: NDArray[np.int64]
    publications: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, mail: Words) -> Turn:
        """Decode a mail of `Pathsearch`."""
        kind, k = mail[:2].tolist()
        epoch, participations, m = mail[2 : kernels.INTRODUCTION].tolist() if kind == GROUP else (0, 0, 0)
        entries = mail[kernels.INTRODUCTION : kernels.INTRODUCTION + kernels.ENTRY * m].reshape(m, kernels.ENTRY)
        ranks, publications, weights = (np.ascontiguousarray(column) for column in entries.T)
        return cls(kind, k, epoch, participations, ranks, publications, weights.view(np.float64))


class Pathsearch:
    """The search on one graph: a `fabric.board.Machine`.

    Its state has 8 words, two words per worker and a bit per edge: 2.2 kB for 128 workers and 1,024 edges. A worker
    must not arrive again before it has received GROUP or STOPPED.

    Parameters
    ----------
    n
        Number of workers, at least 1.
    pairs
        Shape (edges, 2): the edges of a connected graph, each once, such as `Mixing.pairs` of an undirected topology.
    rule
        Which edges are new. "unseen": those not used in this epoch. "component": those between workers that the used
        edges do not connect yet, so that epochs are shorter and workers wait longer.
    members
        Which ready workers take part in an iteration. "all_linked": all with a ready neighbour. "all": all; those
        without a ready neighbour continue unmixed. "piece": those connected with the closer through ready workers.
        "star": the closer and its ready neighbours.
    grace
        Whether a worker that finds a new edge while no other is pending is told PENDING, to close by the event CLOSE;
        arrivals until then only become ready.

    Raises
    ------
    InputError
        If `rule` or `members` is unknown, or the graph is not connected and undirected.
    """

    def __init__(
        self,
        n: int,
        pairs: NDArray[np.int64],
        *,
        rule: str = "unseen",
        members: str = "all_linked",
        grace: bool = False,
    ) -> None:
        one_of(RULES, rule=rule)
        one_of(MEMBERS, members=members)
        self._graph = _neighbourhoods(n, np.asarray(pairs, dtype=np.int64).reshape(-1, 2))
        starts, neighbours, _ = self._graph
        self.words = kernels.HEADER + 2 * n + -(-len(pairs) // 64)
        self.mail = kernels.INTRODUCTION + kernels.ENTRY * (int(np.diff(starts).max()) + 1)
        self._settings = rule == "component", MEMBERS[members], grace
        # Buffers for the kernel's mails: at most one to each worker, with an entry for each neighbour.
        introductions = n * (kernels.ADDRESS + kernels.INTRODUCTION + kernels.ENTRY)
        self._out = np.empty(introductions + kernels.ENTRY * len(neighbours), dtype=np.int64)
        state = np.zeros(self.words, dtype=np.int64)
        pieces = compile_safely(lambda: kernels.begin(state, *self._graph))
        if pieces != 1:
            raise InputError(
                f"topology: asynchronous averaging requires a connected graph; this one has {pieces} components"
            )
        compile_safely(lambda: self.apply(state, np.empty((0, 3), dtype=np.int64)))

    def begin(self, state: Words) -> None:
        kernels.begin(state, *self._graph)

    def apply(self, state: Words, events: Words) -> list[Mail]:
        end = kernels.apply(state, events, *self._settings, *self._graph, self._out)
        mails: list[Mail] = []
        at = 0
        while at < end:
            target, length = self._out[at : at + kernels.ADDRESS].tolist()
            at += kernels.ADDRESS
            mails.append((target, self._out[at : at + length].copy()))
            at += length
        return mails


def _neighbourhoods(n: int, pairs: NDArray[np.int64]) -> tuple[Words, Words, Words]:
    """Return the offset of each worker's neighbours, the neighbours in ascending order, and the edges to them."""
    edges = np.arange(len(pairs))
    here, there = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((there, here))
    here, there, both = here[order], there[order], np.concatenate([edges, edges])[order]
    twice = (np.diff(here) == 0) & (np.diff(there) == 0)
    if twice.any() or (here == there).any():
        raise InputError("topology: asynchronous averaging requires an undirected graph with each edge given once")
    starts = np.searchsorted(here, np.arange(n + 1))
    return starts, np.ascontiguousarray(there), both
