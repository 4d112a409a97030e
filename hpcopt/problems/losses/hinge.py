"""The hinge loss of two classes, l(z, y) = max(1 - y z, 0): with an L2 penalty, the linear support vector machine."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.kernels.pointwise import HINGE
from hpcopt.problems.losses.base import MarginLoss, register
from hpcopt.problems.targets import Targets


@register("hinge")
@dataclass(frozen=True, kw_only=True)
class Hinge(MarginLoss):
    """Hinge loss max(1 - y z, 0) for two classes, labels -1 and +1; not smooth, for first-order solvers.

    Its slope is -y for y z < 1, else 0: where y z = 1, this is one of the subgradients. Gradients built from it do not
    vanish at a minimum, and no multiple of 1/L is a step size.
    """

    code = HINGE
    targets = Targets.SIGNS
    curvature_bound = None
    smooth = False
    hessian = False

    def peer(self, l1: float, l2: float, rows: int, outputs: int, *, intercept: bool) -> str | None:  # noqa: ARG002
        if l1:
            return None
        # LinearSVC penalises its intercept, and SVC always has one
        estimator = 'SVC(kernel="linear")' if intercept else 'LinearSVC(loss="hinge")'
        return f"{estimator} C = {1.0 / (rows * l2):.6g}"
