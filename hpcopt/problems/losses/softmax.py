"""The cross-entropy of the softmax of a row's outputs, l(z, y) = log(sum_c exp(z_c)) - z_y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.kernels.softmax import cross_entropy
from hpcopt.problems.losses.base import OutputLoss, Outputs, inverse_strength, register


@register("softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax(OutputLoss):
    """Multinomial logistic loss, log(sum_c exp(z_c)) - z_y, for two classes or more; for first-order solvers."""

    hessian = False
    curvature_bound = 0.5  # the largest eigenvalue of diag(p) - p p^T (Boehning 1992)

    def as_targets(self, y: Vector, count: int) -> NDArray[Any]:
        classes = y.astype(np.int64)
        if classes.size and not 0 <= classes.min() <= classes.max() < count:
            raise ValueError(f"y: classes between 0 and {count - 1}")
        return classes

    def differentiate(self, z: Outputs, y: NDArray[Any]) -> float:
        return cross_entropy(z, y)

    def peer(self, l1: float, l2: float, rows: int, outputs: int, *, intercept: bool) -> str | None:  # noqa: ARG002
        if outputs == 2:  # scikit-learn has one vector w, ours are w/2 and -w/2: ||w||_1 is the same, ||w||^2 the half
            l2 *= 0.5
        return inverse_strength(l1, l2, rows)
