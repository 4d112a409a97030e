"""A bound on the Euclidean norm of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.annotations import Positive
from hpcopt.arrays import Vector
from hpcopt.checks import within
from hpcopt.problems.penalties.base import register
from hpcopt.problems.penalties.constraint import ROUNDOFF, Constraint
from hpcopt.problems.penalties.secular import solutions


@register("l2-ball")
@dataclass(frozen=True, kw_only=True)
class L2Ball(Constraint):
    """Weights whose Euclidean norm is at most `radius`.

    Parameters
    ----------
    radius
        Above 0.
    """

    radius: Positive = 1.0

    def __post_init__(self) -> None:
        within(0, np.inf, radius=self.radius)

    def contains(self, w: Vector) -> bool:
        return float(np.linalg.norm(w)) <= self.radius * (1.0 + ROUNDOFF)

    def projection(self, w: Vector, metric: Vector | None = None) -> Vector:
        if float(np.linalg.norm(w)) <= self.radius:
            return w.copy()
        if metric is None:
            u = w
        else:  # u = metric w / (metric + s), where s makes the norm equal to the radius
            s = solutions(metric * w / self.radius, metric, np.array([len(w)]))
            u = metric * w / (metric + s)
        norm = float(np.linalg.norm(u))
        return u * (self.radius / norm) if norm > 0.0 else np.zeros_like(w)  # squares below the least double vanish

    def reach(self, value: float, size: int) -> float:  # noqa: ARG002
        return self.radius

    def residual(self, w: Vector, gradient: Vector) -> Vector:
        norm = float(np.linalg.norm(w))
        if norm < self.radius * (1.0 - ROUNDOFF):
            return gradient
        outward = w / norm
        return gradient - min(float(gradient @ outward), 0.0) * outward

    def words(self) -> str:
        return f"||w|| <= {self.radius:.6g}"
