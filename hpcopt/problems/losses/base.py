"""The base of all losses: of one margin, computed by the kernels, or of several outputs, by a function of arrays."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.kernels.pointwise import LossCode
from hpcopt.problems.targets import Targets
from hpcopt.registry import Registry

Outputs = NDArray[np.float64]


class Loss(abc.ABC):
    """Base of all losses; subclasses are frozen keyword-only dataclasses, registered with `register`.

    Their fields are keys of [problem].

    Class attributes
    ----------------
    targets
        The targets that the labels of the data are converted to.
    convex
        Whether it is convex in the outputs; if not, a small gradient certifies nothing.
    smooth
        Whether its derivative is continuous; if not, gradients of a convex loss need not vanish at a minimum.
    hessian
        Whether its second derivatives are available, at least wherever they exist.
    curved
        Whether its second derivative is above 0 wherever its slope is not 0. If not, the Hessian may be singular, and
        the gradient outside its range, where there is no Newton step.
    curvature_bound
        Upper bound on the second derivative in the output, or for several outputs on its largest eigenvalue; None if
        there is none.
    """

    name: ClassVar[str]
    targets: ClassVar[Targets]
    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    hessian: ClassVar[bool] = True
    curved: ClassVar[bool] = True
    curvature_bound: ClassVar[float | None]

    @property
    def bounded(self) -> bool:
        """Whether its slope has a Lipschitz constant, as a step size "c/L" requires."""
        return self.curvature_bound is not None

    @property
    def flat_minima(self) -> bool:
        """Whether gradients vanish at its minima, so that their size tells how close a minimum is.

        Those of a convex loss that is not smooth are at kinks. Those of "relu" are not: its kinks bend downwards.
        """
        return self.smooth or not self.convex

    def prediction(self, z: Outputs) -> Outputs:
        """Return the predictions of real targets from outputs `z`, shape as `z`: by default the outputs themselves."""
        return z

    @abc.abstractmethod
    def score(self, z: Outputs, y: Vector) -> float:
        """Return the number of rows with outputs `z` that are classified correctly, or the sum of squared errors."""

    def peer(self, l1: float, l2: float, rows: int, outputs: int, *, intercept: bool) -> str | None:  # noqa: ARG002
        """Return the parameters of scikit-learn's estimator for the same objective; None if there is none.

        Parameters
        ----------
        l1, l2
            The weights of ||w||_1 and of ||w||^2 / 2, not both 0.
        rows
            Number of training rows.
        outputs
            Number of outputs per row.
        intercept
            Whether the model has an intercept, which is not penalised.
        """
        return None


def inverse_strength(l1: float, l2: float, rows: int) -> str:
    """Return the parameters of scikit-learn's LogisticRegression for the given weights of the penalty."""
    ratio = f", l1_ratio = {l1 / (l1 + l2):.6g}" if l1 else ""
    return f"C = {1.0 / (rows * (l1 + l2)):.6g}{ratio}"


class MarginLoss(Loss):
    """A loss of one output per row, for the linear model the margin z = x.w."""

    @property
    @abc.abstractmethod
    def code(self) -> LossCode:
        """Its code in the kernels."""

    def score(self, z: Outputs, y: Vector) -> float:
        if self.targets is Targets.SIGNS:
            positive = (z > 0.0) & (y > 0.0)  # as a trained model predicts: an output of 0 is the class -1
            return float(np.count_nonzero(positive | ((z <= 0.0) & (y < 0.0))))
        return float(np.sum((self.prediction(z) - y) ** 2))


class OutputLoss(Loss):
    """A loss of a row's outputs, one for each class."""

    targets = Targets.CLASSES

    @abc.abstractmethod
    def as_targets(self, y: Vector, count: int) -> NDArray[Any]:
        """Convert the targets `y`, shape (n,), to the form that `differentiate` expects for `count` outputs.

        Raises
        ------
        ValueError
            If they are not valid targets.
        """

    @abc.abstractmethod
    def differentiate(self, z: Outputs, y: NDArray[Any]) -> float:
        """Return the sum of the losses of the rows with outputs `z`, (m, count), and replace `z` by the derivative."""

    def score(self, z: Outputs, y: Vector) -> float:
        return float(np.count_nonzero(z.argmax(axis=1) == y))


LOSSES: Registry[type[Loss]] = Registry("loss")
register = LOSSES.register
