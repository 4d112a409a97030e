"""Weights that are not negative and have a given sum: mixtures, portfolios, probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.annotations import Positive
from hpcopt.arrays import Vector
from hpcopt.checks import within
from hpcopt.problems.penalties.base import register
from hpcopt.problems.penalties.constraint import ROUNDOFF, Constraint


@register("simplex")
@dataclass(frozen=True, kw_only=True)
class Simplex(Constraint):
    """Weights that are not negative and sum to `radius`; they are sparse.

    The projection sorts once: Held, Wolfe and Crowder (1974), here in a diagonal metric.

    Parameters
    ----------
    radius
        The sum of the weights, above 0.
    """

    radius: Positive = 1.0

    def __post_init__(self) -> None:
        within(0, np.inf, radius=self.radius)

    def contains(self, w: Vector) -> bool:
        room = ROUNDOFF * self.radius
        return bool(w.min() >= -room and abs(w.sum() - self.radius) <= room)

    def projection(self, w: Vector, metric: Vector | None = None) -> Vector:
        # u = max(w - nu / metric, 0), where nu makes the sum equal to the radius
        widths = np.ones(len(w)) if metric is None else 1.0 / metric
        ends = w / widths  # u_i > 0 for nu below end i
        order = np.argsort(-ends)
        below = ends - ends[order[0]]  # so that no digits of a small radius are lost beside large weights
        shifted = below * widths
        levels = (np.cumsum(shifted[order]) - self.radius) / np.cumsum(widths[order])
        nu = float(levels[max(int(np.count_nonzero(below[order] > levels)), 1) - 1])
        u: Vector = np.maximum(shifted - nu * widths, 0.0)
        total = float(u.sum())
        if total == 0.0:  # the radius over a width is below the least double
            u[order[0]] = total = self.radius
        u *= self.radius / total
        return u

    def reach(self, value: float, size: int) -> float:  # noqa: ARG002
        return self.radius

    def residual(self, w: Vector, gradient: Vector) -> Vector:
        # the projection of -gradient onto the feasible directions p: sum(p) = 0, and p_i >= 0 where w_i = 0
        inside = w > 0.0
        slopes = np.sort(-gradient[~inside])[::-1]
        counts = np.count_nonzero(inside) + np.arange(len(slopes) + 1)
        sums = np.append(0.0, np.cumsum(slopes)) - gradient[inside].sum()
        levels = np.divide(sums, counts, out=np.full(len(counts), -np.inf), where=counts > 0)
        level = float(levels[np.argmax(np.append(slopes, -np.inf) <= levels)])
        residual: Vector = gradient + level
        return np.where(inside, residual, np.minimum(residual, 0.0))

    def words(self) -> str:
        return f"w >= 0, sum(w) = {self.radius:.6g}"
