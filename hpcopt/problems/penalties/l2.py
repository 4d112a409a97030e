"""The squared Euclidean norm: ridge, weight decay, Tikhonov's regulariser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.problems.penalties.base import Penalty, Weight, register


@register("l2")
@dataclass(frozen=True, kw_only=True)
class L2(Penalty):
    """Squared Euclidean norm, (weight/2) ||w||^2; its short form is `l2 = weight` in [problem].

    Parameters
    ----------
    weight
        A number, or "c/n" with n the number of training rows.
    """

    weight: Weight

    def __post_init__(self) -> None:
        at_least(0, weight=self.weight)

    @property
    def curvature(self) -> float:
        return self.weight

    def value(self, w: Vector) -> float:
        return 0.5 * self.weight * float(w @ w)

    def along(self, w: Vector, p: Vector) -> Callable[[Vector], Vector]:
        ww, wp, pp = float(w @ w), float(w @ p), float(p @ p)
        return lambda steps: 0.5 * self.weight * (ww - 2.0 * steps * wp + steps**2 * pp)

    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:
        if metric is None:
            return w / (1.0 + step * self.weight)
        return metric * w / (metric + step * self.weight)

    def words(self) -> str:
        return f"(l2/2)||w||^2, l2 = {self.weight:.6g}"
