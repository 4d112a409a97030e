"""A problem over all nodes, what one node holds of it, and the oracle that the two make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.meter import Meter
from hpcopt.problems.layers import Layers
from hpcopt.problems.losses import ClassLoss, Loss, MarginLoss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.objective import Objective
from hpcopt.problems.oracle import Oracle
from hpcopt.problems.perceptron import Perceptron, predicted
from hpcopt.problems.targets import Targets

Vector = NDArray[np.float64]


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
    intercept
        Whether a margin has one: the last column of every shard is ones.
    total, entries
        Rows and stored entries of all shards together.
    layers
        Of a loss of classes: what is between a row and its outputs.
    """

    loss: type[Loss]
    l2: float
    intercept: bool
    total: int
    entries: int
    layers: Layers | None = None

    def on(self, shard: Shard, meter: Meter) -> Oracle:
        """Return the objective on one shard, its work reported to `meter`."""
        if issubclass(self.loss, ClassLoss):
            assert self.layers is not None
            return Perceptron(shard.matrix, shard.y, self.loss, self.layers, l2=self.l2, total=self.total, meter=meter)
        assert issubclass(self.loss, MarginLoss)
        return Objective(
            shard.matrix, shard.y, self.loss, l2=self.l2, total=self.total, meter=meter, intercept=self.intercept
        )

    def tested(self, w: Vector, matrix: Matrix, y: Vector) -> float:
        """Return how many rows the model `w` classifies right, or the sum of its squared errors on real targets."""
        if issubclass(self.loss, ClassLoss):
            assert self.layers is not None
            return float(np.count_nonzero(predicted(matrix, self.layers, w) == y))
        assert issubclass(self.loss, MarginLoss)
        margins = matrix.margins(w)
        if self.loss.targets is Targets.SIGNS:
            return float(np.count_nonzero(margins * y > 0.0))  # a margin of 0 counts as wrong
        return float(np.sum((self.loss.prediction(margins) - y) ** 2))
