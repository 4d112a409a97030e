"""The elastic net: l1 for exact zeros, l2 for strong convexity, so that correlated features share their weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.problems.penalties.base import Penalty, Weight, quotient, register
from hpcopt.problems.penalties.l1 import shrunk, steepest


@register("elastic-net")
@dataclass(frozen=True, kw_only=True)
class ElasticNet(Penalty):
    """Elastic net, l1 ||w||_1 + (l2/2) ||w||^2; its short form is `l1` and `l2` together in [problem].

    From Zou and Hastie (2005).

    Parameters
    ----------
    l1, l2
        Numbers, or "c/n" with n the number of training rows.
    """

    l1: Weight
    l2: Weight

    smooth = False

    def __post_init__(self) -> None:
        at_least(0, l1=self.l1, l2=self.l2)

    @property
    def curvature(self) -> float:
        return self.l2

    @property
    def shrinkage(self) -> float:
        return self.l1

    def value(self, w: Vector) -> float:
        return self.l1 * float(np.abs(w).sum()) + 0.5 * self.l2 * float(w @ w)

    def reach(self, value: float, size: int) -> float:
        return min(quotient(value, self.l1), super().reach(value, size))

    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:
        size = step if metric is None else step / metric
        return shrunk(w, size * self.l1) / (1.0 + size * self.l2)

    def residual(self, w: Vector, gradient: Vector) -> Vector:
        return steepest(w, gradient, self.l1)

    def words(self) -> str:
        return f"l1 ||w||_1 + (l2/2)||w||^2, l1 = {self.l1:.6g}, l2 = {self.l2:.6g}"
