"""The sum of the weights' magnitudes: it makes weights exactly zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.problems.penalties.base import Penalty, Weight, quotient, register


@register("l1")
@dataclass(frozen=True, kw_only=True)
class L1(Penalty):
    """Sum of the weights' magnitudes, weight ||w||_1 (lasso); its short form is `l1 = weight` in [problem].

    Parameters
    ----------
    weight
        A number, or "c/n" with n the number of training rows.
    """

    weight: Weight

    smooth = False
    curvature = 0.0

    def __post_init__(self) -> None:
        at_least(0, weight=self.weight)

    @property
    def shrinkage(self) -> float:
        return self.weight

    def value(self, w: Vector) -> float:
        return self.weight * float(np.abs(w).sum())

    def reach(self, value: float, size: int) -> float:  # noqa: ARG002
        return quotient(value, self.weight)

    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:
        return shrunk(w, step * self.weight / (1.0 if metric is None else metric))

    def residual(self, w: Vector, gradient: Vector) -> Vector:
        return steepest(w, gradient, self.weight)

    def words(self) -> str:
        return f"l1 ||w||_1, l1 = {self.weight:.6g}"


def shrunk(w: Vector, threshold: float | Vector) -> Vector:
    """Return sign(w) max(|w| - threshold, 0), a new array: the soft threshold."""
    return w - np.clip(w, -threshold, threshold)


def steepest(w: Vector, gradient: Vector, weight: float) -> Vector:
    """Return the element of gradient + weight d||w||_1 of least norm, shape as `w`."""
    return np.where(w == 0.0, shrunk(gradient, weight), gradient + weight * np.sign(w))
