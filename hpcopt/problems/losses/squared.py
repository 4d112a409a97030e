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

    def peer(self, strength: float, outputs: int) -> str | None:  # noqa: ARG002
        return f"Ridge alpha = {strength:.6g}"
