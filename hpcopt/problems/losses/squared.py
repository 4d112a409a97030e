"""The squared loss, l(z, y) = (z - y)^2 / 2: with the linear model, least squares."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.kernels.pointwise import SQUARED
from hpcopt.problems.losses.base import MarginLoss, register
from hpcopt.problems.targets import Targets


@register("squared")
@dataclass(frozen=True, kw_only=True)
class Squared(MarginLoss):
    """Squared loss (z - y)^2 / 2 for real targets."""

    code = SQUARED
    targets = Targets.REAL
    curvature_bound = 1.0

    def peer(self, l1: float, l2: float, rows: int, outputs: int, *, intercept: bool) -> str | None:  # noqa: ARG002
        if l1 == 0.0:
            return f"Ridge alpha = {rows * l2:.6g}"
        if l2 == 0.0:
            return f"Lasso alpha = {l1:.6g}"
        return f"ElasticNet alpha = {l1 + l2:.6g}, l1_ratio = {l1 / (l1 + l2):.6g}"
