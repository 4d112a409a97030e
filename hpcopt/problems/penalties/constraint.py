"""The base of constraints: penalties that are 0 on a convex set and infinite elsewhere.

The proximal operator is the projection onto the set, whatever the step. A mean of points of the set may leave it by
roundoff, so that membership has a tolerance.
"""

from __future__ import annotations

import abc
import math

from hpcopt.arrays import Vector
from hpcopt.problems.penalties.base import Penalty

ROUNDOFF = 1e-9  # relative: by how much a point may violate a constraint


class Constraint(Penalty):
    """Base of all constraints."""

    smooth = False
    curvature = 0.0

    def value(self, w: Vector) -> float:
        return 0.0 if self.contains(w) else math.inf

    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:  # noqa: ARG002
        return self.projection(w, metric)

    def nearest(self, w: Vector) -> Vector:
        return self.projection(w)

    @abc.abstractmethod
    def contains(self, w: Vector) -> bool:
        """Return whether `w`, shape (penalised,), is in the set, up to roundoff."""

    @abc.abstractmethod
    def projection(self, w: Vector, metric: Vector | None = None) -> Vector:
        """Return the point u of the set with the least sum_i metric_i (u_i - w_i)^2, a new array."""
