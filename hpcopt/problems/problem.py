"""A problem over all nodes, what one node holds of it, and the oracle that the two make."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.models import SizedModel
from hpcopt.problems.oracle import Oracle


@dataclass(frozen=True)
class Shard:
    """What one node holds: its rows and targets, and its part of the test set if there is one."""

    matrix: Matrix
    y: Vector  # (n_k,), as the loss wants its targets
    test_matrix: Matrix | None = None
    test_y: Vector | None = None  # (m_k,), m_k may be 0


@dataclass(frozen=True)
class Problem:
    """The objective over all shards: what is the same on every node.

    Attributes
    ----------
    model
        The formulation's, with the sizes that the data have told.
    total, entries
        Rows and stored entries of all shards together.
    """

    formulation: Formulation
    model: SizedModel
    total: int
    entries: int

    @property
    def strong_convexity(self) -> float:
        """The m for which f - (m/2) ||w||^2 is known to be convex, from the penalty alone; 0 if it tells none."""
        whole = self.formulation.convex and self.model.penalised == self.model.size
        return self.formulation.penalty.curvature if whole else 0.0

    def on(self, shard: Shard, meter: Meter) -> Oracle:
        """Return the objective on one shard, its work reported to `meter`."""
        return self.model.oracle(shard.matrix, shard.y, self.formulation.penalty, total=self.total, meter=meter)

    def words(self) -> str:
        """Return the objective in words, with scikit-learn's parameter of the same one where there is one."""
        model, loss, penalty = self.formulation.model, self.formulation.loss, self.formulation.penalty
        told = f"mean {loss.name} loss{model.words()}"
        if penalty.words():
            told += f" + {penalty.words()}"
        strength = self.total * penalty.curvature
        comparable = strength > 0 and self.formulation.convex and penalty.smooth
        same = loss.peer(strength, self.model.outputs) if comparable else None
        return told if same is None else f"{told} (scikit-learn: {same})"
