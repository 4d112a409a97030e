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
        levels = (np.cumsum(w[order]) - self.radius) / np.cumsum(widths[order])
        nu = float(levels[max(int(np.count_nonzero(ends[order] > levels)), 1) - 1])
        u: Vector = np.maximum(w - nu * widths, 0.0)
        u *= self.radius / float(u.sum())
        return u

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
