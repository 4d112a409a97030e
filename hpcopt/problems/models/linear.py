"""The linear model: outputs are X w, one margin per row, or one output per class for a loss of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.layers import Layers
from hpcopt.problems.losses import Loss, MarginLoss, OutputLoss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.models.base import Affine, ModelFamily, SizedModel, register
from hpcopt.problems.models.network import Network
from hpcopt.problems.objective import FirstOrderObjective, Objective
from hpcopt.problems.penalties import Penalty
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.storage import warm


@register("linear")
@dataclass(frozen=True, kw_only=True)
class Linear(ModelFamily):
    """Linear model, w.x + b; one output per class with a loss of classes; supports all losses.

    Parameters
    ----------
    intercept
        Whether to include b; it is not penalised.
    """

    intercept: bool = False

    usual_loss = "logistic"

    def sized(self, loss: Loss, features: int, classes: int) -> SizedModel:
        if isinstance(loss, MarginLoss):
            return Margins(loss, features, self.intercept)
        assert isinstance(loss, OutputLoss)
        return Network(loss, Layers((features, classes), self.intercept))


@dataclass(frozen=True)
class Margins(SizedModel):
    """One margin z = x.w per row; an intercept is the last coordinate of w, whose feature is a column of ones."""

    loss: MarginLoss
    features: int
    intercept: bool

    @property
    def size(self) -> int:
        return self.features + self.intercept

    @property
    def penalised(self) -> int:
        return self.features

    @property
    def outputs(self) -> int:
        return 1

    def random_start(self, seed: int) -> Vector:
        return np.asarray(np.random.default_rng(seed).standard_normal(self.size) / np.sqrt(self.size))

    def rows(self, X: Any) -> Any:
        if not self.intercept:
            return X
        ones = np.ones((X.shape[0], 1), X.dtype)
        if scipy.sparse.issparse(X):
            return scipy.sparse.hstack([X, scipy.sparse.csr_array(ones)], format="csr")
        return np.asarray(np.hstack([X, ones]))

    def oracle(
        self, matrix: Matrix, y: Vector, penalty: Penalty, *, total: int, meter: Meter, entries: int | None = None
    ) -> FirstOrderObjective:
        kind, penalised = Objective if self.loss.hessian else FirstOrderObjective, self.penalised
        return kind(matrix, y, self.loss, penalty, penalised=penalised, total=total, entries=entries, meter=meter)

    def warm(self, matrix: Matrix, y: Vector) -> None:
        few = matrix.head(2)
        warm(few, self.loss.code, y[: few.n])
        if self.loss.hessian:
            penalty = L2(weight=1.0)  # avoids singular Hessians
            f = Objective(few, y[: few.n], self.loss, penalty, total=few.n, meter=Meter())
            start = f.at(np.zeros(self.size))
            start.along(start.newton_direction()).values(np.ones(1))
            f.recall({})

    def score(self, w: Vector, matrix: Matrix, y: Vector) -> float:
        return self.loss.score(matrix.margins(w), y)

    def layers(self, w: Vector) -> list[Affine]:
        coef, intercept = (w[:-1], w[-1:]) if self.intercept else (w, np.zeros(1))
        return [Affine(coef[None], intercept)]
