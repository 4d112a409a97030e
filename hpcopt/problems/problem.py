"""A problem over all nodes, one node's shard of it, and the oracle made from both."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.models import SizedModel
from hpcopt.problems.oracle import Oracle
from hpcopt.problems.penalties.constraint import Constraint


@dataclass(frozen=True)
class Shard:
    """One node's data: its rows and targets, and its part of the test set if there is one."""

    matrix: Matrix
    y: Vector  # (n_k,), in the form that the loss requires
    test_matrix: Matrix | None = None
    test_y: Vector | None = None  # (m_k,), m_k may be 0


@dataclass(frozen=True)
class Problem:
    """The objective over all shards; the same on every node.

    Attributes
    ----------
    model
        The formulation's model, with the sizes of the data.
    total, entries
        Numbers of rows and stored entries of all shards.
    lost_rows, lost_entries
        Those of nodes that have left; they are no longer in the objective.
    """

    formulation: Formulation
    model: SizedModel
    total: int
    entries: int
    lost_rows: int = 0
    lost_entries: int = 0

    @property
    def strong_convexity(self) -> float:
        """An m for which f - (m/2) ||w||^2 is convex, from the penalty alone; 0 if unknown."""
        whole = self.formulation.convex and self.model.penalised == self.model.size
        return self.formulation.penalty.curvature if whole else 0.0

    def on(self, shard: Shard, meter: Meter) -> Oracle:
        """Return the objective on one shard, with its work counted by `meter`."""
        sizes = {"total": self.total, "entries": self.entries}
        return self.model.oracle(shard.matrix, shard.y, self.formulation.penalty, **sizes, meter=meter)

    def words(self) -> str:
        """Describe the objective, with the parameters of scikit-learn's equivalent estimator if there is one."""
        model, loss, penalty = self.formulation.model, self.formulation.loss, self.formulation.penalty
        told = f"mean {loss.name} loss{model.words()}"
        if penalty.words():
            told += f"{', subject to ' if isinstance(penalty, Constraint) else ' + '}{penalty.words()}"
        l1, l2 = penalty.shrinkage, penalty.curvature
        comparable = l1 is not None and l1 + l2 > 0 and self.formulation.convex
        intercept = self.model.penalised < self.model.size
        same = loss.peer(l1 or 0.0, l2, self.total, self.model.outputs, intercept=intercept) if comparable else None
        return told if same is None else f"{told} (scikit-learn: {same})"
