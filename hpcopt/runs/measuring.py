"""What a trace row holds, measured over all nodes and booked as monitoring: no bytes, work or time of the solver's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.interface import Node
from hpcopt.fabric.meter import Meter
from hpcopt.problems.losses import Loss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.objective import Objective

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Shard:
    """What one node holds: its rows and targets, and its part of the test set if there is one."""

    matrix: Matrix
    y: Vector  # (n_k,)
    test_matrix: Matrix | None = None
    test_y: Vector | None = None  # (m_k,), m_k may be 0


@dataclass(frozen=True)
class Problem:
    """The objective over all shards: what is the same on every node.

    Attributes
    ----------
    total, entries
        Rows and stored entries of all shards together.
    """

    loss: type[Loss]
    l2: float
    intercept: bool
    total: int
    entries: int

    def on(self, shard: Shard, meter: Meter) -> Objective:
        """Return the objective on one shard, its work reported to `meter`."""
        return Objective(
            shard.matrix, shard.y, self.loss, l2=self.l2, total=self.total, meter=meter, intercept=self.intercept
        )


class Watch:
    """Measures a node's run; its oracle is one of its own, so that it neither warms nor charges the solver's.

    Parameters
    ----------
    decentralised
        Whether the nodes' models differ.
    """

    def __init__(self, node: Node, problem: Problem, shard: Shard, *, decentralised: bool = False) -> None:
        self._node = node
        self._decentralised = decentralised
        self._problem = problem
        self._shard = shard
        self._oracle = problem.on(shard, Meter())

    def measure(self, w: Vector, iteration: int) -> tuple[dict[str, Any], Vector]:
        """Return the trace row of the model `w` and the model that it is about, the same on every node.

        Of a decentralised solver, whose nodes have a `w` each, that is the mean model.
        """
        seconds = self._node.now()
        with self._node.monitoring():
            if not self._decentralised:
                return self._row(w, iteration, seconds), w
            mean, apart, objectives = self._surveyed(self._node.world.allgather(w))
            return {**self._row(mean, iteration, seconds), **self._disagreement(apart, objectives)}, mean

    def _row(self, w: Vector, iteration: int, seconds: float) -> dict[str, Any]:
        """Return what every row has."""
        node = self._node
        here = self._oracle.at(w)
        share = self._oracle.share
        sent = node.ledger.solver
        tested, right = self._test(w)
        local = [share * here.value, sent.bytes, sent.messages, node.meter.touched, tested, right]
        sums = node.world.sum(np.concatenate((local, share * here.gradient)))
        ends = node.world.max(np.array([seconds, float(sent.rounds)]))
        objective, size, messages, touched, tests, hits = (float(v) for v in sums[:6])
        row: dict[str, Any] = {
            "round": int(ends[1]),
            "iteration": iteration,
            "seconds": float(ends[0]),
            "clock": node.clock,
            "bytes": int(size),
            "messages": int(messages),
            "work": touched / self._problem.entries,
            "objective": objective,
            "grad_norm": float(np.linalg.norm(sums[6:])),
        }
        if tests:
            name = "test_accuracy" if self._problem.loss.two_classes else "test_error"
            row[name] = hits / tests
        return row

    def _surveyed(self, everyones: list[Vector]) -> tuple[Vector, float, Vector]:
        """Return the mean of the nodes' models, their root mean squared distance to it, and this shard's f_k of each.

        The models are let go here: on a virtual cluster all nodes would else hold all of them while they wait.
        """
        models = np.array(everyones)
        mean = models.mean(axis=0)
        apart = float(np.sqrt(np.mean(np.sum((models - mean) ** 2, axis=1))))
        return mean, apart, self._oracle.values(models)

    def _disagreement(self, apart: float, objectives: Vector) -> dict[str, Any]:
        """Return how far the nodes' models are apart, and the objective of each over all the data."""
        node = self._node
        objectives = node.world.sum(self._oracle.share * objectives)
        busiest = max(node.ledger.solver.by_edge.values(), default=0)
        consensus, most = node.world.max(np.array([apart, float(busiest)]))  # the same on all nodes, to the last bit
        return {
            "consensus": float(consensus),
            "mean_objective": float(objectives.mean()),
            "worst_objective": float(objectives.max()),
            "edge_bytes": int(most),
        }

    def _test(self, w: Vector) -> tuple[float, float]:
        """Return (test rows here, how many are classified right, or the sum of their squared errors)."""
        matrix, y = self._shard.test_matrix, self._shard.test_y
        if matrix is None or y is None or not len(y):
            return 0.0, 0.0
        margins = matrix.margins(w)
        if self._problem.loss.two_classes:
            return float(len(y)), float(np.count_nonzero(margins * y > 0.0))  # a margin of 0 counts as wrong
        return float(len(y)), float(np.sum((self._problem.loss.prediction(margins) - y) ** 2))
