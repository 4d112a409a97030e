"""FTRL-proximal: the leader of all gradients and of quadratics around all earlier models, with adaptive rates.

    g_t = sum_k (n_k/n) Q(grad loss_k(x_t; batch)),   v <- v + g_t^2,   sigma_t = (sqrt(v) - sqrt(v before)) / alpha
    x_{t+1} = argmin over x of  <g_1 + ... + g_t, x> + t r(x) + (beta / (2 alpha)) ||x||^2
                                + (1/2) sum over s <= t of (x - x_s)' sigma_s (x - x_s)

The quadratics add up to (beta + sqrt(v)) / alpha around a weighted mean of models, so this is the general form of
`quantized_adagrad` with eta = alpha, delta = beta, and in place of dual averaging's sum of gradients

    z <- z + g_t - sigma_t x_t,     p = z / t,     tau = alpha t,     c = 0.

McMahan et al., Ad click prediction: a view from the trenches, KDD 2013, Algorithm 1. Deviation: there the penalty is
added once, as a total over all steps; here it grows with t, so that its weight means the same as for other solvers and
the optimum of f is the goal. The weights of their listing after T steps are T times ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.kernels import adaptive
from hpcopt.solvers.base import register
from hpcopt.solvers.quantized_adagrad import AdaGradState, QuantizedAdaGrad


@register("ftrl")
@dataclass(frozen=True, kw_only=True)
class FTRL(QuantizedAdaGrad):
    """FTRL-proximal: follows the regularised leader with adaptive rates; the penalty counts per step.

    Parameters
    ----------
    step_size
        alpha, constant, above 0.
    delta
        beta, above 0.
    """

    paper = "McMahan et al. 2013, KDD"
    rule = adaptive.LEADER

    delta: float = 1.0
    compressor: Compressor = Identity()

    def point(self, s: AdaGradState, g: Vector, H: Vector) -> tuple[Vector, float]:
        sigma = (H - self.delta - np.sqrt(s.v)) / self.step_size
        s.z += g - sigma * s.w
        tau = self.step_size * s.steps
        return -tau / H * (s.z / s.steps), tau
