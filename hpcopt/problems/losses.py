"""Losses by name: how they are evaluated, and what a solver may assume of them.

logistic   l(z, y) = log(1 + exp(-y z)),            y in {-1, +1}
squared    l(z, y) = (z - y)^2 / 2,                 y real
relu       l(z, y) = (max(z, 0) - y)^2 / 2,         y real
softmax    l(z, y) = log(sum_c exp(z_c)) - z_y,     y in {0, ..., C-1}, z_c = x.w_c + b_c
mlp        the same, z the outputs of a network of hidden layers

The first three are of one margin z = x.w, and `objective` is their oracle; the last two have an output z_c for each
class, and `perceptron` is theirs.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.kernels.pointwise import LOGISTIC, RELU, SQUARED
from hpcopt.problems.targets import Targets
from hpcopt.registry import Registry

Vector = NDArray[np.float64]


class Loss:
    """A loss of one row; class attributes say what whoever chooses it or solves with it must know.

    Class attributes
    ----------------
    targets
        What the labels of the data become.
    convex
        Whether the objective is convex (and smooth) in the model; where it isn't, a small gradient certifies nothing.
    hessian
        Whether the oracle gives second derivatives.
    bounded
        Whether the oracle knows a Lipschitz constant of the gradient, which a step size "c/L" asks for.
    layered
        Whether there are hidden layers between a row and the outputs.
    """

    name: ClassVar[str]
    targets: ClassVar[Targets]
    convex: ClassVar[bool] = True
    hessian: ClassVar[bool] = True
    bounded: ClassVar[bool] = True
    layered: ClassVar[bool] = False


class MarginLoss(Loss):
    """A loss of one row's margin z = x.w.

    Class attributes
    ----------------
    code
        The kernels' number for it.
    curvature_bound
        Upper bound of d2l/dz2.
    """

    code: ClassVar[int]
    curvature_bound: ClassVar[float]

    @staticmethod
    def prediction(z: Vector) -> Vector:
        """Return what margins `z`, (n,), predict of targets that are real numbers: the margins themselves."""
        return z


class ClassLoss(Loss):
    """The cross-entropy of the softmax of one row's outputs, one for each class."""

    targets = Targets.CLASSES
    hessian = False


LOSSES: Registry[type[Loss]] = Registry("loss")


@LOSSES.register("logistic")
class Logistic(MarginLoss):
    """Logistic loss log(1 + exp(-y z)) for two classes, labels -1 and +1."""

    code = LOGISTIC
    targets = Targets.SIGNS
    curvature_bound = 0.25


@LOSSES.register("squared")
class Squared(MarginLoss):
    """Squared loss (z - y)^2 / 2 for real targets."""

    code = SQUARED
    targets = Targets.REAL
    curvature_bound = 1.0


@LOSSES.register("relu")
class Relu(MarginLoss):
    """Squared loss of a rectified margin, (max(z, 0) - y)^2 / 2, for real targets; not convex.

    Rows with z <= 0 have slope and curvature 0, so w = 0 is a stationary point and no start. Elsewhere the curvature
    is 1: the Gauss-Newton matrix, which is the Hessian wherever there is one. At z = 0 the slope jumps by -y, so the
    curvature bound holds on either side of it only. From the DeLi-CoCo experiments (Hashemi et al., arXiv 2011.10643).
    """

    code = RELU
    targets = Targets.REAL
    curvature_bound = 1.0
    convex = False

    @staticmethod
    def prediction(z: Vector) -> Vector:
        """Return max(z, 0)."""
        return np.maximum(z, 0.0)


@LOSSES.register("softmax")
class Softmax(ClassLoss):
    """Multinomial logistic loss, log(sum_c exp(z_c)) - z_y, for two classes or more; for first-order solvers."""


@LOSSES.register("mlp")
class MultiLayerPerceptron(ClassLoss):
    """The multinomial logistic loss of a network's outputs, not convex; for first-order solvers with a step size given.

    `hidden` has the widths of the layers between (default [64]), `activation` what follows each: "relu" (default) or
    "tanh". Every layer has biases, whatever `intercept` says of other losses.
    """

    convex = False
    bounded = False
    layered = True
