"""The base of all penalties: convex functions r of the weights with a proximal operator.

The smooth part of every penalty is (c/2) ||w||^2 with c >= 0, so the oracle and its fused kernels need only one number,
the `curvature`: c w in gradients, c on the diagonal of Hessians. The rest need not be smooth: solvers take it by its
proximal operator, and an optimum is recognised by its residual.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from hpcopt.arrays import Vector
from hpcopt.registry import Registry

Weight = Annotated[float, Meta(ge=0, extra={"words": 'a number >= 0 or "c/n"'})]
"""A number in a penalty's table, which may be written as "c/n"."""


class Penalty(abc.ABC):
    """Base of all penalties; subclasses are frozen keyword-only dataclasses, registered with `register`.

    Its methods receive the coordinates that it acts on, the first `penalised` of a model: the weights, without
    intercept or biases.

    Class attributes
    ----------------
    convex, smooth
        Whether it is convex; whether it is nothing but its smooth part.
    hessian, bounded
        Whether its smooth part has second derivatives, and a gradient with a Lipschitz constant.
    """

    name: ClassVar[str]
    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    hessian: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def curvature(self) -> float:
        """The c of the smooth part (c/2) ||w||^2: it enters Hessians, smoothness and strong convexity."""

    @property
    def shrinkage(self) -> float | None:
        """The weight of ||w||_1, if the penalty is that and its smooth part only; None if it is of another kind.

        The proximal step is then a soft threshold and a division, which solvers fuse with their own step.
        """
        return 0.0 if self.smooth else None

    @property
    def per_feature(self) -> bool:
        """Whether its parameters refer to single features, which the weights behind a hidden layer don't have."""
        return False

    def sized(self, features: int, outputs: int) -> Penalty:  # noqa: ARG002
        """Return the penalty for data of `features` and a linear model with `outputs` weights per feature.

        Raises
        ------
        InputError
            If a parameter does not suit the number of features; the message begins with its name.
        """
        return self

    @abc.abstractmethod
    def value(self, w: Vector) -> float:
        """Return r(w), for `w` of shape (penalised,); infinite outside the set of a constraint."""

    def reach(self, value: float, size: int) -> float:  # noqa: ARG002
        """Return a bound on the Euclidean norm of all w, shape (size,), with r(w) <= `value`; infinite if none."""
        return math.sqrt(quotient(2.0 * value, self.curvature))

    def nearest(self, w: Vector) -> Vector:
        """Return the point nearest to `w` where r is finite."""
        return w

    def add_gradient(self, w: Vector, gradient: Vector) -> None:
        """Add the gradient of the smooth part at `w` to `gradient`, both of shape (penalised,)."""
        gradient += self.curvature * w

    def residual(self, w: Vector, gradient: Vector) -> Vector:  # noqa: ARG002
        """Return the subgradient of f of least norm at `w`: zero where, and only where, `w` is a minimiser.

        Parameters
        ----------
        w
            Shape (penalised,).
        gradient
            The gradient at `w` of the mean loss and of the smooth part, shape (penalised,); not modified.
        """
        return gradient

    def along(self, w: Vector, p: Vector) -> Callable[[Vector], Vector]:
        """Return the function that maps many t, shape (m,), to r(w - t p), for `w` and `p` (penalised,)."""
        return lambda steps: np.array([self.value(w - t * p) for t in steps])

    @abc.abstractmethod
    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:
        """Return the minimiser over u of r(u) + (1/(2 step)) sum_i metric_i (u_i - w_i)^2, a new array.

        Parameters
        ----------
        w
            Shape (penalised,); not modified.
        step
            Above 0.
        metric
            Shape (penalised,), above 0; default: ones.
        """

    @abc.abstractmethod
    def words(self) -> str:
        """Describe it as a term of the objective; empty if it adds nothing."""


def quotient(value: float, weight: float) -> float:
    """Return `value` / `weight`, both at least 0; infinite for a weight of 0."""
    return value / weight if weight > 0.0 else math.inf


PENALTIES: Registry[type[Penalty]] = Registry("penalty")
register = PENALTIES.register
