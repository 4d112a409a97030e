"""The squared hinge loss of two classes, l(z, y) = max(1 - y z, 0)^2: with an L2 penalty, scikit-learn's LinearSVC."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.kernels.pointwise import SQUARED_HINGE
from hpcopt.problems.losses.base import MarginLoss, register
from hpcopt.problems.targets import Targets


@register("squared-hinge")
@dataclass(frozen=True, kw_only=True)
class SquaredHinge(MarginLoss):
    """Squared hinge loss max(1 - y z, 0)^2 for two classes, labels -1 and +1.

    There is no factor 1/2, as in scikit-learn. Its curvature is 2 for y z < 1, else 0: the second derivative wherever
    that exists, everywhere but at y z = 1. Newton's method with it is that of Mangasarian (2002) and of Keerthi and
    DeCoste (2005).
    """

    code = SQUARED_HINGE
    targets = Targets.SIGNS
    curvature_bound = 2.0

    def peer(self, l1: float, l2: float, rows: int, outputs: int, *, intercept: bool) -> str | None:  # noqa: ARG002
        return None if l1 or intercept else f"LinearSVC C = {1.0 / (rows * l2):.6g}"  # which penalises its intercept
