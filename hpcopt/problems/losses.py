"""Losses by name: which kernel evaluates them, and what a solver may assume of them.

logistic   l(z, y) = log(1 + exp(-y z)),    y in {-1, +1}
squared    l(z, y) = (z - y)^2 / 2,         y real
relu       l(z, y) = (max(z, 0) - y)^2 / 2, y real
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.kernels.pointwise import LOGISTIC, RELU, SQUARED
from hpcopt.registry import Registry

Vector = NDArray[np.float64]


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
    convex
        Whether it is convex (and smooth) in z; where it isn't, a small gradient certifies nothing.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    two_classes: ClassVar[bool]
    curvature_bound: ClassVar[float]
    convex: ClassVar[bool] = True

    @staticmethod
    def prediction(z: Vector) -> Vector:
        """Return what margins `z`, (n,), predict of targets that are real numbers: the margins themselves."""
        return z


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


@LOSSES.register("relu")
class Relu(Loss):
    """Squared loss of a rectified margin, (max(z, 0) - y)^2 / 2, for real targets; not convex.

    Rows with z <= 0 have slope and curvature 0, so w = 0 is a stationary point and no start. Elsewhere the curvature
    is 1: the Gauss-Newton matrix, which is the Hessian wherever there is one. At z = 0 the slope jumps by -y, so the
    curvature bound holds on either side of it only. From the DeLi-CoCo experiments (Hashemi et al., arXiv 2011.10643).
    """

    code = RELU
    two_classes = False
    curvature_bound = 1.0
    convex = False

    @staticmethod
    def prediction(z: Vector) -> Vector:
        """Return max(z, 0)."""
        return np.maximum(z, 0.0)
