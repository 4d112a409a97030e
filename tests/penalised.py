"""Small problems with penalties that are not smooth, distributed over nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.conformance.problems import Spread, logistic
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.penalties import PENALTIES, Penalty
from hpcopt.problems.problem import Problem

WEIGHT = 0.03


@dataclass(frozen=True)
class Penalised(Spread):
    """A problem with any penalty in place of l2."""

    penalty: Penalty

    @property
    def problem(self) -> Problem:
        formulation = Formulation(Linear(), LOSSES[self.loss](), self.penalty)
        return Problem(formulation, formulation.sized(self.d), total=len(self.y), entries=self.X.size)

    def over(self, *sizes):
        return Penalised(self.loss, self.X, self.y, self.l2, sizes, self.penalty)


def penalised(penalty, **parameters):
    parts = logistic(**parameters)
    return Penalised(parts.loss, parts.X, parts.y, parts.l2, parts.sizes, penalty)


def lasso(weight=WEIGHT, **parameters):
    return penalised(PENALTIES["l1"](weight=weight), **parameters)


def residual(spread, w):
    """Return the largest violation of the optimality conditions."""
    return np.abs(spread.penalty.residual(w, spread.serial().at(w).loss_gradient)).max()
