"""Losses by name: which kernel evaluates them, and what a solver may assume of them.

logistic   l(z, y) = log(1 + exp(-y z)), y in {-1, +1}
squared    l(z, y) = (z - y)^2 / 2,      y real
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hpcopt.kernels.pointwise import LOGISTIC, SQUARED
from hpcopt.registry import Registry


@dataclass(frozen=True)
class Loss:
    """A loss of one row's margin z = x.w and target y; class attributes say all there is to say.

    Class attributes
    ----------------
    code
        The kernels' number for it.
    two_classes
        Whether targets are -1/+1 (labels of two values are mapped to them).
    curvature_bound
        Upper bound of d2l/dz2.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    two_classes: ClassVar[bool]
    curvature_bound: ClassVar[float]


LOSSES: Registry[type[Loss]] = Registry("loss")


@LOSSES.register("logistic")
class Logistic(Loss):
    """Logistic loss log(1 + exp(-y z)) for two classes, labels -1 and +1."""

    code = LOGISTIC
    two_classes = True
    curvature_bound = 0.25


@LOSSES.register("squared")
class Squared(Loss):
    """Squared loss (z - y)^2 / 2 for real targets."""

    code = SQUARED
    two_classes = False
    curvature_bound = 1.0
