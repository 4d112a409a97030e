"""The squared loss of a rectified output, l(z, y) = (max(z, 0) - y)^2 / 2: a simple non-convex regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.kernels.pointwise import RELU
from hpcopt.problems.losses.base import MarginLoss, Outputs, register
from hpcopt.problems.targets import Targets


@register("relu")
@dataclass(frozen=True, kw_only=True)
class Relu(MarginLoss):
    """Squared loss of a rectified margin, (max(z, 0) - y)^2 / 2, for real targets; not convex.

    Rows with z <= 0 have slope and curvature 0, so w = 0 is a stationary point and cannot be the start. Elsewhere the
    curvature is 1, which gives the Gauss-Newton matrix; it equals the Hessian wherever that exists. At z = 0 the slope
    jumps by -y, so the curvature bound holds only on either side. From the DeLi-CoCo experiments (Hashemi et al., arXiv
    2011.10643).
    """

    code = RELU
    targets = Targets.REAL
    curvature_bound = 1.0
    convex = False
    smooth = False

    def prediction(self, z: Outputs) -> Outputs:
        """Return max(z, 0)."""
        return np.maximum(z, 0.0)
