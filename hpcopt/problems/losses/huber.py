"""Huber's loss (1964), l(z, y) = (z - y)^2 / 2 for small errors, linear for large ones: regression with outliers."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.annotations import Positive, check_types
from hpcopt.kernels.pointwise import HUBER, LossCode
from hpcopt.problems.losses.base import MarginLoss, register
from hpcopt.problems.targets import Targets


@register("huber")
@dataclass(frozen=True, kw_only=True)
class Huber(MarginLoss):
    """Huber's loss for real targets: r^2/2 where |r| <= delta, r = z - y, else delta |r| - delta^2/2.

    Its curvature is 1 where |r| <= delta, else 0: the second derivative wherever that exists. Where most errors are
    larger, the Hessian is little more than that of the penalty, and first-order solvers are the better choice.

    Parameters
    ----------
    delta
        The error from which on the loss is linear, above 0, in units of the targets. Default 1.35, as in scikit-learn's
        HuberRegressor: if the errors are normal with standard deviation 1, the estimates have 95% of the efficiency of
        least squares.
    """

    delta: Positive = 1.35

    targets = Targets.REAL
    curvature_bound = 1.0
    curved = False

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def code(self) -> LossCode:
        return HUBER[0], self.delta
