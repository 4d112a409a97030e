"""AD-PSGD: asynchronous decentralised SGD in which each worker averages with one random neighbour at a time.

    worker i    x^ = x_i;  g = grad f_i(x^; xi)             others may average x_i meanwhile
                choose a neighbour j at random
                x_i, x_j <- (x_i + x_j) / 2                 atomic: no other worker changes either
                x_i <- x_i - eta g

No worker waits for a straggler: models are in windows, where they are averaged without their owners' participation. The
gradient may be stale by the averages that others made with x_i while it was computed.

Both models are locked for an average, by a compare-and-swap of one word each, the lower rank's first. A worker that
finds one locked releases all, pauses for a random time and chooses again, so no worker waits while holding a lock; of
the workers that want the same two models, the first to lock the lower one gets both, so they cannot all fail forever.
The paper avoids deadlock with active and passive workers on a bipartite graph; with locks, any graph works. A worker
makes its own step before it releases its own lock; otherwise an average begun before the step would undo it.

The authors' code exchanges in a separate thread while the next gradient is computed; here a worker does one after
the other. Iterations are the worker's own gradients; the trace shows those of the fastest worker, and rounds are the
averages that a worker began.

Lian, Zhang, Zhang, Liu: "Asynchronous decentralized parallel stochastic gradient descent", ICML 2018
(arXiv 1710.06952).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.asynchronous import AsynchronousSolver, AsynchronousState, PiecewiseGradient
from hpcopt.solvers.parts.gossip import check_descent
from hpcopt.solvers.parts.step_size import StepSize

VERSION, MODEL = 0, 1  # offsets in the window; the version counts the averages made by others
LOCKED, FREE, GONE = 0, 1, -1  # values of the lock; windows start with zeros, that is locked
PAUSE = 1e-6  # seconds: the longest pause after a first failure; it doubles with each further failure,
LONGEST = 1e-3  # up to this, or to the duration of an average if that is longer
AUTO = 0.5  # times 1/L: gradients that are one step old are stable below 1/L


@dataclass
class ADPSGDState(AsynchronousState):
    """A worker's model after its own last step."""

    staleness: int = 0  # averages that others made while gradients were computed, over all gradients
    tries: int = 0  # to lock two models


@register("ad-psgd")
@dataclass(frozen=True, kw_only=True)
class ADPSGD(AsynchronousSolver[ADPSGDState]):
    """AD-PSGD: asynchronous decentralised SGD; averages with one random neighbour after each gradient.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power } over the worker's own gradients, "c/L" with L the largest
        smoothness of a node's objective, or "auto": 1/(2 L), since gradients are stale.
    batch
        Rows of each shard per gradient; 0 = all.
    """

    needs = Needs(models="own", topology="graph", pace="own", two_way=True)
    paper = "Lian, Zhang, Zhang, Liu 2018, ICML, arXiv 1710.06952"
    floor = "constant step size: error grows with the step size, the gradient noise and the data heterogeneity"

    step_size: StepSize = "auto"
    batch: int = 32

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)

    def init(self, node: Node, f: Oracle, w0: Vector) -> ADPSGDState:  # noqa: ARG002
        return ADPSGDState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: ADPSGDState) -> Iterator[ADPSGDState]:
        gradient = PiecewiseGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, AUTO)
        models = _Models(node, s)
        while True:
            step = eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)
            s.staleness += models.average_with_any()
            s.w = models.step(step)
            s.steps += 1
            s.iteration = s.steps
            yield s
            if node.leaving:
                models.leave()
            if node.stopping or node.leaving:
                break
        s.w = models.end()


class _Models:
    """The models of all workers, each in its owner's part of a window and protected by a lock.

    Parameters
    ----------
    s
        This worker's state, with its initial model.
    """

    def __init__(self, node: Node, s: ADPSGDState) -> None:
        assert node.mixing is not None, "a decentralised solver requires a topology"
        self._node = node
        self._locks = node.window(1, "locks", by_edge=False)
        self._state = s
        self._window = node.window(MODEL + s.w.size)
        self._content = self._window.local
        self._own = self._window.local[MODEL:].view(np.float64)
        self._theirs = np.empty_like(self._content)
        pairs = node.mixing.pairs
        self._peers: list[int] = sorted({*pairs[pairs[:, 0] == node.rank, 1], *pairs[pairs[:, 1] == node.rank, 0]})
        self._seen = 0  # version at the last step
        self._longest = LONGEST
        self._window.sync()
        self._own[:] = s.w
        self._unlock(node.rank)

    def average_with_any(self) -> int:
        """Lock this worker's model and average it with that of a random neighbour, if any is left.

        Returns the number of averages made by others since this worker's last step.
        """
        self._window.count_round()
        partner = self._lock_two()
        stale = int(self._content[0]) - self._seen
        if partner is not None:
            self._average(partner)
        return stale

    def _average(self, j: int) -> None:
        window, theirs, begun = self._window, self._theirs, self._node.now()
        window.get(j, VERSION, theirs)
        window.flush(j)
        self._own += theirs[1:].view(np.float64)
        self._own *= 0.5
        theirs[0] += 1
        theirs[1:].view(np.float64)[:] = self._own
        window.put(theirs, j, VERSION)
        window.flush(j)
        self._unlock(j)
        self._longest = max(self._longest, self._node.now() - begun)

    def step(self, step: Vector) -> Vector:
        """Subtract `step` from this worker's model, which is locked, unlock it, and return it."""
        self._own -= step
        self._seen = int(self._content[0])
        w = self._own.copy()
        self._unlock(self._node.rank)
        return w

    def leave(self) -> None:
        """Mark this worker as gone, for workers that choose it from now on."""
        self._peers = []
        self._lock_two()
        self._unlock(self._node.rank, GONE)

    def end(self) -> Vector:
        """Return this worker's model once all averages are done; collective over all nodes."""
        self._node.world.barrier()
        self._window.sync()
        return self._own.copy()

    def _lock_two(self) -> int | None:
        """Lock this worker's model and a random neighbour's; return the neighbour, None if all have gone."""
        longest, begun = PAUSE, self._node.now()
        while True:
            draws = self._node.draws(Draw.PARTNER, self._state.tries)
            partner = int(draws.choice(self._peers)) if self._peers else self._node.rank
            pause = longest * draws.random()
            self._state.tries += 1
            if self._lock(sorted({partner, self._node.rank})):
                self._window.sync()
                return partner if self._peers else None
            self._node.stand_by(pause)
            waited = self._node.now() - begun
            longest = min(2.0 * longest, max(self._longest, waited / 4))  # so that pauses stay bounded

    def _lock(self, ranks: list[int]) -> bool:
        """Lock the models of all `ranks`, or none; remove those that have gone from the peers."""
        for place, rank in enumerate(ranks):
            found = self._locks.compare_and_swap(FREE, LOCKED, rank, 0)
            if found != FREE:
                for locked in ranks[:place]:
                    self._unlock(locked)
                if found == GONE:
                    self._peers.remove(rank)
                return False
        return True

    def _unlock(self, rank: int, value: int = FREE) -> None:
        self._window.sync()
        self._locks.fetch_and_op(value, rank, 0, "replace")
