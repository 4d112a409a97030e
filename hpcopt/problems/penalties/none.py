"""No penalty: the objective is the mean loss alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.problems.penalties.base import Penalty, register


@register("none")
@dataclass(frozen=True, kw_only=True)
class NoPenalty(Penalty):
    """No penalty: the objective is the mean loss."""

    curvature = 0.0

    def value(self, w: Vector) -> float:  # noqa: ARG002
        return 0.0

    def add_gradient(self, w: Vector, gradient: Vector) -> None:
        pass

    def along(self, w: Vector, p: Vector) -> Callable[[Vector], Vector]:  # noqa: ARG002
        return lambda steps: np.zeros(len(steps))

    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:  # noqa: ARG002
        return w.copy()

    def words(self) -> str:
        return ""
