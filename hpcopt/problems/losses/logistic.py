"""The logistic loss of two classes, l(z, y) = log(1 + exp(-y z))."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.kernels.pointwise import LOGISTIC
from hpcopt.problems.losses.base import MarginLoss, inverse_strength, register
from hpcopt.problems.targets import Targets


@register("logistic")
@dataclass(frozen=True, kw_only=True)
class Logistic(MarginLoss):
    """Logistic loss log(1 + exp(-y z)) for two classes, labels -1 and +1."""

    code = LOGISTIC
    targets = Targets.SIGNS
    curvature_bound = 0.25

    def peer(self, l1: float, l2: float, rows: int, outputs: int, *, intercept: bool) -> str | None:  # noqa: ARG002
        return inverse_strength(l1, l2, rows)
