"""Models with several outputs per row, with or without hidden layers: softmax regression and perceptrons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.layers import Layers
from hpcopt.problems.losses import OutputLoss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.models.base import Affine, SizedModel
from hpcopt.problems.penalties import Penalty
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.perceptron import Perceptron, blocks, outputs


@dataclass(frozen=True)
class Network(SizedModel):
    """A network with the given layers; the penalty acts on the weights, not on the biases."""

    loss: OutputLoss
    shape: Layers

    @property
    def size(self) -> int:
        return self.shape.size

    @property
    def penalised(self) -> int:
        return self.shape.penalised

    @property
    def outputs(self) -> int:
        return self.shape.widths[-1]

    @property
    def activation(self) -> str | None:
        return self.shape.activation if self.shape.hidden else None

    def random_start(self, seed: int) -> Vector:
        return self.shape.random_start(seed)

    def rows(self, X: Any) -> Any:
        return X  # biases are not a feature

    def oracle(
        self, matrix: Matrix, y: Vector, penalty: Penalty, *, total: int, meter: Meter, entries: int | None = None
    ) -> Perceptron:
        return Perceptron(matrix, y, self.loss, self.shape, penalty, total=total, entries=entries, meter=meter)

    def warm(self, matrix: Matrix, y: Vector) -> None:
        few = matrix.head(2)
        f = self.oracle(few, y[: few.n], L2(weight=1.0), total=few.n, meter=Meter())
        w, rows = np.zeros(f.d), np.arange(f.n)
        f.sgd(f.at(w).gradient, rows, 1, np.ones(f.n))
        f.values(f.gradient_of_rows(w, rows)[None])
        f.recall({})
        if f.bounded:
            f.smoothness()
            f.row_smoothness()

    def score(self, w: Vector, matrix: Matrix, y: Vector) -> float:
        return sum(self.loss.score(outputs(matrix, self.shape, w, rows), y[rows]) for rows in blocks(matrix.n))

    def layers(self, w: Vector) -> list[Affine]:
        weights = self.shape.weights(w)
        shifts = self.shape.shifts(w) or [np.zeros(self.shape.widths[-1])]
        return [Affine(W.T.copy(), shift.copy()) for W, shift in zip(weights, shifts, strict=True)]
